//! Who may make an account, and what strangers learn who sign up.

use std::sync::Arc;
use std::time::Duration;

use auth_core::audit::{Actor, AuditAct};
use auth_core::mail::Mail;
use auth_core::store::{EventFilter, Store, UserFilter};
use auth_core::testing::MailedLink;
use auth_core::{
    Administration, Administrator, AuthError, AuthService, Clock as _, EmailProof, Enrollment,
    Password, Registration, RegistrationMode, RequestContext, Superuser, TakenNames, User, UserId,
};

use crate::support::on_each_store;
use crate::world::{PASSWORD, World, code};
use crate::{MINUTE, futures};

const HOUR: Duration = Duration::from_secs(3600);
const ALICE: &str = "alice@example.org";
const BY: Administrator = Administrator::Operator;

fn context() -> RequestContext {
    RequestContext::default()
}

fn open(taken_names: TakenNames) -> RegistrationMode {
    RegistrationMode::Open { taken_names }
}

fn world_with(store: Arc<dyn Store>, mode: RegistrationMode) -> World {
    World::with(store, |builder| builder.with_registration(mode))
}

fn open_world(store: Arc<dyn Store>) -> World {
    world_with(store, open(TakenNames::Told))
}

async fn try_sign_up(world: &World, name: &str, email: &str) -> Result<(), AuthError> {
    let registration = Registration::new(name, Password::new(PASSWORD), email);
    world.engine.sign_up(registration, &context()).await
}

async fn sign_up(world: &World, name: &str, email: &str) -> &'static str {
    code(try_sign_up(world, name, email).await)
}

async fn verify(world: &World, token: &str) -> &'static str {
    code(world.engine.verify_email(token, &context()).await)
}

async fn mails(world: &World) -> Vec<Mail> {
    world.worker.deliver_due().await.unwrap();
    world.mails.take()
}

async fn users(world: &World) -> Vec<User> {
    let users = world.store.list_users(&UserFilter::default()).await;
    users.unwrap()
}

async fn s8_1_s8_8_who_signs_up_is_a_plain_user_when_the_address_is_confirmed(
    store: Arc<dyn Store>,
) {
    let world = open_world(store);
    assert_eq!(
        sign_up(&world, "Alice", "Alice@example.org").await,
        "success"
    );
    assert_eq!(code(world.log_in("alice").await), "invalid_credentials");
    assert!(users(&world).await.is_empty());

    let mails = mails(&world).await;
    let [mail] = mails.as_slice() else {
        panic!("not one mail: {mails:?}");
    };
    assert_eq!(mail.to.as_str(), "Alice@example.org");
    let base = "https://auth.example.org/api/register/verify/?token=ast_";
    assert!(mail.text.contains(base), "{}", mail.text);
    let token = &MailedLink::find(&mail.text).unwrap().token;
    let tampered = format!("{token}x");
    assert_eq!(verify(&world, &tampered).await, "link_invalid");
    world.clock.advance(MINUTE);
    assert_eq!(verify(&world, token).await, "success");
    assert_eq!(verify(&world, token).await, "link_used");

    let users = users(&world).await;
    let [alice] = users.as_slice() else {
        panic!("not one user: {users:?}");
    };
    assert_eq!(alice.username.as_str(), "Alice");
    assert_eq!(alice.email_verified_at, Some(world.clock.now()));
    assert!(alice.is_active && !alice.is_superuser && alice.roles.iter().count() == 0);
    assert_eq!(code(world.log_in("alice").await), "success");

    world.engine.audit_writer().flush().await.unwrap();
    let events = world.store.list_events(&EventFilter::default()).await;
    let told: Vec<_> = events
        .unwrap()
        .into_iter()
        .map(|event| (event.act, event.actor, event.user))
        .collect();
    let id = alice.id;
    for event in [
        (AuditAct::SignUpRequested, Actor::Anonymous, None),
        (AuditAct::SignedUp, Actor::User(id), Some(id)),
    ] {
        assert!(told.contains(&event), "{told:?}");
    }
    let reasons: Vec<_> = told.iter().filter_map(|(act, ..)| act.reason()).collect();
    for reason in ["link_invalid", "link_used"] {
        assert!(reasons.contains(&reason), "{told:?}");
    }
}

