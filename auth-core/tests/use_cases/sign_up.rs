//! Who may make an account, and what strangers learn who sign up.

use std::sync::Arc;
use std::time::Duration;

use auth_core::audit::{Actor, AuditAct};
use auth_core::mail::Mail;
use auth_core::store::{EventFilter, Store, UserFilter};
use auth_core::testing::MailedLink;
use auth_core::{
    Administration, Administrator, AuthService, Clock as _, EmailProof, Enrollment, Password,
    Registration, RegistrationMode, RequestContext, Superuser, TakenNames, User, UserId,
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

/// Where the owner of the address is, and strangers are not.
fn home() -> RequestContext {
    at(1)
}

fn at(host: u8) -> RequestContext {
    context().with_client([192, 0, 2, host].into())
}

async fn sign_up(world: &World, name: &str, email: &str) -> &'static str {
    sign_up_at(world, &context(), name, PASSWORD, email).await
}

async fn sign_up_at(
    world: &World,
    context: &RequestContext,
    name: &str,
    password: &str,
    email: &str,
) -> &'static str {
    let registration = Registration::new(name, Password::new(password), email);
    code(world.engine.sign_up(registration, context).await)
}

/// Uses the link of a sign-up.
async fn complete(world: &World, token: &str) -> &'static str {
    complete_with(world, token, PASSWORD).await
}

async fn complete_with(world: &World, token: &str, password: &str) -> &'static str {
    let password = Password::new(password);
    let context = context();
    let completed = world.engine.complete_sign_up(token, password, &context);
    code(completed.await)
}

/// Uses the link of a user who is registered.
async fn verify(world: &World, token: &str) -> &'static str {
    code(world.engine.verify_email(token, &context()).await)
}

async fn resend(world: &World, context: &RequestContext) {
    let again = world.engine.resend_verification(ALICE, context).await;
    again.unwrap();
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
    assert_eq!(complete(&world, &tampered).await, "link_invalid");
    world.clock.advance(MINUTE);
    assert_eq!(complete(&world, token).await, "success");
    assert_eq!(complete(&world, token).await, "link_used");

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
    assert_eq!(complete(&world, &first).await, "link_invalid");

    world.clock.advance(HOUR);
    resend(&world, &context()).await;
    let third = world.mailed_token().await;
    world.clock.advance(23 * HOUR);
    assert_eq!(complete(&world, &second).await, "link_expired");
    assert_eq!(complete(&world, &third).await, "success");
    assert_eq!(code(world.log_in("alicia").await), "success");

    sign_up(&world, "bob", "bob@example.org").await;
    let late = world.mailed_token().await;
    world.clock.advance(24 * HOUR);
    assert_eq!(complete(&world, &late).await, "link_expired");
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
    let uses = tokens.iter().map(|token| complete(&world, token));
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
    let mut codes = futures(100, || complete(&world, &token)).await;
    codes.sort_unstable();
    codes.dedup_by(|later, code| later == code && *code != "success");
    // Of passwords that are tried at once no more are hashed than may be wrong.
    codes.retain(|code| *code != "too_many_attempts");
    assert_eq!(codes, ["link_used", "success"]);
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

/// Three mails an hour; a mail that is tried again counts once.
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
    for _ in 0..2 {
        world.clock.advance(HOUR);
        for left in [1, 1, 1, 0] {
            assert_eq!(sign_up(&world, "name", ALICE).await, "success");
            assert_eq!(mails(&world).await.len(), left);
        }
    }
    assert_eq!(sign_up(&world, "name", "bob@example.org").await, "success");
    assert_eq!(mails(&world).await.len(), 1, "nobody else is concerned");
}

/// A client that knows the mailbox and the password gets the account, whoever signed up first. The
/// others are refused, and nobody has the names that they chose.
async fn fault_c3_only_the_owner_of_mailbox_and_password_gets_the_account(store: Arc<dyn Store>) {
    let world = open_world(store);
    for (index, first) in ["alice", "mallory"].into_iter().enumerate() {
        let email = format!("owner{index}@example.org");
        let second = if first == "alice" { "mallory" } else { "alice" };
        let mut tokens = Vec::new();
        for name in [first, second] {
            let whence = if name == "alice" { home() } else { at(7) };
            let (password, name) = (format!("{name}'s own words"), format!("{name}{index}"));
            let signed_up = sign_up_at(&world, &whence, &name, &password, &email).await;
            assert_eq!(signed_up, "success");
            tokens.push(world.mailed_token().await);
        }
        if first == "mallory" {
            tokens.reverse();
        }
        let [alices, mallorys] = tokens.as_slice() else {
            panic!("{tokens:?}");
        };
        // Her password opens no link but her own.
        let password = "alice's own words";
        let refused = complete_with(&world, mallorys, password).await;
        assert_eq!(refused, "invalid_credentials");
        let refused = complete_with(&world, alices, "mallory's own words").await;
        assert_eq!(refused, "invalid_credentials");
        assert_eq!(complete_with(&world, alices, password).await, "success");
        let late = complete_with(&world, mallorys, "mallory's own words").await;
        assert_eq!(late, "link_invalid");

        let names: Vec<_> = users(&world).await;
        assert_eq!(names.len(), index + 1, "{names:?}");
        let (alice, mallory) = (format!("alice{index}"), format!("mallory{index}"));
        let logged_in = world.log_in_with(&alice, password).await;
        assert_eq!(code(logged_in), "success");
        for name in [alice, mallory] {
            let refused = world.log_in_with(&name, "mallory's own words").await;
            assert_eq!(code(refused), "invalid_credentials");
        }
    }
    world.engine.audit_writer().flush().await.unwrap();
    let events = world.store.list_events(&EventFilter::default()).await;
    let events = events.unwrap();
    let reasons: Vec<_> = events.iter().filter_map(|it| it.act.reason()).collect();
    assert!(reasons.contains(&"invalid_credentials"), "{reasons:?}");
}

