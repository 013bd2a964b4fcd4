//! What is revoked at one node is refused at the others, long before it expires.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use auth_core::audit::AuditEvent;
use auth_core::store::{SqliteStore, Store};
use auth_core::testing::ManualClock;
use auth_core::{
    Account, Administration, Administrator, AuthService, Bootstrap, Clock, Engine, EngineBuilder,
    OwnSessions, Password, PasswordChange, Registration, RequestContext, Role, Roles, SystemClock,
    Timestamp, UserId,
};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::support::{self, on_each_store};
use crate::world::{PASSWORD, World, code};

const PATIENCE: Duration = Duration::from_secs(30);

/// A node over the store that learns of what others revoke.
pub(crate) fn follow(engine: &Engine) {
    tokio::spawn(engine.revocation_follower().run(std::future::pending()));
}

pub(crate) async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.unwrap();
}

pub(crate) fn verdict(engine: &Engine, access_token: &str) -> &'static str {
    code(engine.access_token_verifier().verify(access_token))
}

fn remembering(builder: EngineBuilder) -> EngineBuilder {
    builder.with_token_cache(NonZeroUsize::new(100).unwrap())
}

/// Two nodes, of which the other one is asked, and a user of theirs; one remembers tokens.
async fn nodes(store: &Arc<dyn Store>) -> (World, World, UserId) {
    let here = World::new(Arc::clone(store));
    let there = World::with(Arc::clone(store), remembering);
    follow(&there.engine);
    let alice = here.register_verified("alice").await;
    (here, there, alice)
}

fn context() -> RequestContext {
    RequestContext::default()
}

async fn s7_7_a_logout_ends_the_access_token_at_every_node(store: Arc<dyn Store>) {
    let (here, there, _) = nodes(&store).await;
    let [ended, other] = [
        here.log_in("alice").await.unwrap(),
        here.log_in("alice").await.unwrap(),
    ];
    for node in [&here, &there] {
        assert_eq!(
            verdict(&node.engine, ended.access_token.expose()),
            "success"
        );
    }
    let refresh_token = ended.refresh_token.expose();
    here.engine
        .log_out(refresh_token, &context())
        .await
        .unwrap();
    // The node that did it waits for nobody.
    let access_token = ended.access_token.expose();
    assert_eq!(verdict(&here.engine, access_token), "token_revoked");
    until(|| verdict(&there.engine, access_token) == "token_revoked").await;
    for node in [&here, &there] {
        assert_eq!(
            verdict(&node.engine, other.access_token.expose()),
            "success"
        );
    }
}

/// The node has heard of the store once more.
async fn next_poll(engine: &Engine) {
    let last = Cell::new(engine.revocations().lag());
    until(|| {
        let lag = engine.revocations().lag();
        lag < last.replace(lag)
    })
    .await;
}

/// Each poll of PostgreSQL tells again what is younger than a minute.
#[tokio::test]
async fn fault_b7b_what_is_told_again_does_not_fill_a_set_again() {
    let (store, _database) = support::postgres().await;
    let on_time = |builder: EngineBuilder| builder.with_node_clock(Arc::new(SystemClock));
    let here = World::with(Arc::clone(&store), on_time);
    let there = World::with(store, |builder| {
        on_time(builder).with_revocation_capacity(NonZeroUsize::new(4).unwrap())
    });
    follow(&there.engine);
    here.register_verified("alice").await;
    let mut ended = Vec::new();
    for _ in 0..10 {
        let tokens = here.log_in("alice").await.unwrap();
        let refresh_token = tokens.refresh_token.expose();
        here.engine
            .log_out(refresh_token, &context())
            .await
            .unwrap();
        ended.push(tokens);
    }
    let refused = || {
        let mut verdicts = ended
            .iter()
            .map(|tokens| verdict(&there.engine, tokens.access_token.expose()));
        verdicts.all(|verdict| verdict != "success")
    };
    until(refused).await;
    // Polls are a second apart: the one in which the set was full is over.
    for _ in 0..3 {
        next_poll(&there.engine).await;
    }
    let refreshed = here.log_in("alice").await.unwrap();
    let access_token = refreshed.access_token.expose();
    assert_eq!(verdict(&there.engine, access_token), "success");
    for _ in 0..3 {
        next_poll(&there.engine).await;
        assert_eq!(verdict(&there.engine, access_token), "success");
        assert!(refused());
    }
}