/// Known, deactivated or unknown: the answer is one, and nothing that a stranger can try afterwards
/// tells them apart.
async fn s4_6_nobody_learns_whether_an_address_is_known(store: Arc<dyn Store>) {
    let world = open_world(store);
    world.register_verified("known").await;
    let gone = world.register_verified("gone").await;
    let deactivated = world.engine.deactivate_user(BY, gone, &context()).await;
    deactivated.unwrap();
    for (index, whose) in ["known", "gone", "unknown"].into_iter().enumerate() {
        let (name, other) = (format!("name{index}"), format!("other{index}@example.org"));
        let address = format!("{whose}@example.org");
        assert_eq!(sign_up(&world, &name, &address).await, "success");
        // Neither the name nor the password has become anybody's.
        assert_eq!(code(world.log_in(&name).await), "invalid_credentials");
        assert_eq!(sign_up(&world, &name, &other).await, "success");
        let again = world.engine.resend_verification(&address, &context()).await;
        assert_eq!(code(again), "success");
    }
    let mut texts: Vec<_> = mails(&world).await;
    texts.retain(|mail| !mail.to.as_str().starts_with("other"));
    texts.sort_by(|a, b| a.to.as_str().cmp(b.to.as_str()));
    let subjects: Vec<_> = texts
        .iter()
        .map(|mail| (mail.to.as_str(), mail.subject.as_str()))
        .collect();
    let (notice, link) = (
        "You have an account already",
        "Finish setting up your account",
    );
    assert_eq!(
        subjects,
        [
            ("known@example.org", notice),
            ("known@example.org", notice),
            ("unknown@example.org", link),
            ("unknown@example.org", link),
        ]
    );
    let known = texts.first().unwrap();
    assert!(known.text.contains("the name known"), "{}", known.text);
    assert!(!known.text.contains("token="), "{}", known.text);
    assert_eq!(users(&world).await.len(), 2);
}

async fn s4_6_a_broken_rule_is_told_whoever_has_the_address(store: Arc<dyn Store>) {
    let world = open_world(store);
    world.register_verified("alice").await;
    let mut answers = Vec::new();
    for address in [ALICE, "unknown@example.org"] {
        let wrong = Registration::new("root", Password::new("short"), address);
        let refused = world.engine.sign_up(wrong, &context()).await;
        answers.push(format!("{:?}", refused.unwrap_err()));
    }
    assert!(
        answers.first().unwrap().contains("is reserved"),
        "{answers:?}"
    );
    assert_eq!(answers.first(), answers.last());
    assert_eq!(sign_up(&world, "bob", "nowhere").await, "validation_failed");
    assert!(mails(&world).await.is_empty());
}

/// With names hidden, only the mail tells that a name is taken.
async fn s4_6_a_taken_name_is_told_or_mailed_as_the_host_wants(store: Arc<dyn Store>) {
    let told = open_world(Arc::clone(&store));
    told.register_verified("alice").await;
    let bob = "bob@example.org";
    assert_eq!(sign_up(&told, "ALICE", bob).await, "username_taken");
    assert!(mails(&told).await.is_empty());

    let hidden = world_with(store, open(TakenNames::Hidden));
    assert_eq!(sign_up(&hidden, "ALICE", bob).await, "success");
    let mails = mails(&hidden).await;
    let [mail] = mails.as_slice() else {
        panic!("not one mail: {mails:?}");
    };
    assert_eq!(
        (mail.to.as_str(), mail.subject.as_str()),
        (bob, "Choose another name")
    );
    assert!(!mail.text.contains("token="), "{}", mail.text);
    assert_eq!(users(&hidden).await.len(), 1);
}

/// Who is registered and has not verified the address gets the link for that account.
async fn who_was_registered_already_verifies_that_account(store: Arc<dyn Store>) {
    let world = open_world(store);
    world.register("alice").await.unwrap();
    world.mailed_token().await;
    assert_eq!(sign_up(&world, "alicia", ALICE).await, "success");
    let token = world.mailed_token().await;
    assert_eq!(verify(&world, &token).await, "success");
    assert_eq!(code(world.log_in("alice").await), "success");
    assert_eq!(code(world.log_in("alicia").await), "invalid_credentials");
}