/// Another mail has the link of the sign-up of who asks, or of the newest.
async fn fault_c3_who_asks_again_gets_the_link_of_the_own_sign_up(store: Arc<dyn Store>) {
    let world = open_world(store);
    sign_up_at(&world, &home(), "alice", PASSWORD, ALICE).await;
    world.mailed_token().await;
    world.clock.advance(MINUTE);
    sign_up_at(&world, &at(7), "mallory", "mallory's own words", ALICE).await;
    world.mailed_token().await;
    for (whence, name) in [(home(), "alice"), (at(7), "mallory"), (at(8), "mallory")] {
        resend(&world, &whence).await;
        let mails = mails(&world).await;
        let [mail] = mails.as_slice() else {
            panic!("not one mail: {mails:?}");
        };
        assert!(mail.text.contains(&format!("Hello {name},")), "{mail:?}");
    }
}

/// Three an hour for each network, and ten for all.
async fn fault_c3_strangers_leave_the_owner_her_mails(store: Arc<dyn Store>) {
    let world = open_world(store);
    let mut sent = Vec::new();
    for _ in 0..5 {
        sign_up_at(&world, &at(7), "mallory", PASSWORD, ALICE).await;
        sent.push(mails(&world).await.len());
    }
    assert_eq!(sent, [1, 1, 1, 0, 0]);
    sign_up_at(&world, &home(), "alice", PASSWORD, ALICE).await;
    let token = world.mailed_token().await;
    resend(&world, &home()).await;
    assert_eq!(mails(&world).await.len(), 1);

    let mut sent = 5;
    for host in 8..11 {
        for _ in 0..3 {
            sign_up_at(&world, &at(host), "mallory", PASSWORD, ALICE).await;
            sent += mails(&world).await.len();
        }
    }
    assert_eq!(sent, 10);
    // A stranger who is there first takes no more than his own.
    world.clock.advance(HOUR);
    sign_up_at(&world, &at(7), "mallory", PASSWORD, ALICE).await;
    assert_eq!(mails(&world).await.len(), 1);
    resend(&world, &home()).await;
    assert_eq!(mails(&world).await.len(), 1);
    assert_eq!(complete(&world, &token).await, "success");
}

/// Five at most are pending: a sixth changes nothing, and the links of the others are good.
async fn fault_c3_a_sixth_sign_up_pushes_out_none(store: Arc<dyn Store>) {
    let world = open_world(store);
    sign_up_at(&world, &home(), "alice", PASSWORD, ALICE).await;
    let token = world.mailed_token().await;
    for host in 7..11 {
        sign_up_at(&world, &at(host), "mallory", PASSWORD, ALICE).await;
        world.mailed_token().await;
    }
    let sixth = sign_up_at(&world, &at(11), "mallory", PASSWORD, ALICE).await;
    assert_eq!(sixth, "success");
    assert!(mails(&world).await.is_empty());
    assert_eq!(complete(&world, &token).await, "success");
}

/// Guesses at the password of a sign-up are counted as those at a login are.
async fn s5_1_the_password_of_a_sign_up_is_not_guessed(store: Arc<dyn Store>) {
    let world = open_world(store);
    sign_up_at(&world, &home(), "alice", PASSWORD, ALICE).await;
    let token = world.mailed_token().await;
    let long = "a".repeat(1025);
    let refused = complete_with(&world, &token, &long).await;
    assert_eq!(refused, "invalid_credentials", "and not counted");
    for guess in 0..10 {
        let guess = format!("guess {guess}");
        let refused = complete_with(&world, &token, &guess).await;
        assert_eq!(refused, "invalid_credentials");
    }
    assert_eq!(complete(&world, &token).await, "too_many_attempts");
    assert_eq!(verify(&world, &token).await, "validation_failed");
    assert!(users(&world).await.is_empty());
    world.clock.advance(MINUTE);
    assert_eq!(complete(&world, &token).await, "success");
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
    assert_eq!(complete(&closed, &token).await, CLOSED);
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
    fault_c3_only_the_owner_of_mailbox_and_password_gets_the_account,
    fault_c3_who_asks_again_gets_the_link_of_the_own_sign_up,
    fault_c3_strangers_leave_the_owner_her_mails,
    fault_c3_a_sixth_sign_up_pushes_out_none,
    s5_1_the_password_of_a_sign_up_is_not_guessed,
    s12_6_sign_ups_that_nobody_confirmed_are_removed,
    s9_1_each_mode_allows_what_it_says_and_no_more,
    s9_1_a_link_from_before_registration_was_closed_is_refused,
);
