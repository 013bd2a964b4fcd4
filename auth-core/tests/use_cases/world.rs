//! What the tests take place in.

use std::sync::Arc;

use auth_core::mail::MailWorker;
use auth_core::store::Store;
use auth_core::testing::{Mailbox, MailedLink, ManualClock};
use auth_core::{
    Account, Argon2Params, AuthError, AuthService, EmailChangeRequest, Engine, EngineBuilder,
    JwtKeys, Login, Password, PasswordHasher, Registration, RequestContext, SecretKey, SecretKeys,
    Superuser, Timestamp, TokenPair, UserId,
};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// An engine over a store, with a clock to move and a box for its mails.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) mails: Arc<Mailbox>,
    pub(crate) worker: MailWorker,
    pub(crate) store: Arc<dyn Store>,
}

pub(crate) fn secret(text: &str) -> SecretKey {
    SecretKey::parse(text).unwrap()
}

pub(crate) fn hasher(params: Argon2Params) -> PasswordHasher {
    PasswordHasher::builder()
        .with_params(params)
        .build()
        .unwrap()
}

impl World {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self::with(store, |builder| builder)
    }

    pub(crate) fn with(
        store: Arc<dyn Store>,
        settings: impl FnOnce(EngineBuilder) -> EngineBuilder,
    ) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(
            1_700_000_000,
        )));
        let builder = Engine::builder(
            Arc::clone(&store),
            SecretKeys::new(secret("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0")),
            JwtKeys::hs256(secret("Zt5Rw8Qp2Ys7Vx4Uk9Bn3Mc6Lf1Jh0Dg")),
        )
        .with_public_url("https://auth.example.org")
        .with_password_hasher(hasher(Argon2Params::insecure_for_tests()))
        .with_clock(Arc::<ManualClock>::clone(&clock));
        let engine = settings(builder).build().unwrap();
        let mails = Arc::new(Mailbox::default());
        let worker = engine.mail_worker(Arc::<Mailbox>::clone(&mails));
        Self {
            engine,
            clock,
            mails,
            worker,
            store,
        }
    }

    pub(crate) async fn register(&self, name: &str) -> Result<UserId, AuthError> {
        let email = format!("{}@example.org", name.replace('@', "-at-"));
        let registration = Registration::new(name, Password::new(PASSWORD), email);
        let by = Superuser::assume(UserId::generate());
        self.engine
            .register(by, registration, &RequestContext::default())
            .await
    }

    /// Delivers what is owed, and gives the token of the only mail's link.
    pub(crate) async fn mailed_token(&self) -> String {
        self.worker.deliver_due().await.unwrap();
        let mails = self.mails.take();
        let [mail] = mails.as_slice() else {
            panic!("not one mail: {mails:?}");
        };
        MailedLink::find(&mail.text).unwrap().token
    }

    pub(crate) async fn register_verified(&self, name: &str) -> UserId {
        let id = self.register(name).await.unwrap();
        let token = self.mailed_token().await;
        self.engine
            .verify_email(&token, &RequestContext::default())
            .await
            .unwrap();
        id
    }

    pub(crate) async fn log_in(&self, name: &str) -> Result<TokenPair, AuthError> {
        self.log_in_with(name, PASSWORD).await
    }

    pub(crate) async fn log_in_with(
        &self,
        name: &str,
        password: &str,
    ) -> Result<TokenPair, AuthError> {
        self.engine
            .log_in(
                Login::new(name, Password::new(password)),
                &RequestContext::default(),
            )
            .await
    }

    pub(crate) async fn log_out(&self, pair: &TokenPair) -> &'static str {
        let token = pair.refresh_token.expose();
        code(self.engine.log_out(token, &RequestContext::default()).await)
    }

    /// Gives the user another address, through the mails; gives the token that undoes it.
    pub(crate) async fn change_email(&self, name: &str, address: &str) -> String {
        let context = RequestContext::default();
        let pair = self.log_in(name).await.unwrap();
        let verifier = self.engine.access_token_verifier();
        let caller = verifier.verify(pair.access_token.expose()).unwrap();
        let request = EmailChangeRequest::new(address, Password::new(PASSWORD));
        let asked = self.engine.request_email_change(&caller, request, &context);
        asked.await.unwrap();
        let token = self.mailed_token().await;
        let confirmed = self.engine.confirm_email_change(&token, &context).await;
        confirmed.unwrap();
        self.mailed_token().await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Result<Option<String>, &'static str> {
        let refreshed = self
            .engine
            .refresh(token, &RequestContext::default())
            .await
            .map_err(|error| error.code())?;
        Ok(refreshed
            .refresh_token
            .map(|token| token.expose().to_owned()))
    }
}

pub(crate) fn code<T>(result: Result<T, AuthError>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "success")
}
