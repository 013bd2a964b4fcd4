//! What the crates of this repository are made of, and what they must not do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn toml(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap();
    Figment::from(Toml::string(&text)).extract().unwrap()
}

/// The files of this name in the repository.
fn all(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let is_folder = entry.file_type().unwrap().is_dir();
            if is_folder
                && !["target", ".git"]
                    .iter()
                    .any(|skipped| entry.file_name() == *skipped)
            {
                folders.push(entry.path());
            } else if entry.file_name() == name {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Every list of exceptions in `deny.toml`, as its entries.
fn exceptions(value: &Value) -> Vec<&Value> {
    const LISTS: [&str; 5] = ["ignore", "exceptions", "skip", "skip-tree", "clarify"];
    let tables = value.as_object().unwrap().values();
    tables
        .flat_map(|table| LISTS.iter().filter_map(|list| table.get(list)?.as_array()))
        .flatten()
        .collect()
}

#[test]
fn s16_1_each_exception_has_a_reason_and_an_end_that_has_not_come() {
    let today = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let rules = toml(&root().join("deny.toml"));
    let exceptions = exceptions(&rules);
    assert!(
        !exceptions.is_empty(),
        "the search finds those that are there"
    );
    for exception in exceptions {
        let reason = exception["reason"].as_str().unwrap_or_default();
        let (why, until) = reason.rsplit_once("; until ").unwrap_or_default();
        assert!(
            why.len() >= 20 && until.len() == "2027-05-31".len(),
            "{exception}"
        );
        assert!(*until > *today, "look at it again, or mend it: {exception}");
    }
}

#[test]
fn s16_1_every_dependency_is_locked_and_of_crates_io() {
    let locks = all("Cargo.lock");
    assert!(locks.len() >= 5, "{locks:?}");
    for lock in locks {
        for package in toml(&lock)["package"].as_array().unwrap() {
            let source = package.get("source").and_then(Value::as_str);
            let is_ours = source.is_none();
            assert!(
                is_ours || source == Some("registry+https://github.com/rust-lang/crates.io-index"),
                "{}: {package}",
                lock.display()
            );
            assert!(is_ours || package["checksum"].is_string(), "{package}");
        }
    }
    let steps = fs::read_to_string(root().join(".ci/run")).unwrap();
    for line in steps
        .lines()
        .filter(|line| line.trim().starts_with("run cargo "))
    {
        let compiles = !["fmt", "deny", "fuzz"]
            .iter()
            .any(|tool| line.contains(tool));
        assert!(!compiles || line.contains("--locked"), "{line}");
    }
}

#[test]
fn s16_2_every_crate_of_ours_forbids_unsafe_code() {
    let forbids = |lints: &Value| lints["rust"]["unsafe_code"] == "forbid";
    let workspace = toml(&root().join("Cargo.toml"));
    assert!(forbids(&workspace["workspace"]["lints"]));
    let manifests = all("Cargo.toml");
    let packages: Vec<_> = manifests
        .iter()
        .map(|file| (file, toml(file)))
        .filter(|(_, manifest)| manifest.get("package").is_some())
        .collect();
    assert!(packages.len() >= 16, "{}", packages.len());
    for (file, manifest) in packages {
        let is_member = manifest.get("workspace").is_none();
        let inherits = is_member && manifest["lints"]["workspace"] == true;
        assert!(
            inherits || forbids(&manifest["lints"]),
            "{}",
            file.display()
        );
    }
}

/// Features that a crate cannot do without, or that we use.
const WANTED: [(&str, &str); 5] = [
    (
        "clap",
        "`--help`, and what it says of a flag that is misspelt",
    ),
    ("idna", "the tables of Unicode"),
    ("papaya", "its barriers, which readers do not pay for"),
    (
        "sha2",
        "the names of hashes that RSA signatures hold (feature `rust-crypto`)",
    ),
    (
        "tracing-subscriber",
        "the log as text, with colours on a terminal",
    ),
];

#[test]
fn s16_2_default_features_are_off_but_where_they_are_wanted() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let package_of = |id: &Value| {
        packages
            .iter()
            .find(|package| package["id"] == *id)
            .unwrap()
    };
    let mut more = BTreeSet::new();
    for name in ["auth-core", "auth-tower", "auth-server"] {
        let ours = packages.iter().find(|package| package["name"] == name);
        let ours = ours.unwrap();
        let node = nodes.iter().find(|node| node["id"] == ours["id"]).unwrap();
        // The versions that are used, since others of the same name have other features.
        for used in node["deps"].as_array().unwrap() {
            let used = package_of(&used["pkg"]);
            let asks = |dependency: &Value| {
                dependency["name"] == used["name"]
                    && dependency["kind"] != "dev"
                    && dependency["source"].is_string()
                    && dependency["uses_default_features"] == true
            };
            let defaults = used["features"]["default"].as_array();
            let brings_more = defaults.into_iter().flatten().any(|it| !brings_nothing(it));
            if brings_more && ours["dependencies"].as_array().unwrap().iter().any(asks) {
                more.insert(used["name"].as_str().unwrap());
            }
        }
    }
    let wanted: BTreeSet<_> = WANTED.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        more, wanted,
        "turn default features off, or say here why not"
    );
}

/// Whether a default feature only says that there is a standard library or a 128-bit integer.
fn brings_nothing(feature: &Value) -> bool {
    ["std", "alloc", "i128"]
        .iter()
        .any(|usual| feature == usual)
}
