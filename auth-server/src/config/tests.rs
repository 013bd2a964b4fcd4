use std::fs;

use super::*;

const SECRET: &str = "kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0";
const OTHER_SECRET: &str = "Zt5Rw8Qp2Ys7Vx4Uk9Bn3Mc6Lf1Jh0Dg";

fn load(variables: &[(&str, &str)]) -> Result<Config, String> {
    load_with(&Settings::default(), variables)
}

fn load_with(flags: &Settings, variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables = variables
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Config::load(flags, variables).map_err(|error| error.to_string())
}

fn production<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut variables = vec![
        (
            "DATABASE_URL",
            "postgres://auth:hunter2@db.example.org/auth",
        ),
        ("SECRET_KEY", SECRET),
        ("JWT_SECRET_KEY", OTHER_SECRET),
        ("AUTH_MAIL", "smtps://mailer:hunter3@mail.example.org"),
    ];
    variables.extend(more);
    variables
}

#[track_caller]
fn refuses(variables: &[(&str, &str)], names: &str) {
    let message = load(variables).expect_err("accepted");
    assert!(message.contains(names), "{message}");
}

#[test]
fn nothing_configured_is_the_documented_default() {
    let config = load(&[("PATH", "/usr/bin"), ("HOME", "/root")]).unwrap();
    assert_eq!(config.bind.to_string(), "127.0.0.1:8000");
    assert_eq!(
        config.database.to_string(),
        "sqlite://./auth-data/auth.sqlite3"
    );
    assert_eq!(config.mail.to_string(), "folder:./auth-data/outbox");
    assert_eq!(config.access_ttl, Duration::from_secs(300));
    assert_eq!(config.refresh_ttl, Duration::from_secs(1_209_600));
    assert_eq!((config.refresh_idle_ttl, config.observe_bind), (None, None));
    assert_eq!(config.max_sessions.get(), 100);
    assert_eq!(config.rotation, Rotation::Off);
    assert_eq!(config.email_verification, EmailVerification::Required);
    assert_eq!(config.argon2.to_string(), "m=19456,t=2,p=1");
    assert_eq!(
        (config.password_min_length, config.password_context.len()),
        (8, 0)
    );
    assert!(config.breached_passwords.is_none() && config.templates.is_none());
    assert_eq!(config.breached_passwords_on_failure, OnCheckFailure::Refuse);
    assert_eq!(config.max_body, 16 * 1024);
    assert_eq!(config.keep_alive, Duration::from_secs(75));
    assert!(config.cors_origins.is_empty());
    assert_eq!(config.revocation_feed, RevocationDelivery::Notify);
    assert_eq!(config.revocation_stale, StalePolicy::Accept);
    assert_eq!(config.revocation_capacity.get(), 200_000);
    assert_eq!(config.clock_leeway, Duration::from_secs(5));
    assert_eq!(config.token_cache, None);
    assert!(config.is_embedded() && config.throttle && !config.behind_tls_proxy);
}

#[test]
fn flags_go_before_the_environment_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth-server.toml");
    fs::write(
        &file,
        "bind = \"127.0.0.1:1\"\naccess_ttl = \"1m\"\nrefresh_ttl = \"1d\"\n",
    )
    .unwrap();
    let flags = Settings {
        config: Some(file),
        bind: Some("127.0.0.1:3".parse().unwrap()),
        ..Settings::default()
    };
    let variables = [("AUTH_BIND", "127.0.0.1:2"), ("AUTH_ACCESS_TTL", "2m")];
    let config = load_with(&flags, &variables).unwrap();
    assert_eq!(config.bind.port(), 3);
    assert_eq!(config.access_ttl, Duration::from_secs(120));
    assert_eq!(config.refresh_ttl, Duration::from_secs(86_400));
}

#[test]
fn s17_3_a_misspelt_variable_is_named_with_the_nearest() {
    refuses(
        &[("AUTH_BIDN", "127.0.0.1:1")],
        "AUTH_BIDN: did you mean AUTH_BIND?",
    );
    assert!(load(&[("AUTH_SUPERUSER_PASSWORD", "x")]).is_ok());
}

