//! The commands, as an operator runs them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use crate::support::{self, Embedded, PASSWORD, Production, SECRETS, Server, command, run};
use auth_core::testing::postgres::TemporaryDatabase;

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
    let database = TemporaryDatabase::create().await;
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

#[tokio::test]
async fn fault_d13_commands_that_need_the_database_alone_ask_for_nothing_else() {
    let database = TemporaryDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let variables = [("DATABASE_URL", database.url())];
    for arguments in [&["migrate"][..], &["events"], &["mails", "list"]] {
        let (code, _, error) = text(&run(folder.path(), arguments, &variables));
        assert_eq!(code, 0, "{arguments:?}: {error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn fault_d14_the_first_asymmetric_key_is_made_before_the_algorithm_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
        ("AUTH_JWT_KEYS", "keys"),
        SECRETS[0],
        SECRETS[1],
    ];
    let generate = ["keys", "generate", "--algorithm", "ES256"];
    let (code, id, error) = text(&run(folder.path(), &generate, &variables));
    assert_eq!(code, 0, "{error}");
    let file = folder
        .path()
        .join("keys")
        .join(format!("{}.pem", id.trim()));
    assert!(file.exists());
    let (code, _, error) = text(&run(folder.path(), &generate, &variables[..1]));
    assert!(code == 1 && error.contains("AUTH_JWT_KEYS"), "{error}");
    let (code, _, error) = text(&run(folder.path(), &generate[..2], &variables));
    assert!(code == 1 && error.contains("AUTH_JWT_ALGORITHM"), "{error}");
}

#[test]
fn fault_d13_a_password_comes_from_standard_input_where_there_is_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let create = |name: &str, typed: &str| {
        let email = format!("{name}@example.org");
        let arguments = ["createsuperuser", "--username", name, "--email", &email];
        let mut command = command(folder.path(), &arguments, &[]);
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(typed.as_bytes()).unwrap();
        drop(input);
        text(&child.wait_with_output().unwrap())
    };
    let (code, _, error) = create("one", "");
    assert!(code == 1 && error.contains("standard input"), "{error}");
    let (code, said, error) = create("one", &format!("{PASSWORD}\n"));
    assert_eq!(
        (code, said.as_str()),
        (0, "superuser created: one\n"),
        "{error}"
    );
}

#[test]
fn fault_d13_an_unknown_kind_of_event_is_refused_with_the_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let events = ["events", "--kind", "login_refusde"];
    let (code, _, error) = text(&run(folder.path(), &events, &[]));
    assert_eq!(code, 2);
    for kind in ["login_refused", "keys_changed"] {
        assert!(error.contains(kind), "{error}");
    }
}

#[test]
fn fault_d8_a_database_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), &["migrate"], &[]).status.success());
    let file = folder.path().join("auth-data/auth.sqlite3");
    for (mode, usable) in [(0o644, false), (0o640, false), (0o600, true)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let (code, _, error) = text(&run(folder.path(), &["events"], &[]));
        assert_eq!(code == 0, usable, "{mode:o}: {error}");
        assert_eq!(error.contains("chmod 600"), !usable, "{mode:o}: {error}");
    }
}

#[tokio::test]
async fn fault_d12_an_error_tells_each_cause_once_and_the_path_or_the_host() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("a.db")).unwrap();
    let sqlite = [("DATABASE_URL", "sqlite://a.db")];
    let (_, _, error) = text(&run(folder.path(), &["events"], &sqlite));
    assert!(
        error.starts_with("auth-server: the database sqlite://a.db cannot be used: "),
        "{error}"
    );
    let database = TemporaryDatabase::create().await;
    let elsewhere = format!("{}_nowhere", database.url().split('?').next().unwrap());
    let (_, _, wrong) = text(&run(
        folder.path(),
        &["events"],
        &[("DATABASE_URL", &elsewhere)],
    ));
    for error in [error, wrong] {
        let parts: Vec<_> = error.trim().split(": ").collect();
        for part in &parts {
            let times = parts.iter().filter(|it| *it == part).count();
            assert_eq!(times, 1, "`{part}` in {error}");
        }
        assert!(!error.contains(" at line "), "{error}");
    }
}

#[test]
fn fault_d7_a_password_that_is_not_encoded_is_neither_printed_nor_logged() {
    let folder = tempfile::tempdir().unwrap();
    for password in [
        "canary?x", "1?canary", "canary#x", "1#canary", "canary/x", "1/canary",
    ] {
        let url = format!("postgres://auth:{password}@127.0.0.1:1/auth");
        let variables = [
            ("DATABASE_URL", url.as_str()),
            SECRETS[0],
            SECRETS[1],
            ("AUTH_LOG", "trace"),
        ];
        for arguments in [&["serve"][..], &["check"], &["migrate"]] {
            let (code, said, error) = text(&run(folder.path(), arguments, &variables));
            assert_eq!(code, 1);
            assert!(
                !said.contains("canary") && !error.contains("canary"),
                "{said}{error}"
            );
            assert!(error.contains("%3F"), "{error}");
        }
    }
}

