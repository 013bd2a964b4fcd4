//! Hashes that other systems have made: `vectors/make_hash_vectors.py` tells how.

use auth_core::password::Verification;
use auth_core::{Password, PasswordHash, PasswordHasher};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    systems: Vec<System>,
}

#[derive(Deserialize)]
struct System {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    hash: String,
    password: String,
    wrong: String,
}

fn vectors() -> Vec<Vector> {
    let vectors: Vectors = serde_json::from_str(include_str!("../vectors/hashes.json")).unwrap();
    let systems = vectors.systems.into_iter();
    systems.flat_map(|system| system.vectors).collect()
}

async fn verify(hasher: &PasswordHasher, password: &str, hash: &str) -> Verification {
    let hash = PasswordHash::from_stored(hash);
    let outcome = hasher.verify(Password::new(password), Some(hash)).await;
    outcome.unwrap()
}

/// Verifies each vector whose string begins so, and gives how many there are.
async fn verify_all(schemes: &[&str]) -> usize {
    let hasher = PasswordHasher::builder().build().unwrap();
    let mut count = 0;
    for vector in vectors() {
        let Vector {
            hash,
            password,
            wrong,
        } = vector;
        if !schemes.iter().any(|scheme| hash.starts_with(scheme)) {
            continue;
        }
        let right = verify(&hasher, &password, &hash).await;
        assert_eq!(right, Verification::MatchOutdated, "{hash} {password}");
        let wrong = verify(&hasher, &wrong, &hash).await;
        assert_eq!(wrong, Verification::Mismatch, "{hash}");
        count += 1;
    }
    count
}

#[tokio::test]
async fn hashes_of_pbkdf2_are_verified() {
    assert!(verify_all(&["pbkdf2_", "$pbkdf2"]).await > 20);
}

#[tokio::test]
async fn hashes_of_scrypt_are_verified() {
    assert!(verify_all(&["scrypt$", "$scrypt$"]).await >= 10);
}

#[tokio::test]
async fn hashes_of_bcrypt_are_verified() {
    assert!(verify_all(&["bcrypt", "$2"]).await > 15);
}

#[tokio::test]
async fn hashes_of_argon2_are_verified() {
    assert!(verify_all(&["argon2$", "$argon2"]).await >= 9);
}

#[tokio::test]
async fn no_vector_is_left_out() {
    let known = [
        "pbkdf2_", "$pbkdf2", "scrypt$", "$scrypt$", "bcrypt", "$2", "argon2$", "$argon2",
    ];
    for Vector { hash, .. } in vectors() {
        assert!(
            known.iter().any(|scheme| hash.starts_with(scheme)),
            "{hash}"
        );
    }
}