#[test]
fn s17_3_a_misspelt_key_of_the_file_is_named_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth-server.toml");
    let refused = |content: &str| {
        fs::write(&file, content).unwrap();
        let flags = Settings {
            config: Some(file.clone()),
            ..Settings::default()
        };
        load_with(&flags, &[]).unwrap_err()
    };
    let message = refused("acces_ttl = \"5m\"");
    assert!(
        message.contains("`acces_ttl`") && message.contains("`access_ttl`"),
        "{message}"
    );
    assert!(refused("bind = ").contains("auth-server.toml"));
    assert!(refused("[bind]\nport = 1").contains("AUTH_BIND"));
}

#[test]
fn s17_3_a_value_that_cannot_be_used_is_refused_by_name() {
    for (variable, value) in [
        ("AUTH_BIND", "localhost"),
        ("AUTH_BIND", "127.0.0.1"),
        ("AUTH_OBSERVE_BIND", "9100"),
        ("DATABASE_URL", "mysql://host/name"),
        ("DATABASE_URL", "sqlite://"),
        ("AUTH_ACCESS_TTL", "5"),
        ("AUTH_ACCESS_TTL", "soon"),
        ("AUTH_REFRESH_TTL", "-1d"),
        ("AUTH_REFRESH_IDLE_TTL", "119m"),
        ("AUTH_REFRESH_IDLE_TTL", "15d"),
        ("AUTH_MAX_SESSIONS", "0"),
        ("AUTH_MAX_SESSIONS", "10001"),
        ("AUTH_REFRESH_ROTATION", "maybe"),
        ("AUTH_REFRESH_GRACE", "ten"),
        ("AUTH_PUBLIC_URL", "auth.example.org"),
        ("AUTH_PUBLIC_URL", "https://auth.example.org/?q"),
        ("AUTH_MAIL", "mail.example.org"),
        ("AUTH_MAIL", "folder:"),
        ("AUTH_MAIL_FROM", "nobody"),
        ("AUTH_REQUIRE_VERIFIED_EMAIL", "perhaps"),
        ("AUTH_JWT_ALGORITHM", "none"),
        ("AUTH_JWT_ALGORITHM", "HS512"),
        ("AUTH_JWT_ALGORITHM", "eddsa"),
        // Without an algorithm that has key files.
        ("AUTH_JWT_KEYS", "keys"),
        ("AUTH_PASSWORD_MIN_LENGTH", "7"),
        ("AUTH_PASSWORD_MIN_LENGTH", "41"),
        ("AUTH_PASSWORD_MIN_LENGTH", "long"),
        ("AUTH_PASSWORD_CONTEXT", "wonderland,abc"),
        ("AUTH_BREACHED_PASSWORDS_ON_FAILURE", "ignore"),
        ("AUTH_ARGON2", "m=1024,t=1,p=1"),
        ("AUTH_ARGON2", "much"),
        ("AUTH_ACCESS_TTL", "0"),
        ("AUTH_ACCESS_TTL", "5m\u{fffd}"),
        ("AUTH_ACCESS_TTL", "61m"),
        ("AUTH_REFRESH_TTL", "1m"),
        ("AUTH_REFRESH_TTL", "11y"),
        ("AUTH_PUBLIC_URL", "https://user@auth.example.org"),
        ("AUTH_PUBLIC_URL", "https://auth.example.org/#f"),
        ("AUTH_PUBLIC_URL", "https://auth\nexample.org"),
        ("AUTH_PUBLIC_URL", "ftp://auth.example.org"),
        ("AUTH_HASH_THREADS", "0"),
        ("AUTH_HASH_THREADS", "1025"),
        ("AUTH_HASH_QUEUE", "-1"),
        ("AUTH_HASH_QUEUE", "99999999999999"),
        ("AUTH_THROTTLE", "sometimes"),
        ("AUTH_REVOCATION_FEED", "Listen"),
        ("AUTH_REVOCATION_STALE", "ignore"),
        ("AUTH_REVOCATION_CAPACITY", "0"),
        ("AUTH_REVOCATION_CAPACITY", "10000001"),
        ("AUTH_CLOCK_LEEWAY", "61s"),
        ("AUTH_CLOCK_LEEWAY", "5"),
        ("AUTH_TOKEN_CACHE", "0"),
        ("AUTH_TOKEN_CACHE", "1000001"),
        ("AUTH_TOKEN_CACHE", "on"),
        ("AUTH_TRUSTED_PROXIES", "10.0.0.0/8,everywhere"),
        ("AUTH_TLS_CERT", "cert.pem"),
        ("AUTH_ENDPOINTS", "accounts"),
        ("AUTH_KEEP_ALIVE", "0"),
        ("AUTH_KEEP_ALIVE", "2h"),
        ("AUTH_KEEP_ALIVE", "75"),
        ("AUTH_CORS_ORIGINS", "*"),
        ("AUTH_CORS_ORIGINS", "null"),
        ("AUTH_CORS_ORIGINS", "https://app.example.org, null"),
        ("AUTH_CORS_ORIGINS", "https://app.example.org/"),
        ("AUTH_MAX_BODY", "1GiB"),
        ("AUTH_MAX_BODY", "12"),
        ("AUTH_MAX_BODY", "99999999999999999999MiB"),
    ] {
        let message = load(&[(variable, value)]).expect_err(value);
        assert!(
            message.contains("AUTH_") || message.contains("DATABASE_URL"),
            "{message}"
        );
        assert!(
            message.contains(&variable.replace("TLS_CERT", "TLS_")),
            "{variable}: {message}"
        );
    }
}

