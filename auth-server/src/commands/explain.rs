//! `auth-server explain`

use auth_core::RequestId;
use auth_core::audit::{AuditAct, AuditEvent, LoginRule, ReuseKind};
use auth_core::store::EventFilter;

use super::events::line;
use crate::cli::Explain;
use crate::config::Config;
use crate::error::CommandError;
use crate::node::NodeStore;
use crate::output::say;

pub(super) async fn run(config: &Config, flags: &Explain) -> Result<(), CommandError> {
    let request_id = RequestId::parse(&flags.request_id).ok_or(CommandError::UnknownRequest)?;
    let store = NodeStore::open(config).await?;
    store.require_migrated().await?;
    let mut filter = EventFilter::default();
    filter.request_id = Some(request_id);
    let mut events = store.shared().list_events(&filter).await?;
    if events.is_empty() {
        return Err(CommandError::UnknownRequest);
    }
    events.reverse();
    for event in &events {
        say(line(event))?;
        if let Some(explanation) = explanation(event) {
            say(format_args!("    {explanation}"))?;
        }
    }
    Ok(())
}

/// What an operator may want to know beyond the kind of the event.
fn explanation(event: &AuditEvent) -> Option<String> {
    Some(match &event.act {
        AuditAct::LoginRefused { rule, .. } => login_rule(*rule).to_owned(),
        AuditAct::ReuseDetected {
            reuse, age_seconds, ..
        } => format!(
            "{}; the session's refresh token had been rotated last {age_seconds} s before. The session was ended.",
            reuse_kind(*reuse)
        ),
        AuditAct::RequestThrottled { budget, .. } => format!(
            "The client's network made more requests of the kind `{budget}` than its budget allows."
        ),
        AuditAct::RegistrationRefused { code, .. }
        | AuditAct::VerificationRefused { code, .. }
        | AuditAct::RefreshRefused { code, .. }
        | AuditAct::AccessDenied { code, .. }
        | AuditAct::AdministrationRefused { code, .. } => {
            format!("The client was told `{code}`: docs/errors.md says what that means.")
        }
        _ => return None,
    })
}

const fn login_rule(rule: LoginRule) -> &'static str {
    match rule {
        LoginRule::UnknownUser => {
            "Nobody has this name. The client was told what a wrong password is told."
        }
        LoginRule::WrongPassword => "The password is not this user's.",
        LoginRule::InactiveUser => {
            "The password is right, but the user is deactivated. The client was told what a wrong password is told."
        }
        LoginRule::PasswordTooLong => {
            "The password is longer than any password may be; it was not looked at."
        }
        LoginRule::EmailNotVerified => {
            "The password is right, but the user has not verified the e-mail address (AUTH_REQUIRE_VERIFIED_EMAIL)."
        }
        LoginRule::PasswordReplaced => "The password was changed while it was being checked.",
        LoginRule::AccountThrottled => {
            "Too many tries have failed for this name; the password was not looked at. It ends by itself."
        }
        LoginRule::NetworkThrottled => {
            "Too many tries have failed from the client's network; the password was not looked at. It ends by itself."
        }
        LoginRule::Overloaded => {
            "More passwords were waiting to be hashed than the machine can do in time (AUTH_HASH_QUEUE)."
        }
        LoginRule::ServiceFailed => "The storage or the service failed: the log has the cause.",
        _ => "A rule of a newer version.",
    }
}

const fn reuse_kind(reuse: ReuseKind) -> &'static str {
    match reuse {
        ReuseKind::LostAnswer => {
            "The token before the current one came after the grace: a client that lost an answer, a forgotten tab, or a thief"
        }
        ReuseKind::OtherClient => {
            "The token before the current one came without the key of that rotation: another client, or a thief"
        }
        ReuseKind::OldGeneration => {
            "A token came whose successor had been used: two clients share it, or one of them is a thief"
        }
        _ => "A kind of reuse that a newer version knows",
    }
}
