//! An engine whose store calls wait for their turn.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use auth_core::audit::{Actor, AuditAct, AuditEvent};
use auth_core::store::{NewUser, Store};
use auth_core::testing::TokenMint;
use auth_core::{
    AccessTokenVerifier, Argon2Params, AuthService, Clock, Engine, JwtKeys, Login, Password,
    PasswordHash, PasswordHasher, RequestContext, Rotation, SecretKey, SecretKeys, SessionId,
    Timestamp, User, UserId,
};

use super::gate::{Gate, GatedStore};
use super::model::{GRACE, IDLE, LIFETIME};

/// More sessions of one user make the logins slow.
const SESSIONS_PER_USER: u32 = 50;

const PASSWORD: &str = "correct horse battery";

#[derive(Debug)]
pub(crate) struct StoppedClock(Mutex<Timestamp>);

impl StoppedClock {
    pub(crate) fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap() = now;
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// How often each branch of the model was taken, and what else should happen.
pub(crate) type Tally = BTreeMap<String, u64>;

/// An engine over a store of its own.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) verifier: AccessTokenVerifier,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<StoppedClock>,
    /// Makes the tokens of rotations that were lost.
    pub(crate) mint: TokenMint,
    hash: PasswordHash,
    user: (String, u32),
    pub(crate) tally: Tally,
}

pub(crate) fn start() -> Timestamp {
    Timestamp::from_unix_seconds(1_700_000_000)
}

impl World {
    pub(crate) async fn new(store: Arc<dyn Store>) -> Self {
        let secret = |text| SecretKey::parse(text).unwrap();
        let gate = Arc::new(Gate::default());
        let clock = Arc::new(StoppedClock(Mutex::new(start())));
        let hasher = || {
            PasswordHasher::builder()
                .with_params(Argon2Params::insecure_for_tests())
                .build()
                .unwrap()
        };
        let gated = GatedStore::new(Arc::clone(&store), Arc::clone(&gate));
        let secret_keys = SecretKeys::new(secret("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0"));
        let jwt_keys = JwtKeys::hs256(secret("Zt5Rw8Qp2Ys7Vx4Uk9Bn3Mc6Lf1Jh0Dg"));
        let mint = TokenMint::new(&secret_keys, &jwt_keys, "https://auth.example.org");
        let engine = Engine::builder(Arc::new(gated), secret_keys, jwt_keys)
            .with_password_hasher(hasher())
            .with_rotation(Rotation::On { grace: GRACE })
            .with_refresh_ttl(LIFETIME)
            .with_idle_ttl(IDLE)
            .with_max_sessions_per_user(NonZeroU32::MAX)
            .with_clock(Arc::<StoppedClock>::clone(&clock))
            .build()
            .unwrap();
        Self {
            verifier: engine.access_token_verifier(),
            engine,
            mint,
            store,
            gate,
            clock,
            hash: hasher().hash(Password::new(PASSWORD)).await.unwrap(),
            user: (String::new(), SESSIONS_PER_USER),
            tally: Tally::new(),
        }
    }

    pub(crate) fn count(&mut self, what: impl Into<String>) {
        *self.tally.entry(what.into()).or_default() += 1;
    }

    /// Logs in; gives the session and its first token.
    pub(crate) async fn log_in(&mut self) -> (SessionId, String) {
        if self.user.1 == SESSIONS_PER_USER {
            let id = UserId::generate();
            let name = format!("user-{id}");
            let email = format!("{id}@example.org").parse().unwrap();
            let mut user = User::new(id, name.parse().unwrap(), email, start());
            user.email_verified_at = Some(start());
            let user = NewUser::new(user, self.hash.clone());
            let context = RequestContext::default();
            let event = AuditEvent::new(start(), AuditAct::UserRegistered, Actor::System, &context);
            self.store.create_user(&user, None, &event).await.unwrap();
            self.user = (name, 0);
        }
        self.user.1 += 1;
        let login = Login::new(&self.user.0, Password::new(PASSWORD));
        let login = self.engine.log_in(login, &RequestContext::default()).await;
        let tokens = login.unwrap();
        let principal = self.verifier.verify(tokens.access_token.expose()).unwrap();
        let token = tokens.refresh_token.expose().to_owned();
        (principal.session_id, token)
    }
}