#[test]
fn s6_11_the_leeway_of_clocks_is_shown_and_at_most_a_minute() {
    for leeway in ["0s", "60s"] {
        let config = load(&[("AUTH_CLOCK_LEEWAY", leeway)]).unwrap();
        let shown = humantime::format_duration(config.clock_leeway).to_string();
        assert!(config.report().contains(&("AUTH_CLOCK_LEEWAY", shown)));
    }
    refuses(&[("AUTH_CLOCK_LEEWAY", "61s")], "must be from 0 to 60s");
}

#[test]
fn s10_5_the_origins_of_pages_are_listed_exactly() {
    let listed = "https://app.example.org, http://localhost:5173";
    let config = load(&[("AUTH_CORS_ORIGINS", listed)]).unwrap();
    let origins: Vec<_> = config
        .cors_origins
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        origins,
        ["https://app.example.org", "http://localhost:5173"]
    );
    let refused = load(&[("AUTH_CORS_ORIGINS", "https://app.example.org,*")]).unwrap_err();
    assert!(
        refused.contains("`*`: `*` is refused: each origin must be listed exactly"),
        "{refused}"
    );
}

#[test]
fn registration_is_the_superusers_unless_the_operator_opens_it() {
    let mode = |variables: &[(&str, &str)]| load(variables).unwrap().registration;
    assert_eq!(mode(&[]), RegistrationMode::Superuser);
    for (name, expected) in [
        ("superuser", RegistrationMode::Superuser),
        ("invitation", RegistrationMode::Invitation),
        ("closed", RegistrationMode::Closed),
    ] {
        assert_eq!(mode(&[("AUTH_REGISTRATION", name)]), expected);
    }
    for (hide, taken_names) in [("no", TakenNames::Told), ("yes", TakenNames::Hidden)] {
        let open = [
            ("AUTH_REGISTRATION", "open"),
            ("AUTH_REGISTRATION_HIDE_NAMES", hide),
        ];
        assert_eq!(mode(&open), RegistrationMode::Open { taken_names });
    }
    refuses(&[("AUTH_REGISTRATION", "everybody")], "AUTH_REGISTRATION");
}

