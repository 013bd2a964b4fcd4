use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::UserId;
use crate::store::EnrollmentId;

/// What was done, or tried.
///
/// Stored and logged under its [`kind`](Self::kind); new kinds may come with each version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditAct {
    /// The operator made a superuser.
    SuperuserCreated,
    /// A superuser registered a user.
    UserRegistered,
    /// Somebody signed up, with an address known or not; a link to confirm it is mailed.
    SignUpRequested,
    /// Somebody confirmed the address, and is a user now.
    SignedUp,
    /// An administrator invited an address.
    #[non_exhaustive]
    UserInvited {
        /// The id, by which the acceptance is found.
        invitation: EnrollmentId,
    },
    /// The invited chose name and password, and is a user now.
    #[non_exhaustive]
    InvitationAccepted {
        /// The id.
        invitation: EnrollmentId,
        /// The superuser who invited; `None` for the operator.
        invited_by: Option<UserId>,
    },
    /// An invitation was not sent, or one that was sent was refused.
    #[non_exhaustive]
    InvitationRefused {
        /// The [code](crate::AuthError::code) of the refusal.
        code: Cow<'static, str>,
    },
    /// A registration was refused.
    #[non_exhaustive]
    RegistrationRefused {
        /// The [code](crate::AuthError::code) of the refusal.
        code: Cow<'static, str>,
    },
    /// A user verified the e-mail address.
    EmailVerified,
    /// A verification link was refused.
    #[non_exhaustive]
    VerificationRefused {
        /// The [code](crate::AuthError::code) of the refusal.
        code: Cow<'static, str>,
    },
    /// Another verification mail was asked for, for an address known or not.
    VerificationRequested,
    /// A user logged in.
    LoggedIn,
    /// A login was refused.
    #[non_exhaustive]
    LoginRefused {
        /// The rule that refused it.
        rule: LoginRule,
    },
    /// A client got another access token; never stored.
    Refreshed,
    /// A refresh was refused.
    #[non_exhaustive]
    RefreshRefused {
        /// The [code](crate::AuthError::code) of the refusal.
        code: Cow<'static, str>,
    },
    /// A refresh token was used again that had been replaced; the session was ended.
    #[non_exhaustive]
    ReuseDetected {
        /// What it looked like.
        reuse: ReuseKind,
        /// How long ago the session's refresh token was rotated last, in seconds.
        age_seconds: u64,
    },
    /// A client logged out.
    LoggedOut,
    /// A session was ended by somebody else than its client.
    SessionEnded,
    /// A login ended the user's oldest session, since the user had as many as one may have.
    SessionDisplaced,
    /// A refresh token was ahead of its session, which the database had lost sight of: the session
    /// went on from the token.
    #[non_exhaustive]
    SessionFollowed {
        /// The generation that the session was at.
        from: u32,
        /// The generation that it is at.
        to: u32,
    },
    /// A refresh was refused for the moment, since its successor had just become another client's.
    RefreshContested,
    /// Sessions of a user were ended.
    SessionsEnded,
    /// Every session of every user was ended.
    AllSessionsEnded,
    /// Every session that began before a time was ended.
    #[non_exhaustive]
    OldSessionsEnded {
        /// The time, in microseconds since the Unix epoch.
        begun_before: i64,
    },
    /// A user was allowed to log in again.
    UserActivated,
    /// A user was shut out; the sessions ended.
    UserDeactivated,
    /// A user was deleted; the sessions ended.
    UserDeleted,
    /// A user became a superuser.
    SuperuserGranted,
    /// A user ceased to be a superuser.
    SuperuserRevoked,
    /// A user was given these roles and no others.
    #[non_exhaustive]
    RolesChanged {
        /// The names.
        roles: Vec<String>,
    },
    /// A user's password was changed; other sessions ended.
    PasswordChanged,
    /// A link to choose a new password was asked for, for an address known or not.
    PasswordResetRequested,
    /// A user chose a new password by the link; the sessions ended.
    PasswordReset,
    /// A user asked for another e-mail address.
    EmailChangeRequested,
    /// A user confirmed the new e-mail address, and has it now.
    EmailChanged,
    /// A user got the former e-mail address back; the sessions ended.
    EmailChangeUndone,
    /// An administrative act was refused.
    #[non_exhaustive]
    AdministrationRefused {
        /// The kind of the act.
        act: Cow<'static, str>,
        /// The [code](crate::AuthError::code) of the refusal.
        code: Cow<'static, str>,
    },
    /// What a user asked for on the own account was refused.
    #[non_exhaustive]
    AccountChangeRefused {
        /// The kind of the act.
        act: Cow<'static, str>,
        /// The [code](crate::AuthError::code) of the refusal.
        code: Cow<'static, str>,
    },
    /// A caller asked for what only superusers may do.
    #[non_exhaustive]
    AccessDenied {
        /// The [code](crate::AuthError::code) of the refusal.
        code: Cow<'static, str>,
    },
    /// A request was refused since its client makes too many.
    #[non_exhaustive]
    RequestThrottled {
        /// The budget that was used up.
        budget: Cow<'static, str>,
    },
    /// A refusal came again and again, and was not listed but the first time.
    #[non_exhaustive]
    RefusalsCounted {
        /// The [kind](Self::kind) of the refusal.
        act: Cow<'static, str>,
        /// Its [reason](Self::reason).
        code: Option<Cow<'static, str>>,
        /// How many came that were not listed.
        refusals: u64,
        /// In how many seconds they came.
        seconds: u64,
    },
    /// The keys that sign and verify access tokens are others than before.
    #[non_exhaustive]
    KeysChanged {
        /// The ids of the keys, the signing one first.
        key_ids: Vec<String>,
    },
    /// More events came than could be stored.
    #[non_exhaustive]
    EventsLost {
        /// How many are missing before this one.
        events: u64,
    },
    /// What a newer version has written.
    #[serde(other)]
    Unknown,
}