async fn s7_7_a_node_that_starts_late_knows_what_was_revoked_before(store: Arc<dyn Store>) {
    let (here, _, _) = nodes(&store).await;
    let tokens = here.log_in("alice").await.unwrap();
    let refresh_token = tokens.refresh_token.expose();
    here.engine
        .log_out(refresh_token, &context())
        .await
        .unwrap();
    let late = World::new(Arc::clone(&store));
    assert_eq!(
        verdict(&late.engine, tokens.access_token.expose()),
        "success"
    );
    follow(&late.engine);
    until(|| late.engine.revocations().is_healthy()).await;
    assert_eq!(
        verdict(&late.engine, tokens.access_token.expose()),
        "token_revoked"
    );
}

async fn s9_3_who_is_shut_out_is_refused_at_every_node(store: Arc<dyn Store>) {
    let (here, there, alice) = nodes(&store).await;
    let bob = here.register_verified("bob").await;
    for (name, user) in [("alice", alice), ("bob", bob)] {
        let tokens = here.log_in(name).await.unwrap();
        let by = Administrator::Operator;
        let done = match name {
            "alice" => here.engine.deactivate_user(by, user, &context()).await,
            _ => here.engine.delete_user(by, user, &context()).await,
        };
        done.unwrap();
        let access_token = tokens.access_token.expose();
        assert_ne!(verdict(&here.engine, access_token), "success");
        until(|| verdict(&there.engine, access_token) == "token_revoked").await;
        let refreshed = there.refresh(tokens.refresh_token.expose()).await;
        assert_eq!(refreshed, Err("token_revoked"));
    }
}

/// What takes back tokens that were issued before.
#[derive(Clone, Copy, Debug)]
enum Taking {
    Reset,
    LogoutEverywhere,
    OwnPassword,
    Reactivation,
    Roles,
    Demotion,
    Operator,
}

impl Taking {
    const ALL: [Self; 7] = [
        Self::Reset,
        Self::LogoutEverywhere,
        Self::OwnPassword,
        Self::Reactivation,
        Self::Roles,
        Self::Demotion,
        Self::Operator,
    ];

    /// Whether the session of the token that is taken back goes on.
    const fn leaves_the_session(self) -> bool {
        matches!(self, Self::Roles | Self::Demotion)
    }

    async fn take(self, node: &World, alice: UserId, round: usize) {
        let (engine, by, context) = (&node.engine, Administrator::Operator, context());
        match self {
            Self::Reset => {
                let asked = engine.request_password_reset("alice@example.org", &context);
                asked.await.unwrap();
                let token = node.mailed_token().await;
                let reset = engine.reset_password(&token, Password::new(PASSWORD), &context);
                reset.await.unwrap();
            }
            Self::LogoutEverywhere | Self::OwnPassword => {
                let session = node.log_in("alice").await.unwrap();
                let verifier = engine.access_token_verifier();
                let caller = verifier.verify(session.access_token.expose()).unwrap();
                if let Self::OwnPassword = self {
                    let change =
                        PasswordChange::new(Password::new(PASSWORD), Password::new(PASSWORD));
                    let changed = engine.change_own_password(&caller, change, &context);
                    changed.await.unwrap();
                } else {
                    let ended = engine.end_own_sessions(&caller, OwnSessions::All, &context);
                    ended.await.unwrap();
                }
            }
            Self::Reactivation => {
                let done = engine.deactivate_user(by, alice, &context).await;
                done.unwrap();
                engine.activate_user(by, alice, &context).await.unwrap();
            }
            Self::Roles => {
                let roles = Roles::parse([format!("role-{round}").as_str()]).unwrap();
                let done = engine.set_roles(by, alice, &roles, &context).await;
                done.unwrap();
            }
            Self::Demotion => {
                let done = engine.revoke_superuser(by, alice, &context).await;
                done.unwrap();
            }
            Self::Operator => {
                let ended = engine.end_user_sessions(by, alice, &context).await;
                ended.unwrap();
            }
        }
    }
}