#[test]
fn groups_of_endpoints_are_served_by_name() {
    use EndpointGroup::{Account, Admin, OpenApi};

    let endpoints = |names| load(&[("AUTH_ENDPOINTS", names)]).unwrap().endpoints;
    assert_eq!(endpoints(""), []);
    assert_eq!(endpoints("admin"), [Admin]);
    assert_eq!(endpoints("account, admin"), [Account, Admin]);
    assert_eq!(endpoints("openapi"), [OpenApi]);
}

#[test]
fn s17_3_a_grace_longer_than_the_session_is_refused() {
    let rotation = ("AUTH_REFRESH_ROTATION", "on");
    refuses(
        &[rotation, ("AUTH_REFRESH_GRACE", "15d")],
        "AUTH_REFRESH_GRACE",
    );
    assert!(load(&[rotation, ("AUTH_REFRESH_GRACE", "0")]).is_ok());
}

#[test]
fn s17_3_a_refusal_tells_where_the_value_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth-server.toml");
    fs::write(&file, "max_body = \"1TiB\"\n").unwrap();
    let flags = Settings {
        config: Some(file.clone()),
        ..Settings::default()
    };
    assert_eq!(
        load_with(&flags, &[]).unwrap_err(),
        format!(
            "AUTH_MAX_BODY (`max_body`, from {}): must be a size from 1KiB to 1MiB, such as 16KiB",
            file.display()
        )
    );
    let message = load_with(&flags, &[("AUTH_MAX_BODY", "2TiB")]).unwrap_err();
    assert!(message.contains("from the environment"), "{message}");
    let flags = Settings {
        public_url: Some("nowhere".to_owned()),
        ..Settings::default()
    };
    let message = load_with(&flags, &[]).unwrap_err();
    assert!(message.contains("from the flags"), "{message}");
}

#[test]
fn s17_3_a_misspelt_secret_is_not_passed_over() {
    for (variable, nearest) in [
        ("SECRET_KEY_FALLBACK", "SECRET_KEY_FALLBACKS"),
        ("SECRET_KEY_FILES", "SECRET_KEY_FILE"),
        ("JWT_SECRET_KEYS", "JWT_SECRET_KEY"),
    ] {
        refuses(&[(variable, SECRET)], &format!("did you mean {nearest}?"));
    }
}

#[test]
fn s13_1_weak_secrets_are_refused_by_name() {
    for weak in [
        "secret",
        "changeme",
        &"a".repeat(64),
        "django-insecure-kPq4v9-3mWz7Lx2Tn8RbYc5",
    ] {
        refuses(&[("SECRET_KEY", weak)], "SECRET_KEY");
        refuses(&[("JWT_SECRET_KEY", weak)], "JWT_SECRET_KEY");
        refuses(
            &[("SECRET_KEY", SECRET), ("SECRET_KEY_FALLBACKS", weak)],
            "SECRET_KEY_FALLBACKS",
        );
        let message = load(&[("SECRET_KEY", weak)]).unwrap_err();
        assert!(!message.contains(weak) || weak == "secret", "{message}");
    }
    refuses(&[("SECRET_KEY_FALLBACKS", SECRET)], "SECRET_KEY");
    let long_digits = "31415926535897932384626433832795";
    refuses(&[("SECRET_KEY", long_digits)], "64 hexadecimal digits");
    refuses(
        &[("SECRET_KEY", "secret-key-that-is-very-long-1234567")],
        "openssl rand -base64 48",
    );
}

#[test]
fn s13_1_one_secret_is_not_for_two_purposes() {
    let both = [("SECRET_KEY", SECRET), ("JWT_SECRET_KEY", OTHER_SECRET)];
    assert!(load(&both).is_ok());
    for (variables, names) in [
        (
            vec![("SECRET_KEY", SECRET), ("JWT_SECRET_KEY", SECRET)],
            "JWT_SECRET_KEY",
        ),
        (
            [&both[..], &[("SECRET_KEY_FALLBACKS", OTHER_SECRET)]].concat(),
            "JWT_SECRET_KEY",
        ),
        (
            [&both[..], &[("JWT_SECRET_KEY_FALLBACKS", SECRET)]].concat(),
            "JWT_SECRET_KEY_FALLBACKS",
        ),
    ] {
        let message = load(&variables).unwrap_err();
        assert!(
            message.starts_with(&format!("{names} ")) && message.contains("make another"),
            "{message}"
        );
        assert!(!message.contains(SECRET) && !message.contains(OTHER_SECRET));
    }
}

