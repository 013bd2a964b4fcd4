//! What the operator does with `auth-server users`, beside a running server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::time::Duration;

use crate::support::{Embedded, PASSWORD, SECRETS, Server, run};
use auth_core::testing::postgres::TemporaryDatabase;
use reqwest::Method;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

const OTHER_PASSWORD: &str = "battery horse correct";

/// A running server, and the commands on its database, with one superuser.
struct Case {
    server: Server,
    folder: PathBuf,
    variables: Vec<(String, String)>,
    op_password: String,
}

impl Case {
    fn embedded() -> Self {
        let Embedded { server, password } = Embedded::start(&[]);
        Self {
            folder: server.folder().path().to_owned(),
            server,
            variables: Vec::new(),
            op_password: password,
        }
    }

    fn on_postgres(database: &TemporaryDatabase) -> Self {
        let variables = [
            SECRETS[0],
            SECRETS[1],
            ("DATABASE_URL", database.url()),
            ("AUTH_MAIL", "folder:outbox"),
            ("AUTH_SUPERUSER_PASSWORD", PASSWORD),
        ];
        let folder = tempfile::tempdir().unwrap();
        let create = "createsuperuser --username op --email op@example.org --noinput";
        for arguments in ["migrate", create] {
            let arguments: Vec<_> = arguments.split(' ').collect();
            assert!(run(folder.path(), &arguments, &variables).status.success());
        }
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            folder: folder.path().to_owned(),
            server: Server::start_in(std::sync::Arc::new(folder), &variables),
            variables: variables.into_iter().map(owned).collect(),
            op_password: PASSWORD.to_owned(),
        }
    }

    /// Runs `auth-server` to its end: the exit code, and what it said.
    fn command(&self, arguments: &str) -> (i32, String) {
        self.command_with(arguments, PASSWORD)
    }

    fn command_with(&self, arguments: &str, password: &str) -> (i32, String) {
        let arguments: Vec<_> = arguments.split(' ').collect();
        let variables = self.variables.iter();
        let variables = variables.map(|(name, value)| (name.as_str(), value.as_str()));
        let variables: Vec<_> = variables
            .chain([("AUTH_USER_PASSWORD", password), ("AUTH_LOG", "warn")])
            .collect();
        let output = run(&self.folder, &arguments, &variables);
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(said).unwrap(),
        )
    }

    #[track_caller]
    fn says(&self, arguments: &str, said: &str) {
        assert_eq!(self.command(arguments), (0, said.to_owned()), "{arguments}");
    }

    #[track_caller]
    fn refuses(&self, arguments: &str, why: &str) {
        let (code, said) = self.command(arguments);
        assert_eq!(code, 1, "{arguments}: {said}");
        assert!(said.contains(why), "{arguments}: {said}");
    }

    async fn begin_session(&self, name: &str) -> (String, String) {
        let pair = self.server.log_in(name, PASSWORD).await;
        (pair.text("access_token"), pair.text("refresh_token"))
    }

    /// Asks for what only a superuser may do, until the refusal is as it must become.
    async fn becomes(&self, access_token: impl AsyncFn() -> String, codes: &[&str]) {
        let becomes = async {
            loop {
                let answer = self.server.register(&access_token().await, "nobody").await;
                if codes.contains(&answer.text("code").as_str()) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, becomes).await.unwrap();
    }

    async fn may_not_log_in(&self, name: &str) {
        let refused = self.server.log_in(name, PASSWORD).await;
        refused.is_error(401, "invalid_credentials");
    }

    /// Both tokens are refused; a token that is to be replaced by a refresh counts as expired.
    async fn has_ended(&self, (access_token, refresh_token): &(String, String)) {
        let refused = self.server.refresh(refresh_token).await;
        refused.is_error(401, "token_revoked");
        let access_token = async || access_token.clone();
        self.becomes(access_token, &["token_revoked", "token_expired"])
            .await;
    }

    /// The kinds of the events that concern the user, the earliest first, with who did it.
    fn events(&self, user: &str) -> Vec<(String, String)> {
        let (code, events) = self.command(&format!("events --json --limit 1000000 --user {user}"));
        assert_eq!(code, 0, "{events}");
        let lines = events.lines().rev();
        let text = |event: &Value, member: &str| event[member].as_str().unwrap().to_owned();
        lines
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|event| (text(&event, "kind"), text(&event, "actor")))
            .collect()
    }
}