/// The clocks stand still, so that everything is within one second, and are seconds apart.
/// `AUTH_TEST_CHANGES=10000` makes more of it.
#[expect(clippy::indexing_slicing, reason = "the tables are written beside")]
async fn s19_5_a_token_issued_after_a_change_is_good_at_once_and_everywhere(store: Arc<dyn Store>) {
    let rounds = std::env::var("AUTH_TEST_CHANGES");
    let rounds: usize = rounds.map_or(100, |rounds| rounds.parse().unwrap());
    let clocks = [0, 4_300_000].map(|behind| {
        let at = Timestamp::from_unix_micros(1_700_000_010_400_000 - behind);
        Arc::new(ManualClock::new(at))
    });
    let nodes = clocks.each_ref().map(|clock| {
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
        let node = World::with(Arc::clone(&store), |builder| builder.with_clock(clock));
        follow(&node.engine);
        node
    });
    let [one, other] = &nodes;
    let operator = Registration::new("admin", Password::new(PASSWORD), "admin@localhost");
    let created = one
        .engine
        .create_superuser(operator, Bootstrap::FirstSuperuser);
    created.await.unwrap().unwrap();
    let alice = one.register_verified("alice").await;
    for round in 0..rounds {
        let taking = Taking::ALL[round % Taking::ALL.len()];
        let [acting, issuing, clock] = match round / Taking::ALL.len() % 4 {
            0 => [0, 1, 1],
            1 => [1, 0, 0],
            2 => [0, 0, 0],
            _ => [1, 1, 1],
        };
        let (acting, issuing, clock) = (&nodes[acting], &nodes[issuing], &clocks[clock]);
        if let Taking::Demotion = taking {
            let promoted = acting
                .engine
                .grant_superuser(Administrator::Operator, alice, &context())
                .await;
            promoted.unwrap();
        }
        let old = issuing.log_in("alice").await.unwrap();
        taking.take(acting, alice, round).await;
        let new = if taking.leaves_the_session() {
            let token = old.refresh_token.expose();
            let refreshed = issuing.engine.refresh(token, &context()).await;
            refreshed.unwrap().access_token
        } else {
            issuing.log_in("alice").await.unwrap().access_token
        };
        let at_once = [one, other].map(|node| verdict(&node.engine, new.expose()));
        assert_eq!(at_once, ["success"; 2], "{taking:?}");
        for node in [one, other] {
            until(|| verdict(&node.engine, old.access_token.expose()) != "success").await;
            assert_eq!(verdict(&node.engine, new.expose()), "success", "{taking:?}");
        }
        let verifier = one.engine.access_token_verifier();
        let issued_at = verifier.verify(new.expose()).unwrap().issued_at;
        assert!(issued_at <= clock.now(), "{taking:?}");
        assert_eq!(issued_at.unix_micros() % 1_000_000, 0, "{taking:?}");
        for clock in &clocks {
            clock.advance(Duration::from_micros(90_000_370_000));
        }
    }
}

async fn s9_2_a_demotion_ends_the_role_at_every_node(store: Arc<dyn Store>) {
    let (here, there, alice) = nodes(&store).await;
    let operator = Registration::new("admin", Password::new(PASSWORD), "admin@localhost");
    let created = here
        .engine
        .create_superuser(operator, Bootstrap::FirstSuperuser);
    created.await.unwrap().unwrap();
    let by = Administrator::Operator;
    let promoted = here.engine.grant_superuser(by, alice, &context()).await;
    promoted.unwrap();
    let tokens = here.log_in("alice").await.unwrap();
    let access_token = tokens.access_token.expose();
    let verifier = there.engine.access_token_verifier();
    let caller = verifier.verify(access_token).unwrap();
    assert!(caller.has_role(Role::SUPERUSER));

    let demoted = here.engine.revoke_superuser(by, alice, &context()).await;
    demoted.unwrap();
    assert_eq!(verdict(&here.engine, access_token), "token_expired");
    until(|| verdict(&there.engine, access_token) == "token_expired").await;

    // The session lives on, without the role.
    let refresh_token = tokens.refresh_token.expose();
    let refreshed = here.engine.refresh(refresh_token, &context()).await;
    let refreshed = refreshed.unwrap();
    let caller = verifier.verify(refreshed.access_token.expose()).unwrap();
    assert!(!caller.has_role(Role::SUPERUSER));
}

