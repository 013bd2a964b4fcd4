//! Another e-mail address: confirmed at the new one, undone from the former one.

use std::sync::Arc;
use std::time::Duration;

use auth_core::audit::{Actor, AuditAct};
use auth_core::mail::Mail;
use auth_core::store::{EventFilter, Store};
use auth_core::testing::MailedLink;
use auth_core::{
    Account, Administration, Administrator, AuthService, EmailChangeRequest, EmailVerification,
    Password, PasswordChange, Principal, RequestContext, TokenPair, User,
};

use crate::MINUTE;
use crate::support::on_each_store;
use crate::world::{PASSWORD, World, code};

const DAY: Duration = Duration::from_secs(24 * 3600);
const OTHER: &str = "staple battery horse";

fn context() -> RequestContext {
    RequestContext::default()
}

/// Alice, logged in.
struct Case {
    world: World,
    pair: TokenPair,
    caller: Principal,
}

impl Case {
    async fn new(store: Arc<dyn Store>) -> Self {
        let world = World::new(store);
        world.register_verified("alice").await;
        Self::of(world).await
    }

    async fn of(world: World) -> Self {
        let pair = world.log_in("alice").await.unwrap();
        let verifier = world.engine.access_token_verifier();
        let caller = verifier.verify(pair.access_token.expose()).unwrap();
        Self {
            world,
            pair,
            caller,
        }
    }

    async fn ask(&self, address: &str, password: &str) -> &'static str {
        let request = EmailChangeRequest::new(address, Password::new(password));
        let engine = &self.world.engine;
        code(
            engine
                .request_email_change(&self.caller, request, &context())
                .await,
        )
    }

    /// Logs in with the password, and asks; gives the token of the link.
    async fn ask_anew(&self, address: &str, password: &str) -> String {
        let engine = &self.world.engine;
        let pair = self.world.log_in_with("alice", password).await.unwrap();
        let verifier = engine.access_token_verifier();
        let caller = verifier.verify(pair.access_token.expose()).unwrap();
        let request = EmailChangeRequest::new(address, Password::new(password));
        let asked = engine
            .request_email_change(&caller, request, &context())
            .await;
        assert_eq!(code(asked), "success");
        self.mail().await.1
    }

    async fn confirm(&self, token: &str) -> &'static str {
        let engine = &self.world.engine;
        code(engine.confirm_email_change(token, &context()).await)
    }

    async fn undo(&self, token: &str) -> &'static str {
        let engine = &self.world.engine;
        code(engine.undo_email_change(token, &context()).await)
    }

    async fn mails(&self) -> Vec<Mail> {
        self.world.worker.deliver_due().await.unwrap();
        self.world.mails.take()
    }

    /// The only mail, and the token of its link.
    async fn mail(&self) -> (Mail, String) {
        let mails = self.mails().await;
        let [mail] = mails.as_slice() else {
            panic!("not one mail: {mails:?}");
        };
        (mail.clone(), MailedLink::find(&mail.text).unwrap().token)
    }

    /// Asks for the address and confirms it; gives the token that undoes it.
    async fn change(&self, address: &str) -> String {
        assert_eq!(self.ask(address, PASSWORD).await, "success");
        let (_, token) = self.mail().await;
        assert_eq!(self.confirm(&token).await, "success");
        self.mail().await.1
    }

    async fn alice(&self) -> User {
        let name = "alice".parse().unwrap();
        let found = self.world.store.find_credentials(&name).await;
        found.unwrap().unwrap().0
    }

    async fn last_act(&self) -> (AuditAct, Actor) {
        self.world.engine.audit_writer().flush().await.unwrap();
        let events = self.world.store.list_events(&EventFilter::default()).await;
        let events = events.unwrap();
        let newest = events.first().unwrap();
        (newest.act.clone(), newest.actor)
    }
}

async fn s8_1_the_new_address_counts_when_it_is_confirmed(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    case.world.clock.advance(MINUTE);
    assert_eq!(case.ask("New@Example.org", PASSWORD).await, "success");
    assert_eq!(case.alice().await.email.as_str(), "alice@example.org");
    let by = Actor::User(case.alice().await.id);
    assert_eq!(case.last_act().await, (AuditAct::EmailChangeRequested, by));
    let (mail, token) = case.mail().await;
    assert_eq!(mail.to.as_str(), "New@Example.org");
    let base = "https://auth.example.org/api/auth/email/change/confirm/?token=";
    assert!(mail.text.contains(base), "{}", mail.text);

    case.world.clock.advance(MINUTE);
    assert_eq!(case.confirm(&token).await, "success");
    let alice = case.alice().await;
    assert_eq!(alice.email.as_str(), "New@Example.org");
    assert!(alice.email_verified_at.is_some());
    assert_eq!(case.last_act().await, (AuditAct::EmailChanged, by));
    let (notice, _) = case.mail().await;
    assert_eq!(notice.to.as_str(), "alice@example.org");
    assert!(notice.text.contains("New@Example.org"), "{}", notice.text);
    assert_eq!(case.confirm(&token).await, "link_used");
    assert_eq!(
        code(case.world.log_in("alice").await),
        "success",
        "the password stays"
    );
    let refreshed = case.world.refresh(case.pair.refresh_token.expose()).await;
    assert!(refreshed.is_ok(), "and so do the sessions");
}