impl AuditAct {
    /// The kinds that this version knows.
    pub const KINDS: &[&str] = &[
        "superuser_created",
        "user_registered",
        "sign_up_requested",
        "signed_up",
        "user_invited",
        "invitation_accepted",
        "invitation_refused",
        "registration_refused",
        "email_verified",
        "verification_refused",
        "verification_requested",
        "logged_in",
        "login_refused",
        "refreshed",
        "refresh_refused",
        "refresh_contested",
        "session_followed",
        "reuse_detected",
        "logged_out",
        "session_displaced",
        "session_ended",
        "sessions_ended",
        "old_sessions_ended",
        "all_sessions_ended",
        "user_activated",
        "user_deactivated",
        "user_deleted",
        "superuser_granted",
        "superuser_revoked",
        "roles_changed",
        "password_changed",
        "password_reset_requested",
        "password_reset",
        "email_change_requested",
        "email_changed",
        "email_change_undone",
        "administration_refused",
        "account_change_refused",
        "access_denied",
        "request_throttled",
        "refusals_counted",
        "keys_changed",
        "events_lost",
    ];

    /// The stable name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SuperuserCreated => "superuser_created",
            Self::UserRegistered => "user_registered",
            Self::SignUpRequested => "sign_up_requested",
            Self::SignedUp => "signed_up",
            Self::UserInvited { .. } => "user_invited",
            Self::InvitationAccepted { .. } => "invitation_accepted",
            Self::InvitationRefused { .. } => "invitation_refused",
            Self::RegistrationRefused { .. } => "registration_refused",
            Self::EmailVerified => "email_verified",
            Self::VerificationRefused { .. } => "verification_refused",
            Self::VerificationRequested => "verification_requested",
            Self::LoggedIn => "logged_in",
            Self::LoginRefused { .. } => "login_refused",
            Self::Refreshed => "refreshed",
            Self::RefreshRefused { .. } => "refresh_refused",
            Self::ReuseDetected { .. } => "reuse_detected",
            Self::LoggedOut => "logged_out",
            Self::SessionEnded => "session_ended",
            Self::SessionDisplaced => "session_displaced",
            Self::SessionFollowed { .. } => "session_followed",
            Self::RefreshContested => "refresh_contested",
            Self::SessionsEnded => "sessions_ended",
            Self::AllSessionsEnded => "all_sessions_ended",
            Self::OldSessionsEnded { .. } => "old_sessions_ended",
            Self::UserActivated => "user_activated",
            Self::UserDeactivated => "user_deactivated",
            Self::UserDeleted => "user_deleted",
            Self::SuperuserGranted => "superuser_granted",
            Self::SuperuserRevoked => "superuser_revoked",
            Self::RolesChanged { .. } => "roles_changed",
            Self::PasswordChanged => "password_changed",
            Self::PasswordResetRequested => "password_reset_requested",
            Self::PasswordReset => "password_reset",
            Self::EmailChangeRequested => "email_change_requested",
            Self::EmailChanged => "email_changed",
            Self::EmailChangeUndone => "email_change_undone",
            Self::AdministrationRefused { .. } => "administration_refused",
            Self::AccountChangeRefused { .. } => "account_change_refused",
            Self::AccessDenied { .. } => "access_denied",
            Self::RequestThrottled { .. } => "request_throttled",
            Self::RefusalsCounted { .. } => "refusals_counted",
            Self::KeysChanged { .. } => "keys_changed",
            Self::EventsLost { .. } => "events_lost",
            Self::Unknown => "unknown",
        }
    }

    /// What came of it.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::RegistrationRefused { .. }
            | Self::InvitationRefused { .. }
            | Self::VerificationRefused { .. }
            | Self::LoginRefused { .. }
            | Self::RefreshRefused { .. }
            | Self::RefreshContested
            | Self::ReuseDetected { .. }
            | Self::AdministrationRefused { .. }
            | Self::AccountChangeRefused { .. }
            | Self::AccessDenied { .. }
            | Self::RequestThrottled { .. }
            | Self::RefusalsCounted { .. } => Outcome::Refused,
            Self::EventsLost { .. } => Outcome::Failed,
            _ => Outcome::Done,
        }
    }

    /// The stable name of the rule or reason behind it, where there is one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::RegistrationRefused { code }
            | Self::InvitationRefused { code }
            | Self::VerificationRefused { code }
            | Self::RefreshRefused { code }
            | Self::AdministrationRefused { code, .. }
            | Self::AccountChangeRefused { code, .. }
            | Self::AccessDenied { code } => Some(code),
            Self::LoginRefused { rule } => Some(rule.as_str()),
            Self::ReuseDetected { reuse, .. } => Some(reuse.as_str()),
            Self::RequestThrottled { budget } => Some(budget),
            Self::RefusalsCounted { act, .. } => Some(act),
            _ => None,
        }
    }
}

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was done.
    Done,
    /// A rule forbade it.
    Refused,
    /// It could not be done.
    Failed,
}