async fn s9_2_other_roles_end_the_tokens_at_every_node(store: Arc<dyn Store>) {
    let (here, there, alice) = nodes(&store).await;
    let by = Administrator::Operator;
    let roles = Roles::parse(["editor", "auditor"]).unwrap();
    let given = here.engine.set_roles(by, alice, &roles, &context()).await;
    given.unwrap();
    let tokens = here.log_in("alice").await.unwrap();
    let access_token = tokens.access_token.expose();
    let verifier = there.engine.access_token_verifier();
    let caller = verifier.verify(access_token).unwrap();
    let held: Vec<_> = caller.roles.iter().map(Role::as_str).collect();
    assert_eq!(held, ["auditor", "editor"]);

    let roles = Roles::parse(["editor"]).unwrap();
    let taken = here.engine.set_roles(by, alice, &roles, &context()).await;
    taken.unwrap();
    assert_eq!(verdict(&here.engine, access_token), "token_expired");
    until(|| verdict(&there.engine, access_token) == "token_expired").await;

    // The session lives on, with the roles of now.
    let refresh_token = tokens.refresh_token.expose();
    let refreshed = here.engine.refresh(refresh_token, &context()).await;
    let refreshed = refreshed.unwrap();
    let caller = verifier.verify(refreshed.access_token.expose()).unwrap();
    assert!(caller.has_role("editor") && !caller.has_role("auditor"));
}

async fn s7_10_a_new_password_or_an_order_ends_sessions_at_every_node(store: Arc<dyn Store>) {
    let (here, there, alice) = nodes(&store).await;
    let by = Administrator::Operator;
    let engine = &here.engine;
    for (act, expected) in [
        ("password", "token_revoked"),
        ("user", "token_revoked"),
        ("all", "token_expired"),
    ] {
        let tokens = here.log_in("alice").await.unwrap();
        match act {
            "password" => {
                let password = Password::new(PASSWORD);
                let changed = engine.set_password(by, alice, password, &context()).await;
                changed.unwrap();
            }
            "user" => {
                let ended = engine.end_user_sessions(by, alice, &context()).await;
                assert_eq!(ended.unwrap(), 1);
            }
            _ => {
                let ended = engine.end_all_sessions(by, &context()).await;
                assert_eq!(ended.unwrap(), 1);
            }
        }
        let access_token = tokens.access_token.expose();
        until(|| verdict(&there.engine, access_token) == expected).await;
        let refreshed = there.refresh(tokens.refresh_token.expose()).await;
        assert_eq!(refreshed, Err("token_revoked"), "{act}");
    }
}

async fn s7_5_the_session_that_makes_room_is_refused_at_every_node(store: Arc<dyn Store>) {
    let (_, there, _) = nodes(&store).await;
    let here = World::with(Arc::clone(&store), |builder| {
        builder.with_max_sessions_per_user(std::num::NonZeroU32::MIN)
    });
    let first = here.log_in("alice").await.unwrap();
    let second = here.log_in("alice").await.unwrap();
    let first = first.access_token.expose();
    until(|| verdict(&there.engine, first) == "token_revoked").await;
    let second = second.access_token.expose();
    assert_eq!(verdict(&there.engine, second), "success");
}

