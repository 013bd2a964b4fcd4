//! A mail that is sent twice: the process ends between the sending and the deletion.

use std::sync::Arc;
use std::time::Duration;

use auth_core::mail::{MailTransport, SmtpTransport};
use auth_core::store::SqliteStore;
use auth_core::testing::{MailedLink, ManualClock};
use auth_core::{
    Argon2Params, AuthService, Engine, JwtKeys, Password, PasswordHasher, Registration,
    RequestContext, SecretKey, SecretKeys, Superuser, Timestamp, UserId,
};
use mail_parser::MessageParser;

use crate::listener::{Listener, Tls};
use crate::transport;

/// Longer than a worker has a mail for itself.
const LEASE: Duration = Duration::from_secs(3 * 60);

fn engine(store: SqliteStore, clock: &Arc<ManualClock>) -> Engine {
    let key = || SecretKey::generate().unwrap();
    let hasher = PasswordHasher::builder().with_params(Argon2Params::insecure_for_tests());
    Engine::builder(
        Arc::new(store),
        SecretKeys::new(key()),
        JwtKeys::hs256(key()),
    )
    .with_public_url("https://auth.example.org")
    .with_password_hasher(hasher.build().unwrap())
    .with_clock(Arc::<ManualClock>::clone(clock))
    .build()
    .unwrap()
}

fn transport_to(server: &Listener) -> Arc<SmtpTransport> {
    Arc::new(transport(&format!("smtp://{}", server.address)))
}

/// The id of the only mail that arrived, and the token of its link.
fn copy(server: &Listener) -> (String, String) {
    let log = server.log();
    let [content] = log.contents.as_slice() else {
        panic!("not one mail: {:?}", log.contents);
    };
    let parsed = MessageParser::default().parse(content.as_bytes()).unwrap();
    let link = MailedLink::find(&parsed.body_text(0).unwrap()).unwrap();
    (parsed.message_id().unwrap().to_owned(), link.token)
}

/// Whichever copy a reader keeps, its link is good.
#[tokio::test]
async fn fault_c7_a_mail_that_is_sent_again_has_the_same_message_id_and_both_links_are_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.sqlite3");
    let store = SqliteStore::open(path).await.unwrap();
    store.migrate().await.unwrap();
    let start = Timestamp::from_unix_seconds(1_700_000_000);
    let clock = Arc::new(ManualClock::new(start));
    let engine = engine(store, &clock);
    let context = RequestContext::default();
    let by = Superuser::assume(UserId::generate());
    let password = Password::new("correct horse battery");
    let alice = Registration::new("alice", password, "alice@example.org");
    engine.register(by, alice, &context).await.unwrap();

    // It takes the mail, and says so to a process that has ended.
    let silent = Listener::start(Tls::Never, [("content", "fall silent")]).await;
    let worker = engine.mail_worker(transport_to(&silent));
    let sending = tokio::spawn(async move { worker.deliver_due().await });
    let arrived = async {
        while silent.log().contents.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let arrived = tokio::time::timeout(Duration::from_secs(30), arrived).await;
    arrived.expect("the mail arrives");
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());

    clock.advance(LEASE);
    let server = Listener::start(Tls::Never, []).await;
    let sent = engine
        .mail_worker(transport_to(&server))
        .deliver_due()
        .await;
    assert_eq!(sent.unwrap().sent, 1);
    let (first, second) = (copy(&silent), copy(&server));
    assert_eq!(first.0, second.0);
    assert!(first.0.ends_with("@example.org"), "{first:?}");

    engine.verify_email(&first.1, &context).await.unwrap();
    let again = engine.verify_email(&second.1, &context).await;
    assert_eq!(again.unwrap_err().code(), "link_used");
}

/// A new mail, unlike a copy, has an id of its own.
#[tokio::test]
async fn fault_c7_two_mails_have_two_message_ids() {
    let server = Listener::start(Tls::Never, []).await;
    let transport = transport_to(&server);
    for _ in 0..2 {
        transport.send(&crate::mail()).await.unwrap();
    }
    let ids = server.log().contents.into_iter().map(|content| {
        let parsed = MessageParser::default();
        let parsed = parsed.parse(content.as_bytes()).unwrap();
        parsed.message_id().unwrap().to_owned()
    });
    let ids: Vec<String> = ids.collect();
    assert_ne!(ids.first(), ids.last());
}