async fn s8_1_a_sign_up_link_expires_and_a_newer_one_replaces_it(store: Arc<dyn Store>) {
    let world = open_world(store);
    sign_up(&world, "alice", ALICE).await;
    let first = world.mailed_token().await;
    sign_up(&world, "alicia", "ALICE@example.org").await;
    let second = world.mailed_token().await;
    assert_eq!(verify(&world, &first).await, "link_invalid");

    world.clock.advance(HOUR);
    let again = world.engine.resend_verification(ALICE, &context()).await;
    again.unwrap();
    let third = world.mailed_token().await;
    world.clock.advance(23 * HOUR);
    assert_eq!(verify(&world, &second).await, "link_expired");
    assert_eq!(verify(&world, &third).await, "success");
    assert_eq!(code(world.log_in("alicia").await), "success");

    sign_up(&world, "bob", "bob@example.org").await;
    let late = world.mailed_token().await;
    world.clock.advance(24 * HOUR);
    assert_eq!(verify(&world, &late).await, "link_expired");
}

/// A name is nobody's until an address is confirmed: then the first one has it.
async fn s8_9_of_many_who_sign_up_with_one_name_one_gets_it(store: Arc<dyn Store>) {
    let world = open_world(store);
    for index in 0..20 {
        let address = format!("user{index}@example.org");
        assert_eq!(sign_up(&world, "alice", &address).await, "success");
    }
    let mails = mails(&world).await;
    assert_eq!(mails.len(), 20);
    let tokens = mails
        .iter()
        .map(|mail| MailedLink::find(&mail.text).unwrap().token);
    let tokens: Vec<String> = tokens.collect();
    let uses = tokens.iter().map(|token| verify(&world, token));
    let mut codes = futures_util::future::join_all(uses).await;
    codes.sort_unstable();
    let (first, others) = codes.split_first().unwrap();
    assert_eq!(*first, "success");
    assert!(
        others.iter().all(|code| *code == "username_taken"),
        "{codes:?}"
    );
    assert_eq!(users(&world).await.len(), 1);
}

/// Of many at once with one address all get the same answer, the address one mail, and its link
/// makes one user, however often it is used.
async fn s8_9_of_many_sign_ups_with_one_address_one_user_comes(store: Arc<dyn Store>) {
    let world = open_world(store);
    let codes = futures(100, || sign_up(&world, "alice", ALICE)).await;
    assert!(codes.iter().all(|code| *code == "success"), "{codes:?}");
    let token = world.mailed_token().await;
    let mut codes = futures(100, || verify(&world, &token)).await;
    codes.sort_unstable();
    let (last, others) = codes.split_last().unwrap();
    assert_eq!(*last, "success");
    assert!(others.iter().all(|code| *code == "link_used"), "{codes:?}");
    assert_eq!(users(&world).await.len(), 1);
}

/// Two spellings may be one address to us and two mailboxes to the provider: the name is told to the
/// one that was verified.
async fn s4_6_only_the_owner_is_told_that_there_is_an_account(store: Arc<dyn Store>) {
    let world = open_world(store);
    world.register_verified("kate").await;
    // A Kelvin sign.
    assert_eq!(
        sign_up(&world, "mallory", "\u{212a}ate@example.org").await,
        "success"
    );
    let mails = mails(&world).await;
    let to: Vec<_> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(to, ["kate@example.org"]);
}

/// Three mails at once, then one after an hour, two hours and so on; a mail that is tried again
/// counts once.
async fn s5_8_strangers_cannot_drown_an_address_in_mail(store: Arc<dyn Store>) {
    let world = open_world(store);
    world.register_verified("alice").await;
    sign_up(&world, "name", ALICE).await;
    let now = world.clock.now();
    world.store.claim_mail(now, MINUTE).await.unwrap().unwrap();
    world.clock.advance(MINUTE);
    assert_eq!(
        mails(&world).await.len(),
        1,
        "the second try of the first mail"
    );
    let mut sent = Vec::new();
    for _ in 0..5 {
        assert_eq!(sign_up(&world, "name", ALICE).await, "success");
        sent.push(mails(&world).await.len());
    }
    assert_eq!(sent, [1, 1, 1, 0, 0]);
    for wait in [HOUR, 2 * HOUR] {
        world.clock.advance(wait);
        for left in [1, 0] {
            assert_eq!(sign_up(&world, "name", ALICE).await, "success");
            assert_eq!(mails(&world).await.len(), left);
        }
    }
    assert_eq!(sign_up(&world, "name", "bob@example.org").await, "success");
    assert_eq!(mails(&world).await.len(), 1, "nobody else is concerned");
}

