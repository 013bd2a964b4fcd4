//! Refreshing: whose the next token is, how long a session lasts, and how many there are.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use auth_core::audit::{AuditAct, ReuseKind};
use auth_core::store::{EventFilter, Store};
use auth_core::testing::{ManualClock, TokenMint};
use auth_core::{
    Argon2Params, AuthService, EmailVerification, Engine, EngineBuilder, Generation,
    IdempotencyKey, JwtKeys, Login, LoginThrottle, Password, PasswordHasher, Registration,
    RequestContext, Rotation, SecretKey, SecretKeys, Session, SettingsError, Superuser, Timestamp,
    UserId,
};

use crate::support::on_each_store;

const PASSWORD: &str = "correct horse battery";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const GRACE: Duration = Rotation::DEFAULT_GRACE;

/// An engine with one user, and a clock to move.
struct World {
    engine: Engine,
    clock: Arc<ManualClock>,
    store: Arc<dyn Store>,
}

fn keys() -> (SecretKeys, JwtKeys) {
    let secret = |text| SecretKey::parse(text).unwrap();
    (
        SecretKeys::new(secret("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0")),
        JwtKeys::hs256(secret("Zt5Rw8Qp2Ys7Vx4Uk9Bn3Mc6Lf1Jh0Dg")),
    )
}

fn builder(store: &Arc<dyn Store>) -> EngineBuilder {
    let (secret_keys, jwt_keys) = keys();
    let hasher = PasswordHasher::builder().with_params(Argon2Params::insecure_for_tests());
    Engine::builder(Arc::clone(store), secret_keys, jwt_keys)
        .with_password_hasher(hasher.build().unwrap())
        .with_email_verification(EmailVerification::Optional)
}

impl World {
    async fn with(
        store: Arc<dyn Store>,
        settings: impl FnOnce(EngineBuilder) -> EngineBuilder,
    ) -> Self {
        let world = Self::over(store, settings);
        let alice = Registration::new("alice", Password::new(PASSWORD), "alice@example.org");
        let by = Superuser::assume(UserId::generate());
        let context = RequestContext::default();
        world.engine.register(by, alice, &context).await.unwrap();
        world
    }

    /// Over a store with the user in it.
    fn over(store: Arc<dyn Store>, settings: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let start = Timestamp::from_unix_seconds(1_700_000_000);
        let clock = Arc::new(ManualClock::new(start));
        let builder = builder(&store)
            // Some of these tests log one user in many times at once.
            .with_login_throttle(LoginThrottle::insecure_off())
            .with_clock(Arc::<ManualClock>::clone(&clock));
        let engine = settings(builder).build().unwrap();
        Self {
            engine,
            clock,
            store,
        }
    }

    async fn rotating(store: Arc<dyn Store>, grace: Duration) -> Self {
        Self::with(store, |builder| {
            builder.with_rotation(Rotation::On { grace })
        })
        .await
    }

    /// The refresh token of a new session, and the session.
    async fn log_in(&self) -> (String, Session) {
        let login = Login::new("alice", Password::new(PASSWORD));
        let login = self.engine.log_in(login, &RequestContext::default()).await;
        let tokens = login.unwrap();
        let verifier = self.engine.access_token_verifier();
        let id = verifier.verify(tokens.access_token.expose()).unwrap();
        let session = self.store.find_session(id.session_id).await.unwrap();
        (tokens.refresh_token.expose().to_owned(), session.unwrap())
    }

