//! What the fuzz target of `auth-server` does with its input: S11.4.
//!
//! The program in `fuzz_targets` calls it, and `auth-server/tests/fuzz_corpus.rs` replays the kept
//! corpus through it. A target fails by a panic: the parser's own, or that of a check here.

use std::fs;
use std::path::Path;

use auth_server::cli::Settings;
use auth_server::config::Config;

/// A target, by the name of its program and of the folder of its corpus.
type Target = (&'static str, fn(&[u8]));

/// The targets.
pub const TARGETS: [Target; 1] = [("configuration", configuration)];

thread_local! {
    static FOLDER: tempfile::TempDir = tempfile::tempdir().expect("a folder can be made");
}

/// A file of settings: it is taken, or refused in a line that shows nothing of a secret.
pub fn configuration(data: &[u8]) {
    FOLDER.with(|folder| load(&folder.path().join("auth-server.toml"), data));
}

fn load(file: &Path, data: &[u8]) {
    // Settings that name files of secrets would have the target read whatever the machine has.
    if data.windows(5).any(|word| word == b"_file") {
        return;
    }
    fs::write(file, data).expect("the file can be written");
    private(file);
    let flags = Settings {
        config: Some(file.to_owned()),
        ..Settings::default()
    };
    match Config::load(&flags, std::iter::empty()) {
        Ok(config) => assert!(!config.report().is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A file with secrets is refused where others may read it.
#[cfg(unix)]
fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

#[cfg(not(unix))]
fn private(_: &Path) {}
