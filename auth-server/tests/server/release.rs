//! What the program that is given away must not hold.

use std::fs;
use std::path::Path;

use crate::support::{self, SECRETS};

#[test]
fn s16_4_the_release_profile_checks_for_overflow() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    let (_, profile) = manifest.split_once("[profile.release]\n").unwrap();
    let profile = profile.split("\n[").next().unwrap();
    assert!(profile.contains("overflow-checks = true"), "{profile}");
    assert!(!profile.contains("debug-assertions"), "{profile}");
}

#[test]
fn s16_4_the_program_holds_no_key_of_the_tests() {
    let program = fs::read(env!("CARGO_BIN_EXE_auth-server")).unwrap();
    let holds = |text: &[u8]| program.windows(text.len()).any(|part| part == text);
    assert!(
        holds(b"the TLS handshake failed"),
        "the search finds what is there"
    );
    for (_, secret) in SECRETS {
        assert!(!holds(secret.as_bytes()), "{secret}");
    }
}

#[tokio::test]
async fn s16_4_there_are_no_endpoints_for_debugging() {
    let server = support::Server::start(&[]);
    for path in ["/debug", "/debug/pprof/", "/metrics", "/console", "/.env"] {
        server.get(path).await.is_error(404, "not_found");
    }
}