#[tokio::test]
async fn fault_d11_a_lost_secret_and_a_database_without_a_superuser_are_told() {
    let embedded = Embedded::start(&[]).server;
    let folder = embedded.folder();
    embedded.stop();
    fs::remove_file(folder.path().join("auth-data/secret_key")).unwrap();
    let (_, _, log) = Server::start_in(std::sync::Arc::clone(&folder), &[]).stop();
    assert!(log.contains("the secret key was missing"), "{log}");
    let (_, _, log) = Server::start_in(folder, &[]).stop();
    assert!(!log.contains("the secret key was missing"), "{log}");

    let production = Production::start(&[]).await;
    assert!(!production.server.log().contains("there is no superuser"));
    let another = TemporaryDatabase::create().await;
    let mut variables: Vec<_> = production
        .variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    variables.push(("DATABASE_URL", another.url()));
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    assert!(
        run(folder.path(), &["migrate"], &variables)
            .status
            .success()
    );
    let (_, report, _) = text(&run(folder.path(), &["check"], &variables));
    assert!(report.contains("createsuperuser"), "{report}");
    let (_, _, log) = Server::start_in(folder, &variables).stop();
    assert!(log.contains("there is no superuser"), "{log}");
}

#[tokio::test]
async fn fault_e2_the_log_names_the_file_of_a_mail_and_a_command_shows_its_link() {
    let Embedded { server, password } = Embedded::start(&[]);
    let token = server.log_in("admin", &password).await.text("access_token");
    let registered = server.register(&token, "alice").await;
    assert_eq!(registered.status.as_u16(), 201, "{registered:?}");
    let outbox = server.path("auth-data/outbox");
    let file = loop {
        let mails = fs::read_dir(&outbox).into_iter().flatten();
        let mut names = mails.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        if let Some(name) = names.find(|name| name.ends_with(".eml")) {
            break name;
        }
        tokio::task::yield_now().await;
    };
    let folder = server.folder();
    for arguments in [&["mails", "show"][..], &["mails", "show", &file]] {
        let (code, said, error) = text(&run(folder.path(), arguments, &[]));
        assert_eq!(code, 0, "{error}");
        assert!(
            said.contains(&file) && said.contains("alice@example.org"),
            "{said}"
        );
        let link = said.lines().find_map(|line| line.strip_prefix("link     "));
        let mail = fs::read_to_string(outbox.join(&file)).unwrap();
        assert!(
            link.unwrap().starts_with("http") && mail.contains(link.unwrap()),
            "{said}{mail}"
        );
    }
    let (_, _, log) = server.stop();
    assert!(log.contains(&file) && !log.contains("token="), "{log}");
}

#[tokio::test]
async fn fault_d10_mails_that_were_given_up_are_listed_and_tried_again() {
    let embedded = Embedded::start(&[("AUTH_MAIL", "smtp://127.0.0.1:1")]);
    let token = embedded.superuser_token().await;
    embedded.server.register(&token, "alice").await;
    let folder = embedded.server.folder();
    embedded.server.stop();
    let mails = |arguments: &[&str]| {
        let arguments = [&["mails"], arguments].concat();
        text(&run(folder.path(), &arguments, &[]))
    };
    let (code, said, error) = mails(&["list"]);
    assert_eq!(code, 0, "{error}");
    assert!(
        said.contains("alice@example.org") && said.contains("waits until"),
        "{said}"
    );
    let id = said.split(' ').next().unwrap().to_owned();
    let (code, _, error) = mails(&["retry", &id]);
    assert!(code == 1 && error.contains("mails list"), "{error}");

    let database =
        rusqlite::Connection::open(folder.path().join("auth-data/auth.sqlite3")).unwrap();
    let given_up = database.execute(
        "UPDATE auth_outbox SET abandoned_at = due, last_error = '550 \u{1b}[31m'",
        [],
    );
    assert_eq!(given_up.unwrap(), 1);
    drop(database);
    let (_, said, _) = mails(&["list"]);
    assert!(
        said.contains("given up") && said.contains("550 \\u{1b}"),
        "{said}"
    );
    let (_, said, _) = mails(&["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (listed["id"].as_str(), listed["due"].is_null()),
        (Some(id.as_str()), true)
    );
    assert_eq!(mails(&["retry", "--all"]).1, "tried again: 1\n");
    assert_eq!(mails(&["retry", "--all"]).1, "tried again: 0\n");

    // It reaches the folder now.
    let server = Server::start_in(folder, &[]);
    let mail = support::mail::from_folder(&server.path("auth-data/outbox"));
    assert_eq!(mail.to, "alice@example.org");
}
