//! An application that is one process: its files, its first superuser, and its workers.

use std::sync::Arc;

use async_trait::async_trait;
use auth_core::audit::AuditAct;
use auth_core::mail::{Mail, MailError, MailTransport};
use auth_core::store::{EventFilter, EventStore as _, SqliteStore};
use auth_core::testing::MailedLink;
use auth_core::{
    AuthError, AuthService, Engine, JwtKeys, Login, Password, Registration, RequestContext,
    SecretKey, SecretKeys, Superuser, UserId,
};
use tokio::sync::mpsc;

const URL: &str = "http://127.0.0.1:3000";

#[tokio::test]
async fn users_sessions_and_keys_outlive_the_process() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("auth-data");
    let context = RequestContext::default();

    let engine = Engine::embedded(&folder, URL)
        .await
        .unwrap()
        .build()
        .unwrap();
    let created = engine.ensure_superuser("admin", "admin@localhost");
    let password = created.await.unwrap().unwrap();
    let again = engine.ensure_superuser("admin", "admin@localhost");
    assert!(again.await.unwrap().is_none());
    let login = Login::new("admin", password.clone());
    let tokens = engine.log_in(login, &context).await.unwrap();
    drop(engine);

    let engine = Engine::embedded(&folder, URL)
        .await
        .unwrap()
        .build()
        .unwrap();
    let another = engine.ensure_superuser("root-of-trust", "root@localhost");
    assert!(another.await.unwrap().is_none());
    let verifier = engine.access_token_verifier();
    assert!(verifier.verify(tokens.access_token.expose()).is_ok());
    let refreshed = engine.refresh(tokens.refresh_token.expose(), &context);
    assert!(refreshed.await.is_ok());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("auth-data");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("secret_key"), "changeme").unwrap();
    let refused = Engine::embedded(&folder, URL).await.unwrap_err();
    let message = refused.to_string();
    assert!(message.contains("secret_key cannot be used"), "{message}");
}

/// Hands every mail to the test.
#[derive(Debug)]
struct Channel(mpsc::UnboundedSender<Mail>);

#[async_trait]
impl MailTransport for Channel {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.0.send(mail.clone()).unwrap();
        Ok(())
    }

    async fn check(&self) -> Result<(), MailError> {
        Ok(())
    }
}

#[tokio::test]
async fn the_workers_deliver_mails_and_store_what_is_left_when_they_stop() {
    let store = SqliteStore::in_memory().await.unwrap();
    store.migrate().await.unwrap();
    let key = || SecretKey::generate().unwrap();
    let keys = (SecretKeys::new(key()), JwtKeys::hs256(key()));
    let engine = Engine::builder(Arc::new(store.clone()), keys.0, keys.1);
    let engine = engine.build().unwrap();
    let (sender, mut mails) = mpsc::unbounded_channel();
    let workers = engine.start_workers(Arc::new(Channel(sender)));

    let context = RequestContext::default();
    let password = Password::new("correct horse battery");
    let alice = Registration::new("alice", password, "alice@example.org");
    let by = Superuser::assume(UserId::generate());
    engine.register(by, alice, &context).await.unwrap();
    let mail = mails.recv().await.unwrap();
    let link = MailedLink::find(&mail.text).unwrap();
    engine.verify_email(&link.token, &context).await.unwrap();

    let wrong = Login::new("alice", Password::new("another horse"));
    let refused = engine.log_in(wrong, &context).await;
    assert!(matches!(refused, Err(AuthError::InvalidCredentials)));
    workers.stop().await;
    let events = store.list_events(&EventFilter::default()).await.unwrap();
    let refused = |act: &AuditAct| matches!(act, AuditAct::LoginRefused { .. });
    assert!(events.iter().any(|event| refused(&event.act)), "{events:?}");
    assert!(mails.recv().await.is_none(), "the transport is dropped");
}