/// A set that grew with all that was ever revoked would end at its bound.
async fn a_node_forgets_what_has_expired(store: Arc<dyn Store>) {
    let (here, there, _) = nodes(&store).await;
    let tokens = here.log_in("alice").await.unwrap();
    let refresh_token = tokens.refresh_token.expose();
    here.engine
        .log_out(refresh_token, &context())
        .await
        .unwrap();
    until(|| there.engine.revocations().len() == 1).await;
    there.clock.advance(Duration::from_secs(10 * 60));
    until(|| there.engine.revocations().is_empty()).await;
    let access_token = tokens.access_token.expose();
    assert_eq!(verdict(&there.engine, access_token), "token_expired");
}

on_each_store![
    s7_7_a_logout_ends_the_access_token_at_every_node,
    s7_7_a_node_that_starts_late_knows_what_was_revoked_before,
    s9_3_who_is_shut_out_is_refused_at_every_node,
    s9_2_a_demotion_ends_the_role_at_every_node,
    s9_2_other_roles_end_the_tokens_at_every_node,
    s7_10_a_new_password_or_an_order_ends_sessions_at_every_node,
    s7_5_the_session_that_makes_room_is_refused_at_every_node,
    s19_5_a_token_issued_after_a_change_is_good_at_once_and_everywhere,
    a_node_forgets_what_has_expired,
];

#[tokio::test]
async fn an_engine_remembers_tokens_where_it_is_told_to() {
    let store = SqliteStore::in_memory().await.unwrap();
    store.migrate().await.unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let (plain, remembering) = (
        World::new(Arc::clone(&store)),
        World::with(store, remembering),
    );
    plain.register_verified("alice").await;
    for (node, remembered) in [(&plain, "cache: None"), (&remembering, "capacity: 100")] {
        let tokens = node.log_in("alice").await.unwrap();
        let access_token = tokens.access_token.expose();
        assert_eq!(verdict(&node.engine, access_token), "success");
        let shown = format!("{:?}", node.engine.access_token_verifier());
        assert!(shown.contains(remembered), "{shown}");
    }
}

/// A token that were issued as of later would outlive a change that was committed in between.
#[tokio::test]
async fn s9_2_a_token_is_as_old_as_what_it_says_of_its_user() {
    let store = SqliteStore::in_memory().await.unwrap();
    store.migrate().await.unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(
        1_700_000_000,
    )));
    let node = World::with(Arc::new(store), |builder| {
        let slow = Arc::clone(&clock);
        let hook = move |_: &AuditEvent| slow.advance(Duration::from_secs(7));
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        builder.with_clock(clock).with_audit_hook(Arc::new(hook))
    });
    node.register_verified("alice").await;
    let asked_at = clock.now();
    let tokens = node.log_in("alice").await.unwrap();
    assert!(asked_at < clock.now(), "the login takes a while");
    let verifier = node.engine.access_token_verifier();
    let caller = verifier.verify(tokens.access_token.expose()).unwrap();
    assert_eq!(caller.issued_at, asked_at);
}

#[tokio::test]
async fn a_node_that_cannot_follow_is_not_ready() {
    let (store, folder) = support::sqlite().await;
    let mut file = SqliteConnectOptions::new()
        .filename(folder.path().join("auth.sqlite3"))
        .connect()
        .await
        .unwrap();
    let node = World::new(store);
    node.engine.check().await.unwrap();
    // There is no table to read.
    sqlx::raw_sql("ALTER TABLE auth_revocations RENAME TO away")
        .execute(&mut file)
        .await
        .unwrap();
    follow(&node.engine);
    let stale = async { while node.engine.check().await.is_ok() {} };
    tokio::time::timeout(PATIENCE, stale).await.unwrap();
    let refusal = node.engine.check().await.unwrap_err();
    assert_eq!(refusal.code(), "storage_unavailable");
    assert_eq!(refusal.to_string(), "the revocation feed is stale");

    sqlx::raw_sql("ALTER TABLE away RENAME TO auth_revocations")
        .execute(&mut file)
        .await
        .unwrap();
    let ready = async { while node.engine.check().await.is_err() {} };
    tokio::time::timeout(PATIENCE, ready).await.unwrap();
}