async fn the_password_and_a_good_address_are_asked_for(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let address = "new@example.org";
    case.world.clock.advance(MINUTE);
    assert_eq!(case.ask(address, OTHER).await, "invalid_credentials");
    let (act, _) = case.last_act().await;
    assert_eq!(act.kind(), "account_change_refused");
    assert_eq!(case.ask("nowhere", PASSWORD).await, "validation_failed");
    let own = case.ask("alice@example.org", PASSWORD).await;
    assert_eq!(own, "validation_failed");
    assert!(case.mails().await.is_empty());
    case.world.clock.advance(MINUTE);
    assert_eq!(case.ask(address, OTHER).await, "invalid_credentials");
    let refused = case.world.log_out(&case.pair).await;
    assert_eq!(refused, "success");
    assert_eq!(case.ask(address, PASSWORD).await, "token_revoked");
}

/// Whoever has an account lets us write to any address: no more often than who signs up may.
async fn s5_8_users_cannot_drown_strangers_in_mail(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        assert_eq!(case.ask("victim@example.com", PASSWORD).await, "success");
        sent.push(case.mails().await.len());
    }
    assert_eq!(sent, [1, 1, 1, 0, 0]);
    assert_eq!(case.ask("other@example.com", PASSWORD).await, "success");
    assert_eq!(case.mails().await.len(), 1, "nobody else is concerned");
}

/// What only tells whether an address is known is told to nobody but its owner.
async fn s4_6_an_address_of_somebody_else_gets_no_mail_and_the_same_answer(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    case.world.register_verified("bob").await;
    assert_eq!(case.ask("bob@example.org", PASSWORD).await, "success");
    assert!(case.mails().await.is_empty());
    // Taken only after the mail was sent: then its reader has the address.
    assert_eq!(case.ask("carol@example.org", PASSWORD).await, "success");
    let (_, token) = case.mail().await;
    case.world.register("carol").await.unwrap();
    assert_eq!(case.confirm(&token).await, "email_taken");
    assert_eq!(case.alice().await.email.as_str(), "alice@example.org");
}

async fn s8_1_a_link_is_good_for_its_time_and_its_purpose(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    assert_eq!(case.ask("old@example.org", PASSWORD).await, "success");
    let (_, replaced) = case.mail().await;
    assert_eq!(case.ask("new@example.org", PASSWORD).await, "success");
    let (_, token) = case.mail().await;
    assert_eq!(case.confirm(&replaced).await, "link_invalid");
    assert_eq!(case.undo(&token).await, "link_invalid");
    assert_eq!(case.confirm("").await, "link_invalid");
    case.world.clock.advance(DAY);
    assert_eq!(case.confirm(&token).await, "link_expired");
}

async fn s7_10_who_undoes_it_is_alone_with_the_account(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let undo = case.change("thief@example.org").await;
    let later = case.change("thief@example.net").await;
    case.world.clock.advance(MINUTE);
    assert_eq!(case.undo(&undo).await, "success");
    let alice = case.alice().await;
    assert_eq!(alice.email.as_str(), "alice@example.org");
    let by = Actor::User(alice.id);
    assert_eq!(case.last_act().await, (AuditAct::EmailChangeUndone, by));
    assert_eq!(case.undo(&undo).await, "link_used");
    assert_eq!(case.undo(&later).await, "link_used");
    let refreshed = case.world.refresh(case.pair.refresh_token.expose()).await;
    assert_eq!(refreshed, Err("token_revoked"));
    assert_eq!(
        code(case.world.log_in("alice").await),
        "invalid_credentials",
        "whoever knew the password knows it still"
    );
    let (mail, token) = case.mail().await;
    assert_eq!(mail.to.as_str(), "alice@example.org");
    let (engine, password) = (&case.world.engine, Password::new(OTHER));
    let reset = engine.reset_password(&token, password, &context()).await;
    assert_eq!(code(reset), "success");
    assert_eq!(
        code(case.world.log_in_with("alice", OTHER).await),
        "success"
    );
}

