//! What administrators do to accounts, and what ends with it.

use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::audit::{Actor, AuditAct, AuditEvent};
use auth_core::store::{EventFilter, Store, UserFilter};
use auth_core::{
    Administration, Administrator, AuthError, AuthService, Bootstrap, EmailProof, Password,
    Principal, Registration, RequestContext, Role, Roles, Superuser, TokenPair, User, UserChanges,
    UserId,
};

use crate::MINUTE;
use crate::support::on_each_store;
use crate::world::{PASSWORD, World, code};

const OTHER_PASSWORD: &str = "another good passphrase";

const OPERATOR: Administrator = Administrator::Operator;

fn context() -> RequestContext {
    RequestContext::default()
}

/// Alice, logged in, in a world with another superuser.
struct Case {
    world: World,
    admin: UserId,
    alice: UserId,
    pair: TokenPair,
}

impl Case {
    async fn new(store: Arc<dyn Store>) -> Self {
        Self::of(World::new(store)).await
    }

    async fn of(world: World) -> Self {
        let admin = Registration::new("admin", Password::new(PASSWORD), "admin@localhost");
        let admin = world
            .engine
            .create_superuser(admin, Bootstrap::FirstSuperuser);
        let admin = admin.await.unwrap().unwrap();
        let alice = world.register_verified("alice").await;
        let pair = world.log_in("alice").await.unwrap();
        Self {
            world,
            admin,
            alice,
            pair,
        }
    }

    fn verified(&self, pair: &TokenPair) -> Result<Principal, AuthError> {
        let verifier = self.world.engine.access_token_verifier();
        verifier.verify(pair.access_token.expose())
    }