#[test]
fn s13_1_a_production_node_makes_nothing_up() {
    assert!(load(&production(&[])).is_ok());
    for missing in ["SECRET_KEY", "JWT_SECRET_KEY", "AUTH_MAIL"] {
        let variables: Vec<_> = production(&[])
            .into_iter()
            .filter(|&(name, _)| name != missing)
            .collect();
        refuses(&variables, missing);
    }
}

#[test]
fn s8_3_production_links_are_https() {
    refuses(
        &production(&[("AUTH_PUBLIC_URL", "http://auth.example.org")]),
        "AUTH_PUBLIC_URL",
    );
    refuses(
        &production(&[("AUTH_PUBLIC_URL", "http://127.0.0.1.example.org")]),
        "AUTH_PUBLIC_URL",
    );
    for masked in [
        "http://localhost:8000@example.org",
        "http://localhost.example.org",
    ] {
        refuses(
            &production(&[("AUTH_PUBLIC_URL", masked)]),
            "AUTH_PUBLIC_URL",
        );
    }
    for reach in [
        ("AUTH_BIND", "0.0.0.0:8000"),
        ("AUTH_BIND", "127.0.0.1:8000"),
    ] {
        let proxy = ("AUTH_BEHIND_TLS_PROXY", "true");
        refuses(
            &[reach, proxy, ("AUTH_PUBLIC_URL", "http://auth.example.org")],
            "AUTH_PUBLIC_URL",
        );
    }
    for url in [
        "https://auth.example.org",
        "http://127.0.0.1:8000",
        "http://localhost",
    ] {
        assert!(
            load(&production(&[("AUTH_PUBLIC_URL", url)])).is_ok(),
            "{url}"
        );
    }
}

#[test]
fn s17_4_an_address_in_reach_of_others_needs_tls() {
    let public = ("AUTH_PUBLIC_URL", "https://auth.example.org");
    refuses(
        &[("AUTH_BIND", "0.0.0.0:8000"), public],
        "AUTH_BEHIND_TLS_PROXY",
    );
    refuses(
        &[("AUTH_BIND", "[::]:8000"), public],
        "AUTH_BEHIND_TLS_PROXY",
    );
    let behind = ("AUTH_BEHIND_TLS_PROXY", "true");
    refuses(&[("AUTH_BIND", "0.0.0.0:8000"), behind], "AUTH_PUBLIC_URL");
    assert!(load(&[("AUTH_BIND", "0.0.0.0:8000"), behind, public]).is_ok());
    let tls = [("AUTH_TLS_CERT", "cert.pem"), ("AUTH_TLS_KEY", "key.pem")];
    assert!(load(&[("AUTH_BIND", "0.0.0.0:8000"), tls[0], tls[1], public]).is_ok());
}

#[cfg(unix)]
#[test]
fn s13_2_a_file_with_secrets_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth-server.toml");
    let flags = Settings {
        config: Some(file.clone()),
        ..Settings::default()
    };
    let load_mode = |content: &str, mode| {
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        load_with(
            &flags,
            &[("SECRET_KEY", SECRET), ("JWT_SECRET_KEY", OTHER_SECRET)],
        )
    };
    for secret in [
        format!("secret_key = \"{SECRET}\"\n"),
        format!("\"secret_key\" = \"{SECRET}\"\n"),
        format!("jwt_secret_key = \"{OTHER_SECRET}\"\n"),
        format!("secret_key_fallbacks = [\"{SECRET}\"]\n"),
        "jwt_secret_key_fallbacks = [\"b8Tn5Wq2Zr7Xv4Kp9Md3Lc6Hf1Jg0Ysd\"]\n".to_owned(),
        "database_url = \"postgres://u:hunter2@127.0.0.1/x\"\nmail = \"folder:out\"\n".to_owned(),
        "mail = \"smtps://u:hunter2@127.0.0.1\"\n".to_owned(),
    ] {
        let message = load_mode(&secret, 0o644).expect_err(&secret);
        assert!(message.contains("chmod 600"), "{message}");
        assert!(load_mode(&secret, 0o640).is_err(), "{secret}");
        assert!(load_mode(&secret, 0o600).is_ok(), "{secret}");
    }
    let no_secret = "mail_from = \"a@example.org\"\n";
    assert!(load_mode(no_secret, 0o644).is_ok());
}