impl Outcome {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Makes an enum whose variants have stable names.
macro_rules! named {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

named! {
    /// The rule that refused a login; for the operator only, since the client must not know.
    pub enum LoginRule {
        /// Nobody has this name.
        UnknownUser = "unknown_user",
        /// The password is another one.
        WrongPassword = "wrong_password",
        /// The user may not log in.
        InactiveUser = "inactive_user",
        /// The password is longer than any password may be; it was not looked at.
        PasswordTooLong = "password_too_long",
        /// The password is right, but the address is not verified.
        EmailNotVerified = "email_not_verified",
        /// The password was changed while it was being checked.
        PasswordReplaced = "password_replaced",
        /// Too many tries have failed for this name.
        AccountThrottled = "account_throttled",
        /// Too many tries have failed from this network.
        NetworkThrottled = "network_throttled",
        /// More passwords are waiting to be hashed than the machine can do in time.
        Overloaded = "overloaded",
        /// The store or the service failed.
        ServiceFailed = "service_failed",
        /// What a newer version has written.
        Unknown = "unknown",
    }
}

named! {
    /// What the reuse of a refresh token looked like.
    pub enum ReuseKind {
        /// One generation behind, after the grace: a lost answer, a forgotten tab, or a thief.
        LostAnswer = "lost_answer",
        /// One generation behind, and the client did not present the key of that rotation.
        OtherClient = "other_client",
        /// More than one generation behind: the token had been replaced and its successor used.
        OldGeneration = "old_generation",
        /// What a newer version has written.
        Unknown = "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_what_is_stored() {
        let code: Cow<'static, str> = "x".into();
        for act in [
            AuditAct::SuperuserCreated,
            AuditAct::UserRegistered,
            AuditAct::SignUpRequested,
            AuditAct::SignedUp,
            AuditAct::UserInvited {
                invitation: EnrollmentId::generate(),
            },
            AuditAct::InvitationAccepted {
                invitation: EnrollmentId::generate(),
                invited_by: Some(UserId::generate()),
            },
            AuditAct::InvitationRefused { code: code.clone() },
            AuditAct::RegistrationRefused { code: code.clone() },
            AuditAct::EmailVerified,
            AuditAct::VerificationRefused { code: code.clone() },
            AuditAct::VerificationRequested,
            AuditAct::LoggedIn,
            AuditAct::LoginRefused {
                rule: LoginRule::WrongPassword,
            },
            AuditAct::Refreshed,
            AuditAct::RefreshRefused { code: code.clone() },
            AuditAct::ReuseDetected {
                reuse: ReuseKind::LostAnswer,
                age_seconds: 7,
            },
            AuditAct::LoggedOut,
            AuditAct::SessionEnded,
            AuditAct::SessionDisplaced,
            AuditAct::SessionFollowed { from: 3, to: 5 },
            AuditAct::RefreshContested,
            AuditAct::SessionsEnded,
            AuditAct::AllSessionsEnded,
            AuditAct::OldSessionsEnded { begun_before: 7 },
            AuditAct::UserActivated,
            AuditAct::UserDeactivated,
            AuditAct::UserDeleted,
            AuditAct::SuperuserGranted,
            AuditAct::SuperuserRevoked,
            AuditAct::RolesChanged {
                roles: vec!["editor".to_owned()],
            },
            AuditAct::PasswordChanged,
            AuditAct::PasswordResetRequested,
            AuditAct::PasswordReset,
            AuditAct::EmailChangeRequested,
            AuditAct::EmailChanged,
            AuditAct::EmailChangeUndone,
            AuditAct::AdministrationRefused {
                act: "user_deleted".into(),
                code: code.clone(),
            },
            AuditAct::AccountChangeRefused {
                act: "password_changed".into(),
                code: code.clone(),
            },
            AuditAct::AccessDenied { code: code.clone() },
            AuditAct::RequestThrottled {
                budget: code.clone(),
            },
            AuditAct::RefusalsCounted {
                act: "request_throttled".into(),
                code: Some(code),
                refusals: 7,
                seconds: 60,
            },
            AuditAct::KeysChanged {
                key_ids: vec!["a".to_owned()],
            },
            AuditAct::EventsLost { events: 3 },
        ] {
            let json = serde_json::to_value(&act).unwrap();
            assert_eq!(json["kind"], act.kind());
            assert!(AuditAct::KINDS.contains(&act.kind()), "{}", act.kind());
            assert_eq!(serde_json::from_value::<AuditAct>(json).unwrap(), act);
        }
    }

    #[test]
    fn an_act_of_a_newer_version_can_be_read() {
        let act: AuditAct = serde_json::from_str(r#"{"kind":"teleported","to":"mars"}"#).unwrap();
        assert_eq!(act, AuditAct::Unknown);
    }
}