async fn each_command_takes_effect(case: Case) {
    let (code, said) =
        case.command("users create --username bob --email bob@example.org --verified --noinput");
    assert_eq!(code, 0, "{said}");
    let id = said.trim_end().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(said, format!("user created: bob {id}\n"));

    let session = case.begin_session("bob").await;
    case.says("users promote bob", "promoted: bob\n");
    let registered = case.server.register(&session.0, "carol").await;
    assert_eq!(registered.status.as_u16(), 201, "{registered:?}");
    case.says("users demote bob", "demoted: bob\n");
    case.becomes(async || session.0.clone(), &["token_expired"])
        .await;
    // Tokens carry whole seconds: the ones of the second of the demotion are refused as well.
    let refresh = async || case.server.refresh(&session.1).await.text("access_token");
    case.becomes(refresh, &["permission_denied"]).await;

    case.says(
        "users roles bob editor auditor",
        "roles set: bob (auditor editor)\n",
    );
    case.becomes(refresh, &["permission_denied"]).await;
    let (_, shown) = case.command("users show bob --json");
    assert!(shown.contains(r#""roles":["auditor","editor"]"#), "{shown}");
    case.says("users roles bob --none", "roles set: bob (none)\n");
    case.refuses("users roles bob superuser", "make the user a superuser");
    case.refuses("users roles bob 7up", "a role begins with");

    case.says("users logout bob", "logged out: bob (sessions ended: 1)\n");
    case.has_ended(&session).await;

    let session = case.begin_session("bob").await;
    case.says("users deactivate bob", "deactivated: bob\n");
    case.has_ended(&session).await;
    case.may_not_log_in("bob").await;
    case.says("users activate bob", "activated: bob\n");

    let session = case.begin_session("BOB").await;
    let set = case.command_with("users set-password bob --noinput", OTHER_PASSWORD);
    assert_eq!(set, (0, "password set: bob\n".to_owned()));
    case.has_ended(&session).await;
    case.may_not_log_in("bob").await;
    let again = case.server.log_in("bob", OTHER_PASSWORD).await;
    let session = (again.text("access_token"), again.text("refresh_token"));

    case.says(
        "users logout --all",
        "logged out: everybody (sessions ended: 1)\n",
    );
    case.has_ended(&session).await;
    let again = case.server.log_in("bob", OTHER_PASSWORD).await;
    let session = (again.text("access_token"), again.text("refresh_token"));

    case.refuses("users delete bob", "say --yes");
    case.says(
        &format!("users delete {id} --yes"),
        &format!("deleted: {id}\n"),
    );
    case.has_ended(&session).await;
    case.may_not_log_in("bob").await;

    let told = case.events(&id);
    let by_operator: Vec<_> = told
        .iter()
        .filter(|(_, actor)| actor == "operator")
        .map(|(kind, _)| kind.as_str())
        .collect();
    assert_eq!(
        by_operator,
        [
            "user_registered",
            "superuser_granted",
            "superuser_revoked",
            "roles_changed",
            "roles_changed",
            "sessions_ended",
            "user_deactivated",
            "user_activated",
            "password_changed",
            "user_deleted",
        ]
    );
}

#[tokio::test]
async fn s17_2_each_command_takes_effect_on_a_running_server_on_sqlite() {
    each_command_takes_effect(Case::embedded()).await;
}

#[tokio::test]
async fn s17_2_each_command_takes_effect_on_a_running_server_on_postgres() {
    let database = TemporaryDatabase::create().await;
    each_command_takes_effect(Case::on_postgres(&database)).await;
}

#[tokio::test]
async fn s17_2_the_last_superuser_stays_one() {
    let case = Case::embedded();
    for command in [
        "users demote admin",
        "users deactivate admin",
        "users delete admin --yes",
    ] {
        case.refuses(command, "last active superuser");
    }
    let logged_in = case.server.log_in("admin", &case.op_password).await;
    assert_eq!(logged_in.status.as_u16(), 200, "{logged_in:?}");
    let (code, told) = case.command("events --json --kind administration_refused");
    assert_eq!((code, told.lines().count()), (0, 3), "{told}");
}

#[test]
fn users_are_listed_searched_and_shown() {
    let case = Case::embedded();
    for name in ["Bob", "alice", "bert"] {
        let create = format!("users create --username {name} --email {name}@example.org --noinput");
        assert_eq!(case.command(&create).0, 0);
    }
    case.says("users deactivate bert", "deactivated: bert\n");
    let names = |arguments: &str| {
        let (code, lines) = case.command(arguments);
        assert_eq!(code, 0, "{lines}");
        let lines = lines.lines().map(|line| {
            let user: Value = serde_json::from_str(line).unwrap();
            user["username"].as_str().unwrap().to_owned()
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(
        names("users list --json"),
        ["admin", "alice", "bert", "Bob"]
    );
    assert_eq!(names("users list --json --limit 2"), ["admin", "alice"]);
    assert_eq!(names("users list --json --search B"), ["bert", "Bob"]);
    assert_eq!(names("users list --json --search bob@"), ["Bob"]);

    let (_, shown) = case.command("users show bert --json");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["email_verified_at"], Value::Null);
    assert_eq!(
        (&shown["is_active"], &shown["is_superuser"]),
        (&false.into(), &false.into())
    );
    let (_, shown) = case.command("users show bert");
    assert!(shown.contains("\nactive     no\n"), "{shown}");
    let (_, listed) = case.command("users list");
    let listed: Vec<_> = listed.lines().collect();
    assert!(listed[0].ends_with(" superuser"), "{listed:?}");
    assert!(listed[2].ends_with(" deactivated,unverified"), "{listed:?}");
}

#[test]
fn what_cannot_be_done_is_told_with_the_reason() {
    let case = Case::embedded();
    case.refuses("users show nobody", "nobody has the name nobody");
    let unknown = "users activate 0190163d-8694-739b-aea5-966c26f8ad91";
    case.refuses(
        unknown,
        "nobody has the id 0190163d-8694-739b-aea5-966c26f8ad91",
    );
    let create = "users create --username admin --email x@example.org --noinput";
    case.refuses(create, "username is taken");
    let create = "users create --username x --email nowhere --noinput";
    case.refuses(create, "the email must be an e-mail address");
    let (code, said) = case.command_with("users set-password admin --noinput", "short");
    assert!(code == 1 && said.contains("the password"), "{said}");
}

#[tokio::test]
async fn s3_2_names_of_all_scripts_are_compared_with_those_of_before() {
    let Embedded { server, password } = Embedded::start(&[]);
    let token = server.log_in("admin", &password).await;
    let token = token.text("access_token");
    for (name, status) in [("scope", 201), ("ольга", 400)] {
        let answer = server.register(&token, name).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    }
    let folder = server.folder();
    server.stop();

    let unicode = [("AUTH_USERNAMES", "unicode")];
    let server = Server::start_in(folder, &unicode);
    // It has another address, and so another issuer.
    let token = server.log_in("admin", &password).await;
    let token = token.text("access_token");
    let register = async |name: &str, email: &str| {
        let body = json!({"username": name, "password": PASSWORD, "email": email});
        let path = "/api/register/";
        server
            .request(Method::POST, path, Some(&token), Some(body))
            .await
    };
    let created = register("Ольга", "olga@example.org").await;
    assert_eq!(created.status.as_u16(), 201, "{created:?}");
    let taken = register("ѕсоре", "other@example.org").await;
    taken.is_error(409, "username_taken");
    let mixed = register("sсope", "other@example.org").await;
    mixed.is_error(400, "validation_failed");
    assert!(mixed.body.contains("different scripts"), "{mixed:?}");
    let folder = server.folder();
    let create = [
        "users",
        "create",
        "--email",
        "x@example.org",
        "--noinput",
        "--username",
    ];
    let variables = [("AUTH_USER_PASSWORD", PASSWORD), unicode[0]];
    let refused = run(
        folder.path(),
        &[&create[..], &["ѕсоре"]].concat(),
        &variables,
    );
    assert!(!refused.status.success());
    let problem = String::from_utf8_lossy(&refused.stderr);
    assert!(problem.contains("taken"), "{problem}");
}