    /// What the tokens of before are good for, once the node has heard of what happened.
    async fn tokens(&self) -> (&'static str, &'static str) {
        // What was known before does not count.
        self.world.clock.advance(Duration::from_secs(10));
        let engine = &self.world.engine;
        let follower = tokio::spawn(engine.revocation_follower().run(std::future::pending()));
        let known = async {
            while !engine.revocations().is_healthy() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(MINUTE, known).await.unwrap();
        follower.abort();
        let refreshed = self.world.refresh(self.pair.refresh_token.expose()).await;
        let refreshed = refreshed.err().unwrap_or("success");
        (code(self.verified(&self.pair)), refreshed)
    }

    async fn last_act(&self) -> (AuditAct, Actor, Option<UserId>) {
        self.world.engine.audit_writer().flush().await.unwrap();
        let events = self.world.store.list_events(&EventFilter::default()).await;
        let events = events.unwrap();
        let newest = events.first().unwrap();
        (newest.act.clone(), newest.actor, newest.user)
    }
}

async fn creates_users_in_somebodys_name(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let engine = &case.world.engine;
    case.world.clock.advance(MINUTE);
    let context = context();
    let user = |name: &str| {
        let address = format!("{name}@example.org");
        Registration::new(name, Password::new(PASSWORD), address)
    };
    let by = Administrator::Superuser(Superuser::assume(case.admin));
    let created = engine.create_user(by, user("bob"), EmailProof::Vouched, &context);
    let bob = created.await.unwrap();
    assert_eq!(bob, engine.read_user(by, bob.id).await.unwrap());
    let told = (
        AuditAct::UserRegistered,
        Actor::User(case.admin),
        Some(bob.id),
    );
    assert_eq!(case.last_act().await, told);
    assert_eq!(code(case.world.log_in("bob").await), "success");

    let created = engine.create_user(by, user("carol"), EmailProof::ByMail, &context);
    let carol = created.await.unwrap().id;
    assert_eq!(code(case.world.log_in("carol").await), "email_not_verified");
    let read = engine.read_user(by, carol).await.unwrap();
    assert_eq!((read.is_superuser, read.email_verified_at), (false, None));
    let nobody = engine.read_user(by, UserId::generate()).await;
    assert_eq!(code(nobody), "not_found");

    let refused = engine.create_user(by, user("root"), EmailProof::Vouched, &context);
    assert_eq!(code(refused.await), "validation_failed");
    let created = engine.create_user(OPERATOR, user("root"), EmailProof::Vouched, &context);
    assert_eq!(code(created.await), "success");

    let mut filter = UserFilter::default();
    filter.limit = 2;
    let first = engine.list_users(by, &filter).await.unwrap();
    let second = filter.following(first.last().unwrap());
    let second = engine.list_users(by, &second).await.unwrap();
    let names = |users: &[User]| users.iter().map(|user| user.username.to_string()).collect();
    let names: [Vec<String>; 2] = [names(&first), names(&second)];
    assert_eq!(names, [["admin", "alice"], ["bob", "carol"]]);
}

async fn s9_3_deactivation_ends_everything_at_once(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let engine = &case.world.engine;
    case.world.clock.advance(MINUTE);
    let by = Administrator::Superuser(Superuser::assume(case.admin));
    engine
        .deactivate_user(by, case.alice, &context())
        .await
        .unwrap();
    let told = (
        AuditAct::UserDeactivated,
        Actor::User(case.admin),
        Some(case.alice),
    );
    assert_eq!(case.last_act().await, told);
    assert_eq!(case.tokens().await, ("token_revoked", "token_revoked"));
    assert_eq!(
        code(case.world.log_in("alice").await),
        "invalid_credentials"
    );
    engine
        .activate_user(OPERATOR, case.alice, &context())
        .await
        .unwrap();
    assert_eq!(code(case.world.log_in("alice").await), "success");
    assert_eq!(case.tokens().await, ("token_revoked", "token_revoked"));
}

async fn s9_3_s9_5_deletion_ends_everything_and_its_name_inherits_nothing(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let engine = &case.world.engine;
    engine
        .delete_user(OPERATOR, case.alice, &context())
        .await
        .unwrap();
    assert_eq!(case.tokens().await, ("token_revoked", "token_revoked"));
    let again = case.world.register_verified("alice").await;
    assert_ne!(again, case.alice);
    assert_eq!(case.tokens().await, ("token_revoked", "token_revoked"));
    let refused = engine.delete_user(OPERATOR, case.alice, &context()).await;
    assert_eq!(code(refused), "not_found");
}

async fn s9_2_demotion_ends_the_tokens_that_tell_of_the_privilege(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let engine = &case.world.engine;
    engine
        .grant_superuser(OPERATOR, case.alice, &context())
        .await
        .unwrap();
    let caller = case.verified(&case.pair).unwrap();
    let allowed = engine.require_superuser(&caller, &context()).await;
    assert_eq!(code(allowed), "success");
    engine
        .revoke_superuser(OPERATOR, case.alice, &context())
        .await
        .unwrap();
    let refused = engine.require_superuser(&caller, &context()).await;
    assert_eq!(code(refused), "permission_denied");
    assert_eq!(
        case.tokens().await,
        ("token_expired", "success"),
        "the session goes on"
    );
    case.world.clock.advance(MINUTE);
    let token = case.pair.refresh_token.expose();
    let refreshed = engine.refresh(token, &context()).await.unwrap();
    let verifier = engine.access_token_verifier();
    let principal = verifier.verify(refreshed.access_token.expose()).unwrap();
    assert!(principal.roles.is_empty());
}

async fn roles_are_told_to_the_trail_and_to_the_next_token(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let engine = &case.world.engine;
    case.world.clock.advance(MINUTE);
    let by = Administrator::Superuser(Superuser::assume(case.admin));
    let roles = Roles::parse(["editor"]).unwrap();
    let given = engine.set_roles(by, case.alice, &roles, &context()).await;
    given.unwrap();
    let (act, actor, user) = case.last_act().await;
    assert!(matches!(act, AuditAct::RolesChanged { roles, .. } if roles == ["editor"]));
    assert_eq!((actor, user), (Actor::User(case.admin), Some(case.alice)));
    assert_eq!(case.tokens().await, ("token_expired", "success"));
    case.world.clock.advance(MINUTE);
    let pair = case.world.log_in("alice").await.unwrap();
    assert_eq!(
        case.verified(&pair).unwrap().roles,
        [Role::from_stored("editor")]
    );
    let nobody = engine
        .set_roles(by, UserId::generate(), &roles, &context())
        .await;
    assert_eq!(code(nobody), "not_found");
}

async fn s7_10_a_new_password_ends_the_sessions(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let engine = &case.world.engine;
    let set = async |password: &str| {
        let password = Password::new(password);
        engine
            .set_password(OPERATOR, case.alice, password, &context())
            .await
    };
    assert_eq!(code(set("alice").await), "validation_failed");
    assert_eq!(code(case.verified(&case.pair)), "success");
    set(OTHER_PASSWORD).await.unwrap();
    assert_eq!(case.tokens().await, ("token_revoked", "token_revoked"));
    assert_eq!(
        code(case.world.log_in("alice").await),
        "invalid_credentials"
    );
    let login = case.world.log_in_with("alice", OTHER_PASSWORD).await;
    assert_eq!(code(login), "success");
}

async fn s7_10_one_session_all_of_a_user_or_all_of_everybody_end(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let engine = &case.world.engine;
    let other = case.world.log_in("alice").await.unwrap();
    let session = case.verified(&case.pair).unwrap().session_id;
    engine
        .end_session(OPERATOR, session, &context())
        .await
        .unwrap();
    assert_eq!(case.tokens().await, ("token_revoked", "token_revoked"));
    assert_eq!(code(case.verified(&other)), "success");
    let again = engine.end_session(OPERATOR, session, &context()).await;
    assert_eq!(code(again), "not_found");

    let ended = engine
        .end_user_sessions(OPERATOR, case.alice, &context())
        .await;
    assert_eq!(ended.unwrap(), 1);
    case.tokens().await;
    assert_eq!(code(case.verified(&other)), "token_revoked");

    let admin = case.world.log_in("admin").await.unwrap();
    let ended = engine.end_all_sessions(OPERATOR, &context()).await;
    assert_eq!(ended.unwrap(), 1);
    case.tokens().await;
    assert_eq!(code(case.verified(&admin)), "token_expired");
    let refreshed = case.world.refresh(admin.refresh_token.expose()).await;
    assert_eq!(refreshed, Err("token_revoked"));
}

async fn the_last_superuser_stays_and_the_refusal_is_told_of(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let engine = &case.world.engine;
    case.world.clock.advance(MINUTE);
    let refused = engine
        .revoke_superuser(OPERATOR, case.admin, &context())
        .await;
    assert_eq!(code(refused), "last_superuser");
    let (act, actor, user) = case.last_act().await;
    assert_eq!(act.kind(), "administration_refused");
    assert_eq!(act.reason(), Some("last_superuser"));
    assert_eq!((actor, user), (Actor::Operator, Some(case.admin)));
}

async fn several_changes_are_checked_first_and_then_done_in_their_order(store: Arc<dyn Store>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&heard);
    let hook = move |event: &AuditEvent| ears.lock().unwrap().push(event.act.kind());
    let world = World::with(store, |builder| builder.with_audit_hook(Arc::new(hook)));
    let case = Case::of(world).await;
    let engine = &case.world.engine;
    let acts = || mem::take(&mut *heard.lock().unwrap());
    let by = Administrator::Superuser(Superuser::assume(case.admin));
    let everything = |password: &str| {
        let mut changes = UserChanges::default();
        changes.is_active = Some(false);
        changes.is_superuser = Some(true);
        changes.roles = Some(Roles::parse(["editor"]).unwrap());
        changes.password = Some(Password::new(password));
        changes
    };
    let before = engine.read_user(by, case.alice).await.unwrap();
    acts();
    let refused = engine
        .change_user(by, case.alice, everything("alice"), &context())
        .await;
    assert_eq!(code(refused), "validation_failed");
    assert_eq!(acts(), ["administration_refused"]);
    assert_eq!(engine.read_user(by, case.alice).await.unwrap(), before);
    assert_eq!(code(case.world.log_in("alice").await), "success");

