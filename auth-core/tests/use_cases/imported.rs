//! Users who were imported with the password hashes of another system.

use std::sync::Arc;

use auth_core::password::ForeignCeilings;
use auth_core::store::Store;
use auth_core::{Argon2Params, PasswordHash, PasswordHasher, Timestamp};

use crate::futures;
use crate::support::{self, on_each_store};
use crate::world::{World, code};

const PASSWORD: &str = "correct horse battery staple";

/// Made as `tests/vectors` tells.
const HASHES: [&str; 5] = [
    "pbkdf2_sha256$260000$jUKBqLSJaUH6b5Nh0wYVWy$Johj5YGdJY5uGIW/aYtTnLG/ooYYKi8HlGGlJ5WMq4Y=",
    "$pbkdf2-sha256$i=1000$AAECAwQFBgcICQoLDA0ODw$ppsXnjrdPB4KryJ6DrOqKqhkWrhv7PbKAMF1Eml8cZ4",
    "argon2$argon2id$v=19$m=102400,t=2,p=8$alVLQnFMU0phVUg2YjVOaDB3WVZXeQ$rQ7G4/odKmCJa44SFPW1lITCdns3LGgTpb/QBcvS7R0",
    "$scrypt$ln=10,r=8,p=2$AAECAwQFBgcICQoLDA0ODw$wk79EttC618m617oirShLZuxJkXcX6rXHrrS9rQQ/44",
    "$2b$05$abcdefghijklmnopqrstuuFiPhXf1sVd3pCCRO.uVh34H/qI/ZsuS",
];

impl World {
    /// Puts a user into the store, as an import does.
    async fn import(&self, name: &str, hash: &str) {
        let mut user = support::user(name);
        user.user.email_verified_at = Some(Timestamp::from_unix_seconds(1_600_000_000));
        user.password_hash = PasswordHash::from_stored(hash);
        let event = support::event();
        self.store.create_user(&user, None, &event).await.unwrap();
    }

    async fn stored_hash(&self, name: &str) -> String {
        let found = self.store.find_credentials(&name.parse().unwrap()).await;
        found.unwrap().unwrap().1.as_stored().to_owned()
    }
}

async fn s1_2_an_imported_hash_is_replaced_at_the_first_good_login(store: Arc<dyn Store>) {
    let world = World::new(store);
    for (number, hash) in HASHES.into_iter().enumerate() {
        let name = format!("user{number}");
        world.import(&name, hash).await;
        let refused = world.log_in_with(&name, "wrong password").await;
        assert_eq!(code(refused), "invalid_credentials");
        assert_eq!(
            world.stored_hash(&name).await,
            hash,
            "a wrong password changes nothing"
        );
        world.log_in_with(&name, PASSWORD).await.unwrap();
        let new = world.stored_hash(&name).await;
        assert!(new.starts_with("$argon2id$v=19$m=32,t=1,p=1$"), "{new}");
        world.log_in_with(&name, PASSWORD).await.unwrap();
        assert_eq!(world.stored_hash(&name).await, new, "a current hash stays");
        let refused = world.log_in_with(&name, "wrong password").await;
        assert_eq!(code(refused), "invalid_credentials");
    }
}

async fn s1_2_first_logins_at_once_all_succeed(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.import("alice", HASHES[4]).await;
    let logins = futures(4, || world.log_in_with("alice", PASSWORD)).await;
    assert!(logins.into_iter().all(|login| login.is_ok()));
    assert!(world.stored_hash("alice").await.starts_with("$argon2id$"));
}

/// What another system never looked at counts from then on as it was typed.
async fn s2_4_bcrypt_cuts_a_password_for_the_last_time_at_the_first_login(store: Arc<dyn Store>) {
    let world = World::new(store);
    let password = "0123456789".repeat(12);
    let other_tail = format!("{}another tail", &password[..72]);
    let hash = "$2b$05$abcdefghijklmnopqrstuuLkMZtUsVwf9Ptg/wgiNv8ZhtnAHnix.";
    world.import("alice", hash).await;
    world.import("bob", hash).await;
    let too_short = world.log_in_with("alice", &password[..71]).await;
    assert_eq!(code(too_short), "invalid_credentials");

    world.log_in_with("alice", &password).await.unwrap();
    for wrong in [&other_tail, &password[..72], &password[..119]] {
        let refused = world.log_in_with("alice", wrong).await;
        assert_eq!(code(refused), "invalid_credentials", "{wrong}");
    }
    world.log_in_with("alice", &password).await.unwrap();

    world.log_in_with("bob", &other_tail).await.unwrap();
    let refused = world.log_in_with("bob", &password).await;
    assert_eq!(code(refused), "invalid_credentials");
    world.log_in_with("bob", &other_tail).await.unwrap();
}

async fn s2_4_a_hash_of_another_system_is_of_what_was_typed(store: Arc<dyn Store>) {
    let world = World::new(store);
    // Django's hash of letters and accents apart.
    let hash = "pbkdf2_sha1$1000$jUKBqLSJaUH6b5Nh0wYVWy$/tObePlRG6PP5pEdU9DvtbuscKU=";
    let (apart, composed) = ("cafe\u{301} cre\u{300}me", "caf\u{e9} cr\u{e8}me");
    world.import("alice", hash).await;
    let refused = world.log_in_with("alice", composed).await;
    assert_eq!(code(refused), "invalid_credentials");
    world.log_in_with("alice", apart).await.unwrap();
    world.log_in_with("alice", composed).await.unwrap();
}

async fn s1_3_an_imported_hash_that_is_not_usable_lets_nobody_in(store: Arc<dyn Store>) {
    let ceilings = ForeignCeilings::default().with_bcrypt_cost(4);
    let hasher = PasswordHasher::builder()
        .with_params(Argon2Params::insecure_for_tests())
        .with_foreign_ceilings(ceilings)
        .build()
        .unwrap();
    let world = World::with(store, |builder| builder.with_password_hasher(hasher));
    for (number, hash) in [
        HASHES[4],
        // What Django's `set_unusable_password` writes.
        "!wIWnJoLwx0r0TBqbQ8zqu4Sk0DaMsaWhKbGk0kYu",
        "",
        "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
        "pbkdf2_sha256$4294967295$salt$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("user{number}");
        world.import(&name, hash).await;
        for password in [PASSWORD, "", hash] {
            let refused = world.log_in_with(&name, password).await;
            assert_eq!(code(refused), "invalid_credentials", "{hash}");
        }
        assert_eq!(world.stored_hash(&name).await, hash);
    }
}

on_each_store!(
    s1_2_an_imported_hash_is_replaced_at_the_first_good_login,
    s1_2_first_logins_at_once_all_succeed,
    s2_4_bcrypt_cuts_a_password_for_the_last_time_at_the_first_login,
    s2_4_a_hash_of_another_system_is_of_what_was_typed,
    s1_3_an_imported_hash_that_is_not_usable_lets_nobody_in,
);
