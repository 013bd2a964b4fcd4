//! How soon a logout at one node is known at another, and what it costs to look.
//!
//! Prints the delay from the acknowledged logout to the first refusal elsewhere (S7.7), and the
//! time to verify an access token beside sets of revocations of several sizes.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "it prints its result")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_core::revocation::{Revocation, Revocations, RevokedTokens, StalePolicy};
use auth_core::store::PostgresStore;
use auth_core::testing::postgres::TemporaryDatabase;
use auth_core::{
    AccessTokenVerifier, Argon2Params, AuthService, Bootstrap, Clock, Engine, JwtKeys, Login,
    Password, PasswordHasher, Registration, RequestContext, SecretKey, SecretKeys, SessionId,
    SystemClock, TokenPair,
};

const TRIALS: usize = 200;
const ROUNDS: usize = 200;
const VERIFICATIONS: u32 = 200;
const ISSUER: &str = "https://auth.example.org";
const PASSWORD: &str = "correct horse battery";

fn keys() -> JwtKeys {
    JwtKeys::hs256(SecretKey::parse("Zt5Rw8Qp2Ys7Vx4Uk9Bn3Mc6Lf1Jh0Dg").unwrap())
}

/// A node with connections of its own.
fn node(database: &TemporaryDatabase) -> Engine {
    let store = PostgresStore::connect(database.url()).unwrap();
    let secret_key = SecretKey::parse("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0").unwrap();
    let hasher = PasswordHasher::builder().with_params(Argon2Params::insecure_for_tests());
    Engine::builder(Arc::new(store), SecretKeys::new(secret_key), keys())
        .with_public_url(ISSUER)
        .with_password_hasher(hasher.build().unwrap())
        .build()
        .unwrap()
}

async fn log_in(node: &Engine) -> TokenPair {
    let login = Login::new("alice", Password::new(PASSWORD));
    let context = RequestContext::default();
    node.log_in(login, &context).await.unwrap()
}

/// From the answer to the logout until the other node refuses the access token.
async fn delay(here: &Engine, there: &AccessTokenVerifier) -> Duration {
    let tokens = log_in(here).await;
    let access_token = tokens.access_token.expose();
    there.verify(access_token).unwrap();
    let context = RequestContext::default();
    let refresh_token = tokens.refresh_token.expose();
    here.log_out(refresh_token, &context).await.unwrap();
    let acknowledged = Instant::now();
    while there.verify(access_token).is_ok() {
        tokio::task::yield_now().await;
    }
    acknowledged.elapsed()
}

async fn measure_delays(database: &TemporaryDatabase) -> TokenPair {
    let [here, there] = [node(database), node(database)];
    let alice = Registration::new("alice", Password::new(PASSWORD), "alice@example.org");
    let created = here
        .create_superuser(alice, Bootstrap::FirstSuperuser)
        .await;
    created.unwrap().unwrap();
    tokio::spawn(there.revocation_follower().run(std::future::pending()));
    while !there.revocations().is_healthy() {
        tokio::task::yield_now().await;
    }
    let verifier = there.access_token_verifier();
    let mut delays = Vec::new();
    for _ in 0..TRIALS {
        delays.push(delay(&here, &verifier).await);
    }
    delays.sort();
    println!("logout until refused at another node, {TRIALS} trials on PostgreSQL:");
    for (name, part) in [("median", 50), ("p99", 99), ("longest", 100)] {
        let index = (TRIALS * part / 100).min(TRIALS - 1);
        println!("  {name:<8} {:?}", delays.get(index).unwrap());
    }
    log_in(&here).await
}

fn revocations(entries: usize) -> Revocations {
    let revocations = Revocations::new(StalePolicy::Accept, Arc::new(SystemClock));
    let expires_at = SystemClock.now() + Duration::from_secs(3600);
    for _ in 0..entries {
        let session = RevokedTokens::OfSession(SessionId::generate());
        revocations.insert(&Revocation::new(session, expires_at));
    }
    revocations
}

fn time(verifier: &AccessTokenVerifier, token: &str) -> Duration {
    let started = Instant::now();
    for _ in 0..VERIFICATIONS {
        verifier.verify(black_box(token)).unwrap();
    }
    started.elapsed() / VERIFICATIONS
}

fn measure_verification(token: &str) {
    let verifier = || AccessTokenVerifier::new(&keys(), ISSUER, ISSUER, Arc::new(SystemClock));
    let contenders = [
        ("no set", verifier()),
        ("an empty set", verifier().with_revocations(revocations(0))),
        ("1,000", verifier().with_revocations(revocations(1_000))),
        ("100,000", verifier().with_revocations(revocations(100_000))),
    ];
    // Interleaved, so that a machine that changes its pace changes it for all of them.
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        for ((_, verifier), times) in contenders.iter().zip(&mut times) {
            times.push(time(verifier, token));
        }
    }
    let medians = times.map(|mut times| {
        times.sort();
        *times.get(ROUNDS / 2).unwrap()
    });
    println!("verifying an access token beside revocations, median of {ROUNDS} rounds:");
    let [without, ..] = medians;
    for ((name, _), median) in contenders.iter().zip(medians) {
        let ratio = median.as_secs_f64() / without.as_secs_f64();
        println!("  {name:<14} {median:?}  ({ratio:.3} of no set)");
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let database = TemporaryDatabase::create().await;
    let store = PostgresStore::connect(database.url()).unwrap();
    store.migrate().await.unwrap();
    let tokens = measure_delays(&database).await;
    measure_verification(tokens.access_token.expose());
}