    /// Refreshes with an idempotency key, or with none where it is empty.
    async fn refresh(&self, token: &str, key: &str) -> Result<Option<String>, &'static str> {
        let mut context = RequestContext::default();
        context.idempotency_key = IdempotencyKey::parse(key);
        let refreshed = self.engine.refresh(token, &context).await;
        let refreshed = refreshed.map_err(|error| error.code())?;
        let next = refreshed.refresh_token;
        Ok(next.map(|token| token.expose().to_owned()))
    }

    async fn next(&self, token: &str, key: &str) -> String {
        self.refresh(token, key).await.unwrap().unwrap()
    }

    /// From where to where sessions have followed their tokens.
    async fn followed(&self) -> Vec<(u32, u32)> {
        let mut filter = EventFilter::default();
        filter.kind = Some("session_followed".to_owned());
        let events = self.store.list_events(&filter).await.unwrap();
        let acts = events.into_iter().map(|event| match event.act {
            AuditAct::SessionFollowed { from, to, .. } => (from, to),
            other => panic!("{other:?}"),
        });
        let mut followed: Vec<_> = acts.collect();
        followed.sort_unstable();
        followed
    }

    /// What reuse looked like, the latest first.
    async fn reuse(&self) -> Vec<(ReuseKind, u64)> {
        let mut filter = EventFilter::default();
        filter.kind = Some("reuse_detected".to_owned());
        let events = self.store.list_events(&filter).await.unwrap();
        let acts = events.into_iter().map(|event| match event.act {
            AuditAct::ReuseDetected {
                reuse, age_seconds, ..
            } => (reuse, age_seconds),
            other => panic!("{other:?}"),
        });
        acts.collect()
    }
}

async fn s7_8_the_key_of_a_rotation_gets_its_successor_until_that_is_used(store: Arc<dyn Store>) {
    let world = World::rotating(store, GRACE).await;
    let (first, _) = world.log_in().await;
    let second = world.next(&first, "one").await;
    for _ in 0..3 {
        world.clock.advance(90 * MINUTE);
        assert_eq!(world.next(&first, "one").await, second);
    }
    world.next(&second, "two").await;
    assert_eq!(world.refresh(&first, "one").await, Err("token_revoked"));
    assert_eq!(world.reuse().await, [(ReuseKind::OldGeneration, 0)]);
}

async fn s7_8_another_client_is_refused_within_the_grace_and_harms_nobody(store: Arc<dyn Store>) {
    let world = World::rotating(store, GRACE).await;
    let (first, session) = world.log_in().await;
    let second = world.next(&first, "one").await;
    for other in ["two", ""] {
        assert_eq!(world.refresh(&first, other).await, Err("refresh_contested"));
    }
    assert_eq!(world.next(&first, "one").await, second);
    world.next(&second, "").await;
    assert_eq!(world.reuse().await, []);
    world.engine.audit_writer().flush().await.unwrap();
    let mut filter = EventFilter::default();
    filter.kind = Some("refresh_contested".to_owned());
    let contested = world.store.list_events(&filter).await.unwrap();
    let sessions: HashSet<_> = contested.iter().map(|event| event.session).collect();
    assert_eq!(sessions, HashSet::from([Some(session.id)]));
}

async fn s7_8_another_client_after_the_grace_ends_the_session(store: Arc<dyn Store>) {
    let world = World::rotating(store, GRACE).await;
    for other in ["two", ""] {
        let (first, _) = world.log_in().await;
        let second = world.next(&first, "one").await;
        world.clock.advance(GRACE);
        assert_eq!(world.refresh(&first, other).await, Err("token_revoked"));
        assert_eq!(world.refresh(&second, "one").await, Err("token_revoked"));
    }
    assert_eq!(world.reuse().await, [(ReuseKind::OtherClient, 30); 2]);
}

async fn s7_8_reuse_is_told_of_with_its_kind_and_age(store: Arc<dyn Store>) {
    let world = World::rotating(store, GRACE).await;
    let (first, _) = world.log_in().await;
    world.next(&first, "").await;
    world.clock.advance(90 * MINUTE);
    assert_eq!(world.refresh(&first, "").await, Err("token_revoked"));
    assert_eq!(world.reuse().await, [(ReuseKind::LostAnswer, 5400)]);
    // An ended session is told of once.
    assert_eq!(world.refresh(&first, "").await, Err("token_revoked"));
    assert_eq!(world.reuse().await.len(), 1);
}