#[test]
fn s6_4_access_tokens_have_a_secret_or_a_folder_of_keys_and_never_both() {
    let folder = |variables: &[(&str, &str)]| match load(variables).unwrap().jwt_keys {
        JwtKeySource::Folder { algorithm, path } => (algorithm, path),
        secrets @ JwtKeySource::Secrets(_) => panic!("{secrets:?}"),
    };
    for (name, algorithm) in [
        ("EdDSA", Algorithm::EdDsa),
        ("ES256", Algorithm::Es256),
        ("RS256", Algorithm::Rs256),
    ] {
        let chosen = ("AUTH_JWT_ALGORITHM", name);
        assert_eq!(folder(&[chosen]), (algorithm, None));
        let path = ("AUTH_JWT_KEYS", "keys");
        assert_eq!(folder(&[chosen, path]), (algorithm, Some("keys".into())));
        for secret in ["JWT_SECRET_KEY", "JWT_SECRET_KEY_FALLBACKS"] {
            refuses(&[chosen, path, (secret, SECRET)], "is for HS256");
        }
        let mut variables = production(&[chosen, path]);
        refuses(&variables, "JWT_SECRET_KEY");
        variables.retain(|(variable, _)| *variable != "JWT_SECRET_KEY");
        assert_eq!(folder(&variables).0, algorithm);
        variables.retain(|(variable, _)| *variable != "AUTH_JWT_KEYS");
        refuses(&variables, "AUTH_JWT_KEYS");
    }
    refuses(
        &[("AUTH_JWT_ALGORITHM", "HS256"), ("AUTH_JWT_KEYS", "keys")],
        "AUTH_JWT_KEYS",
    );
    let shown = load(&[("AUTH_JWT_ALGORITHM", "EdDSA")]).unwrap();
    let shown = format!("{shown:?}");
    assert!(
        shown.contains(r#""AUTH_JWT_ALGORITHM": "EdDSA""#),
        "{shown}"
    );
}

#[cfg(unix)]
#[test]
fn s13_2_a_secret_may_stand_in_a_file_of_its_own() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let path = file.to_str().unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    for variable in ["SECRET_KEY_FILE", "JWT_SECRET_KEY_FILE"] {
        let message = load(&[(variable, path)]).unwrap_err();
        assert!(
            message.contains(variable) && message.contains("chmod 600"),
            "{message}"
        );
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for variable in ["SECRET_KEY_FILE", "JWT_SECRET_KEY_FILE"] {
        let config = load(&[(variable, path)]).unwrap();
        assert!(
            config.secret_keys.is_some()
                || matches!(config.jwt_keys, JwtKeySource::Secrets(Some(_)))
        );
    }
    refuses(
        &[("SECRET_KEY", SECRET), ("SECRET_KEY_FILE", path)],
        "SECRET_KEY_FILE",
    );
    refuses(
        &[("SECRET_KEY_FILE", "nowhere/at/all")],
        "nowhere/at/all cannot be read",
    );
    fs::write(&file, "changeme").unwrap();
    let message = load(&[("SECRET_KEY_FILE", path)]).unwrap_err();
    assert!(
        message.contains("SECRET_KEY") && message.contains(path),
        "{message}"
    );
}

#[test]
fn s13_2_s13_3_the_settings_show_without_secrets() {
    let config = load(&production(&[])).unwrap();
    let shown = format!("{config:?} {config:#?}");
    for secret in ["hunter2", "hunter3", SECRET, "mailer", "auth:"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.contains("postgres://db.example.org/auth"));
}

#[test]
fn fault_c4_what_kubernetes_sets_for_a_service_is_ignored_and_named() {
    let injected = [
        ("AUTH_SERVICE_HOST", "10.96.0.12"),
        ("AUTH_SERVICE_PORT", "8000"),
        ("AUTH_SERVICE_PORT_HTTP", "8000"),
        ("AUTH_PORT", "tcp://10.96.0.12:8000"),
        ("AUTH_PORT_8000_TCP", "tcp://10.96.0.12:8000"),
        ("AUTH_PORT_8000_TCP_PROTO", "tcp"),
        ("AUTH_PORT_8000_TCP_PORT", "8000"),
        ("AUTH_PORT_8000_TCP_ADDR", "10.96.0.12"),
        ("AUTH_SERVER_SERVICE_HOST", "fd00::12"),
        ("AUTH_SERVER_PORT", "tcp://[fd00::12]:8000"),
        ("AUTH_SERVER_PORT_53_UDP", "udp://[fd00::12]:53"),
    ];
    let config = load(&injected).unwrap();
    let warnings = config.warnings();
    let [warning] = warnings.as_slice() else {
        panic!("not one warning: {warnings:?}")
    };
    for (variable, _) in injected {
        assert!(warning.contains(variable), "{variable} in {warning}");
    }
    // What a person writes is no address of a service.
    for mistake in [
        ("AUTH_PORT", "8000"),
        ("AUTH_SERVICE_HOST", "auth.example.org"),
        ("AUTH_SERVICE_PORT", "http"),
        ("AUTH_PORT_8000_TCP_ADDR", "here"),
        ("AUTH_PORT_HTTP", "tcp://10.96.0.12:8000"),
    ] {
        refuses(&[mistake], "unknown environment variable");
    }
}

#[test]
fn fault_d13_a_port_or_a_host_alone_is_led_to_the_address() {
    for variable in ["AUTH_PORT", "AUTH_HOST", "AUTH_LISTEN"] {
        refuses(&[(variable, "8000")], "did you mean AUTH_BIND?");
    }
}

#[test]
fn fault_c5_settings_that_let_everybody_in_are_warned_of() {
    let warned = |variables: &[(&str, &str)]| load(variables).unwrap().warnings().join("\n");
    for everybody in ["0.0.0.0/0", "10.0.0.0/8,::/0"] {
        let warning = warned(&[("AUTH_TRUSTED_PROXIES", everybody)]);
        assert!(warning.contains("trusts everybody"), "{warning}");
    }
    let unlimited = warned(&production(&[("AUTH_THROTTLE", "off")]));
    assert!(unlimited.contains("AUTH_THROTTLE=off"), "{unlimited}");
    assert_eq!(warned(&[("AUTH_THROTTLE", "off")]), "");
    assert_eq!(warned(&[("AUTH_TRUSTED_PROXIES", "10.0.0.0/8")]), "");
}

#[test]
fn fault_d4_a_word_that_is_no_level_is_no_filter() {
    for wrong in [
        "warning",
        "verbose",
        "auth_core",
        "info,auth_core",
        "auth_core=warning",
    ] {
        refuses(&[("AUTH_LOG", wrong)], "AUTH_LOG");
    }
    for right in [
        "warn",
        "INFO",
        "off",
        "info,auth_core=debug",
        "warn,[request{id=1}]=debug",
    ] {
        assert_eq!(load(&[("AUTH_LOG", right)]).unwrap().log, right);
    }
}

#[test]
fn fault_d13_a_job_that_migrates_needs_no_secrets() {
    let url = ("DATABASE_URL", "postgres://auth@db.example.org/auth");
    let load_for = |needs| {
        let variables = [(url.0.to_owned(), url.1.to_owned())];
        Config::load_for(needs, &Settings::default(), variables.into_iter())
    };
    assert!(load_for(Needs::Part).is_ok());
    assert!(load_for(Needs::Node).is_err());
}