    acts();
    let changed = engine
        .change_user(by, case.alice, everything(OTHER_PASSWORD), &context())
        .await
        .unwrap();
    assert_eq!((changed.is_active, changed.is_superuser), (false, true));
    assert_eq!(changed.roles.to_string(), "editor");
    assert_eq!(engine.read_user(by, case.alice).await.unwrap(), changed);
    assert_eq!(
        acts(),
        [
            "user_deactivated",
            "password_changed",
            "roles_changed",
            "superuser_granted",
        ]
    );

    let mut changes = UserChanges::default();
    changes.is_active = Some(true);
    changes.is_superuser = Some(false);
    let changed = engine
        .change_user(by, case.alice, changes, &context())
        .await
        .unwrap();
    assert_eq!((changed.is_active, changed.is_superuser), (true, false));
    assert_eq!(acts(), ["superuser_revoked", "user_activated"]);
    let login = case.world.log_in_with("alice", OTHER_PASSWORD).await;
    assert_eq!(code(login), "success");

    for changes in [UserChanges::default(), everything(OTHER_PASSWORD)] {
        let nobody = UserId::generate();
        let refused = engine.change_user(by, nobody, changes, &context()).await;
        assert_eq!(code(refused), "not_found");
    }
}

async fn nothing_is_changed_of_the_last_superuser_who_is_to_go(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let engine = &case.world.engine;
    let by = Administrator::Superuser(Superuser::assume(case.admin));
    let before = engine.read_user(by, case.admin).await.unwrap();
    for (is_active, is_superuser) in [
        (Some(false), None),
        (None, Some(false)),
        (Some(false), Some(false)),
        (Some(true), Some(false)),
        (Some(false), Some(true)),
    ] {
        let mut changes = UserChanges::default();
        (changes.is_active, changes.is_superuser) = (is_active, is_superuser);
        changes.roles = Some(Roles::parse(["editor"]).unwrap());
        changes.password = Some(Password::new(OTHER_PASSWORD));
        let refused = engine
            .change_user(by, case.admin, changes, &context())
            .await;
        assert_eq!(code(refused), "last_superuser");
        assert_eq!(engine.read_user(by, case.admin).await.unwrap(), before);
    }
    assert_eq!(code(case.world.log_in("admin").await), "success");

    engine
        .grant_superuser(by, case.alice, &context())
        .await
        .unwrap();
    let mut changes = UserChanges::default();
    (changes.is_active, changes.is_superuser) = (Some(false), Some(false));
    let gone = engine
        .change_user(by, case.admin, changes, &context())
        .await;
    assert_eq!(code(gone), "success", "another one remains");
}