/// Whoever knew the former password has asked for an address of their own, and waits: a new password
/// ends that too, however it is set.
async fn s8_1_a_link_to_a_thiefs_address_dies_with_the_password(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let (engine, id) = (&case.world.engine, case.caller.user_id);
    assert_eq!(case.ask("thief@example.org", PASSWORD).await, "success");
    let (_, stolen) = case.mail().await;
    let asked = engine
        .request_password_reset("alice@example.org", &context())
        .await;
    assert_eq!(code(asked), "success");
    let (_, token) = case.mail().await;
    let reset = engine
        .reset_password(&token, Password::new(OTHER), &context())
        .await;
    assert_eq!(code(reset), "success");
    assert_eq!(case.confirm(&stolen).await, "link_invalid");

    case.world.clock.advance(MINUTE);
    let stolen = case.ask_anew("thief@example.org", OTHER).await;
    let by = Administrator::Operator;
    let set = engine
        .set_password(by, id, Password::new(PASSWORD), &context())
        .await;
    assert_eq!(code(set), "success");
    assert_eq!(case.confirm(&stolen).await, "link_invalid");

    case.world.clock.advance(MINUTE);
    let stolen = case.ask_anew("thief@example.org", PASSWORD).await;
    let pair = case.world.log_in("alice").await.unwrap();
    let owner = engine.access_token_verifier();
    let owner = owner.verify(pair.access_token.expose()).unwrap();
    let change = PasswordChange::new(Password::new(PASSWORD), Password::new(OTHER));
    let changed = engine.change_own_password(&owner, change, &context()).await;
    assert_eq!(code(changed), "success");
    assert_eq!(case.confirm(&stolen).await, "link_invalid");
    assert_eq!(case.alice().await.email.as_str(), "alice@example.org");
}

async fn s8_1_a_change_is_undone_within_a_day(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let undo = case.change("new@example.org").await;
    assert_eq!(case.confirm(&undo).await, "link_invalid");
    case.world.clock.advance(DAY);
    assert_eq!(case.undo(&undo).await, "link_expired");
    assert_eq!(case.alice().await.email.as_str(), "new@example.org");
}

/// Whoever stole an account cannot keep it by taking the former address as well.
async fn s8_1_the_former_address_is_kept_for_who_had_it(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let undo = case.change("thief@example.org").await;
    let take = |name: &'static str| {
        let (engine, password) = (&case.world.engine, Password::new(PASSWORD));
        let user = auth_core::Registration::new(name, password, "Alice@example.org");
        let by = auth_core::Superuser::assume(auth_core::UserId::generate());
        async move { code(engine.register(by, user, &context()).await) }
    };
    assert_eq!(take("mallory").await, "email_taken");
    case.world.clock.advance(DAY - MINUTE);
    assert_eq!(take("mallory").await, "email_taken");
    assert_eq!(case.undo(&undo).await, "success");
    assert_eq!(case.alice().await.email.as_str(), "alice@example.org");
}

/// Who mistyped the address of the account gives its reader no say in it.
async fn s8_1_a_former_address_that_was_not_verified_gets_no_link(store: Arc<dyn Store>) {
    let world = World::with(store, |builder| {
        builder.with_email_verification(EmailVerification::Optional)
    });
    world.register("alice").await.unwrap();
    world.mailed_token().await;
    let case = Case::of(world).await;
    assert_eq!(case.ask("new@example.org", PASSWORD).await, "success");
    let (_, token) = case.mail().await;
    assert_eq!(case.confirm(&token).await, "success");
    assert_eq!(case.alice().await.email.as_str(), "new@example.org");
    assert!(case.mails().await.is_empty());

    let back = case.change("alice@example.org").await;
    assert_eq!(
        case.undo(&back).await,
        "success",
        "the new one was verified"
    );
}

async fn a_former_address_is_anybodys_after_a_day(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    case.change("new@example.org").await;
    case.world.clock.advance(DAY);
    let by = auth_core::Superuser::assume(auth_core::UserId::generate());
    let password = Password::new(PASSWORD);
    let user = auth_core::Registration::new("other", password, "alice@example.org");
    let engine = &case.world.engine;
    assert_eq!(code(engine.register(by, user, &context()).await), "success");
}

on_each_store!(
    s8_1_the_new_address_counts_when_it_is_confirmed,
    the_password_and_a_good_address_are_asked_for,
    s4_6_an_address_of_somebody_else_gets_no_mail_and_the_same_answer,
    s8_1_a_link_is_good_for_its_time_and_its_purpose,
    s7_10_who_undoes_it_is_alone_with_the_account,
    s5_8_users_cannot_drown_strangers_in_mail,
    s8_1_a_link_to_a_thiefs_address_dies_with_the_password,
    s8_1_a_change_is_undone_within_a_day,
    s8_1_the_former_address_is_kept_for_who_had_it,
    s8_1_a_former_address_that_was_not_verified_gets_no_link,
    a_former_address_is_anybodys_after_a_day,
);
