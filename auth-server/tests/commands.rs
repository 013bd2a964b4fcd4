//! The commands, as an operator runs them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::process::Output;

use support::{PASSWORD, SECRETS, Server, run};

fn text(output: &Output) -> (i32, String, String) {
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout.clone()).unwrap(),
        String::from_utf8(output.stderr.clone()).unwrap(),
    )
}

#[test]
fn help_and_version_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (code, help, _) = text(&run(folder.path(), &["--help"], &[]));
    assert_eq!(code, 0);
    for word in ["serve", "migrate", "createsuperuser", "check", "--config"] {
        assert!(help.contains(word), "{word} in {help}");
    }
    let (code, version, _) = text(&run(folder.path(), &["--version"], &[]));
    assert_eq!(
        (code, version.as_str()),
        (0, concat!("auth-server ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    let (code, _, error) = text(&run(folder.path(), &["sevre"], &[]));
    assert_eq!(code, 2);
    assert!(error.contains("serve"), "{error}");
}

#[test]
fn settings_may_stand_before_the_command_or_after_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.toml"), "max_body = \"2KiB\"\n").unwrap();
    for arguments in [
        ["--config", "a.toml", "check"],
        ["check", "--config", "a.toml"],
    ] {
        let (_, report, error) = text(&run(folder.path(), &arguments, &[]));
        assert!(report.contains("2048 bytes"), "{report}{error}");
    }
    let (code, _, error) = text(&run(folder.path(), &["--migrate", "check"], &[]));
    assert_eq!(code, 2);
    assert!(
        error.contains("--migrate is a flag of `serve` only"),
        "{error}"
    );
}

#[test]
fn s17_3_a_wrong_setting_ends_every_command_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["serve", "migrate", "check"] {
        let (code, _, error) = text(&run(folder.path(), &[command], &[("AUTH_BIDN", "x")]));
        assert_eq!(code, 1);
        assert_eq!(
            error,
            "auth-server: unknown environment variable AUTH_BIDN: did you mean AUTH_BIND?\n"
        );
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing was made"
    );
}

#[test]
fn check_reports_the_settings_without_secrets_and_tries_the_parts() {
    let folder = tempfile::tempdir().unwrap();
    let (code, report, _) = text(&run(folder.path(), &["check"], &[]));
    assert_eq!(code, 0, "{report}");
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing was made"
    );
    assert!(run(folder.path(), &["migrate"], &[]).status.success());
    let (code, report, error) = text(&run(
        folder.path(),
        &["--bind", "127.0.0.1:1", "check"],
        &SECRETS,
    ));
    assert_eq!(code, 0, "{report}{error}");
    for part in ["database", "keys and settings", "templates", "mail"] {
        assert!(
            report
                .lines()
                .any(|line| line.starts_with(part) && line.ends_with(" ok")),
            "{report}"
        );
    }
    for (_, secret) in SECRETS {
        assert!(!report.contains(secret) && !error.contains(secret));
    }
    let away = [
        ("AUTH_MAIL", "smtp://127.0.0.1:1"),
        ("DATABASE_URL", "postgres://nobody:hunter2@127.0.0.1:1/none"),
        SECRETS[0],
        SECRETS[1],
    ];
    let (code, report, error) = text(&run(folder.path(), &["check"], &away));
    assert_eq!(code, 1);
    for part in ["database", "mail"] {
        assert!(
            report
                .lines()
                .any(|line| line.starts_with(part) && line.contains("FAILED")),
            "{report}"
        );
    }
    assert!(
        !report.contains("hunter2") && !error.contains("hunter2"),
        "{report}{error}"
    );
}

#[test]
fn s17_1_a_superuser_is_made_once_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    let create = |name: &str, password: Option<&str>, more: &[&str]| {
        let email = format!("{name}@example.org");
        let mut arguments = vec![
            "createsuperuser",
            "--username",
            name,
            "--email",
            &email,
            "--noinput",
        ];
        arguments.extend(more);
        let variables: Vec<_> = password
            .iter()
            .map(|&password| ("AUTH_SUPERUSER_PASSWORD", password))
            .collect();
        text(&run(folder.path(), &arguments, &variables))
    };
    let (code, _, error) = create("one", None, &[]);
    assert!(
        code == 1 && error.contains("AUTH_SUPERUSER_PASSWORD"),
        "{error}"
    );
    let (code, _, error) = create("one", Some("password"), &[]);
    assert!(code == 1 && error.contains("the password "), "{error}");
    let (code, _, error) = create("not valid", Some(PASSWORD), &[]);
    assert!(
        code == 1 && error.contains("the username ") && error.contains("the email "),
        "{error}"
    );
    let (code, said, _) = create("one", Some(PASSWORD), &[]);
    assert_eq!((code, said.as_str()), (0, "superuser created: one\n"));
    let (code, _, error) = create("two", Some(PASSWORD), &[]);
    assert!(code == 1 && error.contains("--force"), "{error}");
    let (code, _, error) = create("two", Some(PASSWORD), &["--force"]);
    assert_eq!(code, 0, "{error}");
}

#[tokio::test]
async fn s17_1_the_password_is_printed_at_the_first_start_only() {
    let first = Server::start(&[]);
    let folder = first.folder();
    let (_, first, _) = first.stop();
    let password = first
        .lines()
        .find_map(|line| line.strip_prefix("superuser: admin password: "));
    // 256 random bits as base64url.
    assert_eq!(password.unwrap().len(), 43);
    let (_, second, _) = Server::start_in(folder, &[]).stop();
    assert_eq!(second, "");
}

#[tokio::test]
async fn a_production_node_wants_its_tables() {
    let database = auth_core::testing::postgres::TemporaryDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        SECRETS[0],
        SECRETS[1],
        ("DATABASE_URL", database.url()),
        ("AUTH_MAIL", "folder:outbox"),
        ("AUTH_BIND", "127.0.0.1:0"),
    ];
    let (code, _, error) = text(&run(folder.path(), &["serve"], &variables));
    assert_eq!(code, 1);
    assert!(error.contains("auth-server migrate"), "{error}");
    let (code, said, _) = text(&run(folder.path(), &["migrate"], &variables));
    assert!(code == 0 && said.contains("applied 0001_users"), "{said}");
    let (_, again, _) = text(&run(folder.path(), &["migrate"], &variables));
    assert!(again.contains("nothing to do"), "{again}");
}

#[tokio::test]
async fn s17_1_starts_at_once_make_one_superuser_and_one_set_of_keys() {
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let folder = std::sync::Arc::clone(&folder);
            std::thread::spawn(move || Server::start_in(folder, &[]))
        })
        .collect();
    let mut servers: Vec<_> = starts
        .into_iter()
        .map(|start| start.join().unwrap())
        .collect();
    let last = servers.pop().unwrap();
    let mut said: Vec<_> = servers.into_iter().map(|server| server.stop().1).collect();
    let again = Server::start_in(folder, &[]);
    said.push(last.stop().1);
    let passwords: Vec<_> = said
        .iter()
        .filter_map(|said| said.lines().next())
        .filter_map(|line| line.strip_prefix("superuser: admin password: "))
        .collect();
    let [password] = passwords.as_slice() else {
        panic!("not one password: {said:?}")
    };
    assert_eq!(again.log_in("admin", password).await.status.as_u16(), 200);
}