/// The tokens that the database has lost are made with the engine's keys.
async fn a_session_follows_a_token_that_is_ahead(store: Arc<dyn Store>) {
    let (secret_keys, jwt_keys) = keys();
    let mint = TokenMint::new(&secret_keys, &jwt_keys, "https://auth.example.org");
    let world = World::rotating(Arc::clone(&store), GRACE).await;
    let (first, session) = world.log_in().await;
    let token = |generation| {
        let token = mint.refresh_token(session.id, Generation::new(generation));
        token.expose().to_owned()
    };
    assert_eq!(world.next(&first, "").await, token(1));
    // Of many at once with the same token, all get the one successor.
    let ahead = token(7);
    let answers = (0..20).map(|_| world.refresh(&ahead, "one"));
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(answer, Ok(Some(token(8))));
    }
    assert_eq!(world.followed().await, [(1, 8)]);
    assert_eq!(world.next(&token(8), "").await, token(9));
    // What was replaced meanwhile is reuse, as ever.
    assert_eq!(world.refresh(&token(1), "").await, Err("token_revoked"));
    assert_eq!(world.refresh(&token(12), "").await, Err("token_revoked"));
    assert_eq!(world.followed().await.len(), 1);

    // Without rotation the row is where the token is, which stays good.
    let plain = World::over(store, |builder| builder);
    let (_, session) = plain.log_in().await;
    let token = mint.refresh_token(session.id, Generation::new(5));
    for _ in 0..3 {
        assert_eq!(plain.refresh(token.expose(), "").await, Ok(None));
    }
    assert_eq!(plain.followed().await, [(0, 5), (1, 8)]);
    let session = plain.store.find_session(session.id).await.unwrap();
    assert_eq!(session.unwrap().generation, Generation::new(5));
    let expired = mint.refresh_token(world.log_in().await.1.id, Generation::new(5));
    world.clock.advance(15 * 24 * HOUR);
    assert_eq!(
        world.refresh(expired.expose(), "").await,
        Err("token_expired")
    );
}

async fn s7_8_without_a_grace_only_the_key_gets_the_successor(store: Arc<dyn Store>) {
    let world = World::rotating(store, Duration::ZERO).await;
    let (first, _) = world.log_in().await;
    let second = world.next(&first, "one").await;
    assert_eq!(world.next(&first, "one").await, second);
    assert_eq!(world.refresh(&first, "").await, Err("token_revoked"));
    assert_eq!(world.refresh(&second, "").await, Err("token_revoked"));
}

async fn s7_8_of_many_clients_at_once_one_gets_the_successor(store: Arc<dyn Store>) {
    let world = World::rotating(store, GRACE).await;
    let (first, session) = world.log_in().await;
    let keys: Vec<String> = (0..100).map(|key| key.to_string()).collect();
    let tries = keys.iter().map(|key| world.refresh(&first, key));
    let answers = futures_util::future::join_all(tries).await;
    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(good.len(), 1);
    assert_eq!(refused, vec![Err("refresh_contested"); 99]);
    let session = world.store.find_session(session.id).await.unwrap().unwrap();
    assert_eq!((session.generation.number(), session.revoked_at), (1, None));
}

async fn s7_4_an_idle_session_ends_and_a_used_one_goes_on(store: Arc<dyn Store>) {
    let world = World::with(store, |builder| {
        builder
            .with_rotation(Rotation::On { grace: GRACE })
            .with_idle_ttl(DAY)
    })
    .await;
    let (mut token, session) = world.log_in().await;
    for _ in 0..3 {
        world.clock.advance(DAY - MINUTE);
        token = world.next(&token, "").await;
    }
    world.clock.advance(DAY);
    assert_eq!(world.refresh(&token, "").await, Err("token_expired"));
    let found = world.store.find_session(session.id).await.unwrap().unwrap();
    assert_eq!(found.expires_at, session.expires_at);
}

