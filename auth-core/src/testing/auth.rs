//! An engine in memory.
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    reason = "a test whose surroundings fail has failed"
)]

use std::sync::Arc;

use super::{Mailbox, MailedLink, ManualClock};
use crate::mail::MailWorker;
use crate::store::SqliteStore;
use crate::{
    AccessToken, Argon2Params, AuthService as _, Engine, EngineBuilder, JwtKeys, Login, Password,
    PasswordHasher, Principal, Registration, RequestContext, SecretKey, SecretKeys, Superuser,
    Timestamp, TokenPair, UserId,
};

/// An engine for the tests of a host: its store is in memory, its clock stands still, and its mails
/// are caught.
///
/// Every method panics where a test cannot go on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::time::Duration;
///
/// use auth_core::AuthError;
/// use auth_core::testing::{TestAuth, principal};
///
/// let auth = TestAuth::new().await;
/// let verifier = auth.engine().access_token_verifier();
///
/// // A user who has gone all the way.
/// let alice = auth.register("alice").await;
/// let tokens = auth.log_in("alice").await;
/// let caller = verifier.verify(tokens.access_token.expose()).unwrap();
/// assert_eq!(caller.user_id, alice);
///
/// // A caller out of thin air, with whatever the test needs.
/// let token = auth.access_token(&principal().with_roles(["editor"]));
/// assert!(verifier.verify(token.expose()).unwrap().has_role("editor"));
///
/// auth.clock().advance(Duration::from_secs(600));
/// assert!(matches!(verifier.verify(token.expose()), Err(AuthError::TokenExpired)));
/// # }
/// ```
#[derive(Debug)]
pub struct TestAuth {
    engine: Engine,
    clock: Arc<ManualClock>,
    mailbox: Arc<Mailbox>,
    mails: MailWorker,
}

impl TestAuth {
    /// The password of the users that [`register`](Self::register) makes.
    pub const PASSWORD: &'static str = "correct horse battery";

    /// Makes one with the default settings.
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    /// Makes one with other settings.
    pub async fn with(settings: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let store = SqliteStore::in_memory().await.expect("SQLite works");
        store.migrate().await.expect("the migrations apply");
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(
            1_700_000_000,
        )));
        let key = || SecretKey::generate().expect("there is randomness");
        let hasher = PasswordHasher::builder().with_params(Argon2Params::insecure_for_tests());
        let builder = Engine::builder(
            Arc::new(store),
            SecretKeys::new(key()),
            JwtKeys::hs256(key()),
        )
        .with_password_hasher(hasher.build().expect("threads can be started"))
        .with_clock(Arc::<ManualClock>::clone(&clock));
        let engine = settings(builder).build().expect("the settings are good");
        let mailbox = Arc::new(Mailbox::default());
        Self {
            mails: engine.mail_worker(Arc::<Mailbox>::clone(&mailbox)),
            engine,
            clock,
            mailbox,
        }
    }

    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The clock of the engine, and of its verifiers.
    #[must_use]
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Registers a user with the address `NAME@example.org`, who has verified it.
    pub async fn register(&self, username: &str) -> UserId {
        let id = self.register_unverified(username).await;
        let link = self.mailed_link(&address_of(username)).await;
        let context = RequestContext::default();
        let verified = self.engine.verify_email(&link.token, &context).await;
        verified.expect("the link is good");
        id
    }

    /// Registers a user with the address `NAME@example.org`, to whom a link is owed.
    pub async fn register_unverified(&self, username: &str) -> UserId {
        let email = address_of(username);
        let user = Registration::new(username, Password::new(Self::PASSWORD), email);
        let by = Superuser::assume(UserId::generate());
        let context = RequestContext::default();
        let registered = self.engine.register(by, user, &context).await;
        registered.expect("the user can be registered")
    }

    /// Logs a user in that [`register`](Self::register) has made.
    pub async fn log_in(&self, username: &str) -> TokenPair {
        let login = Login::new(username, Password::new(Self::PASSWORD));
        let tokens = self.engine.log_in(login, &RequestContext::default()).await;
        tokens.expect("the user can log in")
    }

    /// Makes a token of a caller whom no store needs to know.
    ///
    /// It carries the caller's roles and [claims](Principal::with_claims), and is new on the clock,
    /// whatever the caller says of its times.
    #[must_use]
    pub fn access_token(&self, caller: &Principal) -> AccessToken {
        let token = self.engine.issue_to(caller);
        token.expect("no claim is reserved, and the token is short enough")
    }

    /// Delivers the mails that are owed, and gives the link of the last one to this address.
    pub async fn mailed_link(&self, address: &str) -> MailedLink {
        let delivered = self.mails.deliver_due().await;
        delivered.expect("the outbox can be read");
        let mails = self.mailbox.take();
        let to_address = |mail: &&crate::mail::Mail| mail.to.as_str() == address;
        let mail = mails.iter().rev().find(to_address);
        let link = mail.and_then(|mail| MailedLink::find(&mail.text));
        link.expect("there is a mail with a link")
    }
}

fn address_of(username: &str) -> String {
    format!("{username}@example.org")
}
