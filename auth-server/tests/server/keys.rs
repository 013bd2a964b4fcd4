//! The keys of access tokens: made, published, used and retired beside running servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::{Embedded, PASSWORD, SECRETS, Server, run};
use auth_core::signature::Algorithm;
use auth_core::store::PostgresStore;
use auth_core::testing::postgres::TemporaryDatabase;
use auth_core::{
    AccessTokenVerifier, Bootstrap, Engine, JwtKeys, Password, Registration, SecretKey, SecretKeys,
    SystemClock,
};
use auth_tower::jwks::JwksClient;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const ISSUER: &str = "http://127.0.0.1:8000";
const CLIENTS: usize = 6;

/// Runs `auth-server keys …`, and gives what it printed.
fn keys(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let output = run(folder, &[&["keys"], arguments].concat(), variables);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Says that it must read its keys anew, and waits until it has.
async fn hang_up(server: &Server, expected: &str) {
    let count = || server.log().matches(expected).count();
    let before = count();
    let id = server.process_id().to_string();
    let sent = Command::new("kill").args(["-HUP", &id]).status().unwrap();
    assert!(sent.success());
    while count() == before {
        tokio::task::yield_now().await;
    }
}

async fn reload(servers: &[&Server]) {
    for server in servers {
        hang_up(server, "keys reloaded").await;
    }
}

/// The id of the key that signed a token.
fn key_id(token: &str) -> Option<String> {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    Some(header.get("kid")?.as_str()?.to_owned())
}

async fn published(server: &Server) -> Vec<String> {
    let answer = server.get("/.well-known/jwks.json").await.json();
    let keys = answer.get("keys").unwrap().as_array().unwrap().iter();
    keys.map(|key| key.get("kid").unwrap().as_str().unwrap().to_owned())
        .collect()
}

/// What all clients see and count.
#[derive(Default)]
struct Tally {
    over: AtomicBool,
    /// How often each client has refreshed and called everything with what it got.
    rounds: [AtomicU64; CLIENTS],
    refused: Mutex<Vec<String>>,
}

impl Tally {
    fn note(&self, what: &str, answer: &dyn std::fmt::Debug) {
        self.refused
            .lock()
            .unwrap()
            .push(format!("{what}: {answer:?}"));
    }

    /// Waits until every client has done whole rounds that began after now.
    async fn rounds_from_now(&self) {
        let before: Vec<u64> = self
            .rounds
            .iter()
            .map(|it| it.load(Ordering::Acquire))
            .collect();
        for (rounds, before) in self.rounds.iter().zip(before) {
            while rounds.load(Ordering::Acquire) < before + 2 {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Refreshes and calls without a pause; a token serves until the next has served once.
async fn client(
    number: usize,
    nodes: Arc<[Server; 2]>,
    resource_server: AccessTokenVerifier,
    refresh_token: String,
    tally: Arc<Tally>,
) {
    let node = nodes.get(number % 2).unwrap();
    let rounds = tally.rounds.get(number).unwrap();
    let mut access = None::<String>;
    while !tally.over.load(Ordering::Acquire) {
        let refreshed = node.refresh(&refresh_token).await;
        if refreshed.status.as_u16() != 200 {
            tally.note("refresh", &refreshed);
            return;
        }
        let next = refreshed.text("access_token");
        for token in access.iter().chain([&next]) {
            for node in nodes.iter() {
                let me = node
                    .request(Method::GET, "/api/auth/me/", Some(token), None)
                    .await;
                if me.status.as_u16() != 200 {
                    tally.note("me", &me);
                }
            }
            if let Err(error) = resource_server.verify(token) {
                tally.note("resource server", &error);
            }
        }
        access = Some(next);
        rounds.fetch_add(1, Ordering::AcqRel);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s13_4_keys_are_rotated_under_load_and_no_request_is_refused() {
    let database = TemporaryDatabase::create().await;
    let store = PostgresStore::connect(database.url()).unwrap();
    store.migrate().await.unwrap();
    let secret = |text: &str| SecretKey::parse(text).unwrap();
    let engine = Engine::builder(
        Arc::new(store),
        SecretKeys::new(secret(SECRETS[0].1)),
        JwtKeys::hs256(secret(SECRETS[1].1)),
    );
    let engine = engine.build().unwrap();
    let admin = Registration::new("admin", Password::new(PASSWORD), "admin@example.org");
    let created = engine.create_superuser(admin, Bootstrap::FirstSuperuser);
    created.await.unwrap().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let key_folder = folder.path().join("keys");
    let variables = [
        SECRETS[0],
        ("DATABASE_URL", database.url()),
        ("AUTH_PUBLIC_URL", ISSUER),
        ("AUTH_MAIL", "folder:outbox"),
        ("AUTH_ENDPOINTS", "account"),
        ("AUTH_JWT_ALGORITHM", "ES256"),
        ("AUTH_JWT_KEYS", key_folder.to_str().unwrap()),
        ("AUTH_TOKEN_CACHE", "1000"),
    ];
    let old = keys(folder.path(), &variables, &["generate"]);
    let nodes = Arc::new([(); 2].map(|()| Server::start(&variables)));
    let [one, two] = &*nodes;
    let jwks = JwksClient::new(&one.url("/.well-known/jwks.json"), Algorithm::Es256).unwrap();
    jwks.fetch().await.unwrap();
    let clock = Arc::new(SystemClock);
    let resource_server = AccessTokenVerifier::new(jwks.keys(), ISSUER, ISSUER, clock)
        .with_token_cache(NonZeroUsize::new(1_000).unwrap());

    let tally = Arc::new(Tally::default());
    let mut clients = JoinSet::new();
    let mut first_tokens = Vec::new();
    for number in 0..CLIENTS {
        let pair = one.log_in("admin", PASSWORD).await;
        first_tokens.push(pair.text("access_token"));
        clients.spawn(client(
            number,
            Arc::clone(&nodes),
            resource_server.clone(),
            pair.text("refresh_token"),
            Arc::clone(&tally),
        ));
    }
    tally.rounds_from_now().await;
    assert!(
        first_tokens
            .iter()
            .all(|token| key_id(token).as_ref() == Some(&old))
    );

    // Published by every node; it signs nothing until every cache of the keys has it.
    let new = keys(folder.path(), &variables, &["generate"]);
    reload(&[one, two]).await;
    tally.rounds_from_now().await;
    assert_eq!(published(one).await, [old.clone(), new.clone()]);
    jwks.fetch().await.unwrap();

    // It signs; the tokens of the old one are still good, on the node that is not told yet too.
    keys(folder.path(), &variables, &["use", &new]);
    reload(&[one]).await;
    tally.rounds_from_now().await;
    reload(&[two]).await;
    tally.rounds_from_now().await;
    assert_eq!(published(two).await, [new.clone(), old.clone()]);
    for token in &first_tokens {
        assert!(resource_server.verify(token).is_ok());
    }

    // Every client holds tokens of the new key only: what else is about has expired.
    tally.rounds_from_now().await;
    keys(folder.path(), &variables, &["retire", &old]);
    reload(&[one, two]).await;
    jwks.fetch().await.unwrap();
    tally.rounds_from_now().await;
    assert_eq!(published(one).await, std::slice::from_ref(&new));

    tally.over.store(true, Ordering::Release);
    while clients.join_next().await.is_some() {}
    let refused = std::mem::take(&mut *tally.refused.lock().unwrap());
    assert!(
        refused.is_empty(),
        "{} of them: {:?}",
        refused.len(),
        refused.first()
    );
    // The tokens of the retired key are good nowhere, and the trail tells what was done.
    for token in &first_tokens {
        assert!(resource_server.verify(token).is_err());
        let me = one
            .request(Method::GET, "/api/auth/me/", Some(token), None)
            .await;
        me.is_error(401, "token_invalid");
    }
    let trail = run(
        folder.path(),
        &["events", "--kind", "keys_changed", "--json"],
        &variables,
    );
    let trail = String::from_utf8(trail.stdout).unwrap();
    let changes: Vec<Value> = trail
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ids: Vec<&Value> = changes
        .iter()
        .rev()
        .map(|change| &change["details"]["key_ids"])
        .collect();
    assert_eq!(ids.first(), Some(&&json!([old])), "{trail}");
    assert_eq!(ids.last(), Some(&&json!([new])), "{trail}");
    for ring in [json!([old, new]), json!([new, old])] {
        assert!(ids.contains(&&ring), "{trail}");
    }
}

#[tokio::test]
async fn s13_4_a_folder_that_cannot_be_used_leaves_the_keys_as_they_are() {
    let variables = [("AUTH_JWT_ALGORITHM", "EdDSA")];
    let Embedded { server, password } = Embedded::start(&variables);
    let token = server.log_in("admin", &password).await.text("access_token");
    let before = published(&server).await;
    assert_eq!(key_id(&token).as_ref(), before.first());
    let folder = server.path("auth-data/jwt_keys");
    let file = folder.join(format!("{}.pem", before[0]));
    let failed = "those from before stay in use";

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    hang_up(&server, failed).await;
    assert!(server.log().contains("chmod 600"), "{}", server.log());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(folder.join("broken.pem"), "not a key").unwrap();
    hang_up(&server, failed).await;
    assert_eq!(published(&server).await, before);
    server
        .register(&token, "alice")
        .await
        .is(201, r#"{"is_error":0,"message":"success"}"#);

    fs::remove_file(folder.join("broken.pem")).unwrap();
    hang_up(&server, "keys reloaded").await;
    assert_eq!(published(&server).await, before);
}

#[tokio::test]
async fn s13_4_a_secret_file_is_read_anew_without_a_restart() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let write = |name: &str, secret: &str| {
        let file = folder.path().join(name);
        fs::write(&file, secret).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let (old, new) = (SECRETS[1].1, "Hs6Kd0Vn2Xr8Tb4Mz7Lq1Wc9Yp3Jf5Ga");
    write("current", old);
    write("earlier", new);
    let variables = [
        ("JWT_SECRET_KEY_FILE", "current"),
        ("JWT_SECRET_KEY_FALLBACKS_FILE", "earlier"),
    ];
    let first = Server::start_in(Arc::clone(&folder), &variables);
    let (_, said, _) = first.stop();
    let password = said
        .lines()
        .find_map(|line| line.strip_prefix("superuser: admin password: "));
    let server = Server::start_in(Arc::clone(&folder), &variables);
    let token = server
        .log_in("admin", password.unwrap())
        .await
        .text("access_token");

    write("current", new);
    write("earlier", old);
    hang_up(&server, "keys reloaded").await;
    let next = server
        .log_in("admin", password.unwrap())
        .await
        .text("access_token");
    assert_ne!(key_id(&next), key_id(&token));
    for (name, token) in [("alice", &token), ("bob", &next)] {
        server
            .register(token, name)
            .await
            .is(201, r#"{"is_error":0,"message":"success"}"#);
    }
    // An empty file is no fallback.
    write("earlier", "");
    hang_up(&server, "keys reloaded").await;
    server
        .register(&token, "carol")
        .await
        .is_error(401, "token_invalid");
}

#[test]
fn s13_4_keys_are_made_listed_used_and_retired_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let keys =
        |arguments: &[&str]| keys(folder.path(), &[("AUTH_JWT_ALGORITHM", "RS256")], arguments);
    let (first, second) = (
        keys(&["generate"]),
        keys(&["generate", "--algorithm", "RS256"]),
    );
    let roles = || -> Vec<(String, String)> {
        let listed = keys(&["list"]);
        let mut roles: Vec<_> = listed
            .lines()
            .map(|line| {
                let mut words = line.split_whitespace().map(str::to_owned);
                (words.next().unwrap(), words.next().unwrap())
            })
            .collect();
        roles.sort_by_key(|(_, role)| role.clone());
        roles
    };
    let role = |id: &str, role: &str| (id.to_owned(), role.to_owned());
    assert_eq!(roles(), [role(&first, "signs"), role(&second, "verifies")]);
    keys(&["use", &second]);
    assert_eq!(roles(), [role(&second, "signs"), role(&first, "verifies")]);
    keys(&["retire", &first]);
    assert_eq!(roles(), [role(&second, "signs")]);

    for (variables, arguments, expected) in [
        (
            &[("AUTH_JWT_ALGORITHM", "RS256")][..],
            &["retire", &second][..],
            "is the key that signs",
        ),
        (
            &[("AUTH_JWT_ALGORITHM", "RS256")],
            &["use", "-unknown"],
            "is not the id of a key",
        ),
        (
            &[("AUTH_JWT_ALGORITHM", "RS256")],
            &["generate", "--algorithm", "EdDSA"],
            "AUTH_JWT_ALGORITHM says RS256",
        ),
        (
            &[("AUTH_JWT_ALGORITHM", "EdDSA")],
            &["list"],
            "is a key for RS256",
        ),
        (
            &[],
            &["generate", "--algorithm", "HS256"],
            "HS256 has no key files",
        ),
        (
            &[],
            &["generate", "--algorithm", "none"],
            "must be HS256, EdDSA, ES256 or RS256",
        ),
    ] {
        let output = run(folder.path(), &[&["keys"], arguments].concat(), variables);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(errors.contains(expected), "{errors}");
    }
}