async fn s7_4_without_rotation_a_use_is_noted_once_an_hour(store: Arc<dyn Store>) {
    let world = World::with(store, |builder| builder.with_idle_ttl(2 * HOUR)).await;
    let (token, session) = world.log_in().await;
    let mut noted = HashSet::new();
    for _ in 0..24 {
        world.clock.advance(10 * MINUTE);
        assert_eq!(world.refresh(&token, "").await, Ok(None));
        let found = world.store.find_session(session.id).await.unwrap().unwrap();
        noted.extend(found.used_at);
        assert_eq!(found.expires_at, session.expires_at);
    }
    assert_eq!(noted.len(), 4, "in four hours");
    world.clock.advance(2 * HOUR);
    assert_eq!(world.refresh(&token, "").await, Err("token_expired"));
}

async fn s7_4_without_an_idle_lifetime_a_refresh_writes_nothing(store: Arc<dyn Store>) {
    let world = World::with(store, |builder| builder).await;
    let (token, session) = world.log_in().await;
    world.clock.advance(13 * DAY);
    assert_eq!(world.refresh(&token, "one").await, Ok(None));
    let found = world.store.find_session(session.id).await.unwrap();
    assert_eq!(found, Some(session));
}

async fn s7_4_sessions_that_begin_together_end_a_little_apart(store: Arc<dyn Store>) {
    let world = World::with(store, |builder| builder.with_refresh_ttl(10 * DAY)).await;
    let mut lifetimes = HashSet::new();
    for _ in 0..10 {
        let (_, session) = world.log_in().await;
        let lifetime = session.expires_at.saturating_since(session.created_at);
        assert!(lifetime <= 10 * DAY && lifetime >= 10 * DAY * 95 / 100);
        lifetimes.insert(lifetime);
    }
    assert!(lifetimes.len() > 5, "{lifetimes:?}");
}

async fn s7_5_a_login_too_many_ends_the_oldest_session(store: Arc<dyn Store>) {
    let world = World::with(store, |builder| {
        builder.with_max_sessions_per_user(NonZeroU32::new(2).unwrap())
    })
    .await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(world.log_in().await.0);
        world.clock.advance(MINUTE);
    }
    let mut answers = Vec::new();
    for token in &tokens {
        answers.push(world.refresh(token, "").await);
    }
    assert_eq!(answers, [Err("token_revoked"), Ok(None), Ok(None)]);
}

async fn s7_5_a_user_has_a_hundred_sessions_by_default(store: Arc<dyn Store>) {
    let world = World::with(store, |builder| builder).await;
    let logins = (0..105).map(|_| world.log_in());
    let begun = futures_util::future::join_all(logins).await;
    let mut live = 0;
    for (token, _) in begun {
        live += u32::from(world.refresh(&token, "").await.is_ok());
    }
    assert_eq!(live, 100);
}

async fn an_idle_lifetime_shorter_than_what_is_noted_is_refused(store: Arc<dyn Store>) {
    let build = |ttl| builder(&store).with_idle_ttl(ttl).build();
    assert!(build(2 * HOUR).is_ok());
    let refused = build(2 * HOUR - MINUTE);
    assert!(matches!(refused, Err(SettingsError::IdleTtl)));
}

on_each_store![
    s7_8_the_key_of_a_rotation_gets_its_successor_until_that_is_used,
    s7_8_another_client_is_refused_within_the_grace_and_harms_nobody,
    s7_8_another_client_after_the_grace_ends_the_session,
    s7_8_reuse_is_told_of_with_its_kind_and_age,
    a_session_follows_a_token_that_is_ahead,
    s7_8_without_a_grace_only_the_key_gets_the_successor,
    s7_8_of_many_clients_at_once_one_gets_the_successor,
    s7_4_an_idle_session_ends_and_a_used_one_goes_on,
    s7_4_without_rotation_a_use_is_noted_once_an_hour,
    s7_4_without_an_idle_lifetime_a_refresh_writes_nothing,
    s7_4_sessions_that_begin_together_end_a_little_apart,
    s7_5_a_login_too_many_ends_the_oldest_session,
    s7_5_a_user_has_a_hundred_sessions_by_default,
    an_idle_lifetime_shorter_than_what_is_noted_is_refused,
];