async fn s12_6_sign_ups_that_nobody_confirmed_are_removed(store: Arc<dyn Store>) {
    let world = open_world(store);
    sign_up(&world, "alice", ALICE).await;
    let housekeeper = world.engine.housekeeper();
    world.clock.advance(5 * 24 * HOUR);
    let removed = housekeeper.clean().await.unwrap().unwrap();
    assert_eq!(removed.enrollments, 0);
    assert!(
        mails(&world).await.is_empty(),
        "no link that is good no longer"
    );
    world.clock.advance(10 * MINUTE);
    let removed = housekeeper.clean().await.unwrap().unwrap();
    assert_eq!(removed.enrollments, 1);
}

/// What each mode allows; administrators may create users in every one.
async fn s9_1_each_mode_allows_what_it_says_and_no_more(store: Arc<dyn Store>) {
    let modes = [
        (RegistrationMode::Superuser, ["success", CLOSED, CLOSED]),
        (open(TakenNames::Told), ["success", "success", CLOSED]),
        (RegistrationMode::Invitation, ["success", CLOSED, "success"]),
        (RegistrationMode::Closed, [CLOSED, CLOSED, CLOSED]),
    ];
    for (index, (mode, expected)) in modes.into_iter().enumerate() {
        let world = world_with(Arc::clone(&store), mode);
        assert_eq!(world.engine.registration_mode(), mode);
        let name = |what: &str| format!("{what}{index}");
        let address = |what: &str| format!("{what}{index}@example.org");
        let registered = code(world.register(&name("registered")).await);
        let signed_up = sign_up(&world, &name("open"), &address("open")).await;
        let by = Administrator::Superuser(Superuser::assume(UserId::generate()));
        let (engine, context) = (&world.engine, context());
        let invited = engine.invite(by, &address("invited"), &context).await;
        let allowed = [registered, signed_up, code(invited)];
        assert_eq!(allowed, expected, "{mode:?}");
        let user = Registration::new(name("created"), Password::new(PASSWORD), address("created"));
        let created = engine.create_user(BY, user, EmailProof::Vouched, &context);
        assert_eq!(code(created.await), "success", "{mode:?}");
    }
}

const CLOSED: &str = "registration_closed";

/// Links that are out when the mode changes make nobody a user.
async fn s9_1_a_link_from_before_registration_was_closed_is_refused(store: Arc<dyn Store>) {
    let world = open_world(Arc::clone(&store));
    sign_up(&world, "alice", ALICE).await;
    let token = world.mailed_token().await;
    let closed = world_with(store, RegistrationMode::Closed);
    assert_eq!(verify(&closed, &token).await, CLOSED);
    assert!(users(&world).await.is_empty());
}

on_each_store!(
    s8_1_s8_8_who_signs_up_is_a_plain_user_when_the_address_is_confirmed,
    s4_6_nobody_learns_whether_an_address_is_known,
    s4_6_a_broken_rule_is_told_whoever_has_the_address,
    s4_6_a_taken_name_is_told_or_mailed_as_the_host_wants,
    who_was_registered_already_verifies_that_account,
    s8_1_a_sign_up_link_expires_and_a_newer_one_replaces_it,
    s8_9_of_many_who_sign_up_with_one_name_one_gets_it,
    s8_9_of_many_sign_ups_with_one_address_one_user_comes,
    s5_8_strangers_cannot_drown_an_address_in_mail,
    s4_6_only_the_owner_is_told_that_there_is_an_account,
    s12_6_sign_ups_that_nobody_confirmed_are_removed,
    s9_1_each_mode_allows_what_it_says_and_no_more,
    s9_1_a_link_from_before_registration_was_closed_is_refused,
);