async fn s14_4_the_trail_is_read_a_page_at_a_time(store: Arc<dyn Store>) {
    let case = Case::new(store).await;
    let engine = &case.world.engine;
    case.world.engine.audit_writer().flush().await.unwrap();
    let mut filter = EventFilter::default();
    let all = engine.list_events(OPERATOR, &filter).await.unwrap();
    assert!(all.len() > 3, "{all:?}");
    filter.limit = 2;
    let mut seen = Vec::new();
    loop {
        let page = engine.list_events(OPERATOR, &filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter = filter.following(last);
        seen.extend(page);
    }
    assert_eq!(seen, all);
}

on_each_store!(
    several_changes_are_checked_first_and_then_done_in_their_order,
    nothing_is_changed_of_the_last_superuser_who_is_to_go,
    s14_4_the_trail_is_read_a_page_at_a_time,
    creates_users_in_somebodys_name,
    s9_3_deactivation_ends_everything_at_once,
    s9_3_s9_5_deletion_ends_everything_and_its_name_inherits_nothing,
    s9_2_demotion_ends_the_tokens_that_tell_of_the_privilege,
    roles_are_told_to_the_trail_and_to_the_next_token,
    s7_10_a_new_password_ends_the_sessions,
    s7_10_one_session_all_of_a_user_or_all_of_everybody_end,
    the_last_superuser_stays_and_the_refusal_is_told_of,
);
