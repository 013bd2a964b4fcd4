//! The operator's own mails and pages.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;

use crate::support::mail::from_folder;
use crate::support::{Embedded, run};
use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};

const DOCUMENTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/templates.md");

/// The files of the documented example: each block of code that has a name.
fn example() -> Vec<(String, String)> {
    let page = fs::read_to_string(DOCUMENTED).unwrap();
    let blocks = page.split("\n```").skip(1).step_by(2);
    let named = blocks.filter_map(|block| {
        let (head, text) = block.split_once('\n')?;
        let (_, name) = head.split_once(' ')?;
        Some((name.to_owned(), format!("{text}\n")))
    });
    named.collect()
}

fn write_example(folder: &Path) {
    for (name, text) in example() {
        fs::write(folder.join(name), text).unwrap();
    }
}

#[tokio::test]
async fn s8_2_the_documented_templates_take_the_place_of_the_built_in_ones() {
    let folder = tempfile::tempdir().unwrap();
    write_example(folder.path());
    let templates = folder.path().to_str().unwrap();
    let embedded = Embedded::start(&[("AUTH_TEMPLATES", templates)]);
    let token = embedded.superuser_token().await;
    let server = &embedded.server;
    assert_eq!(server.register(&token, "alice").await.status, 201);
    let outbox = server.path("auth-data/outbox");
    let mail = from_folder(&outbox);
    assert_eq!(mail.subject, "Welcome to Wonderland, alice");

    let page = server
        .get(&format!("/api/register/verify/?token={}", mail.token))
        .await;
    assert!(page.body.contains("<title>Wonderland: "), "{page:?}");
    let (_, style) = example()
        .into_iter()
        .find(|(name, _)| name == "page.css")
        .unwrap();
    assert!(page.body.contains(&format!("<style>{style}</style>")));
    let hash = BASE64_STANDARD.encode(Sha256::digest(style));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    let expected = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    assert_eq!(policy, expected);
    let (status, done) = server
        .press("/api/register/verify/", &[("token", &mail.token)])
        .await;
    assert!(
        status == 200 && done.contains("Follow the white rabbit."),
        "{done}"
    );
}

#[test]
fn s17_3_a_template_that_cannot_be_used_is_named_before_anything_is_served() {
    for (name, text, problem) in [
        ("pages.html", "", "pages.html is no template"),
        ("verify_email.htm", "", "verify_email.htm is no template"),
        ("email_changed.txt", "{{ lnk }}", "email_changed.txt"),
        ("layout.html", "{% block %}", "layout.html"),
        ("page.html", "<h1>{{ title }}</h1>", "page.html must hold"),
        ("page.html", "{{ titel }}", "page.html is broken"),
        ("page.css", "</style>", "page.css must not hold"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let templates = folder.path().join("templates");
        fs::create_dir(&templates).unwrap();
        write_example(&templates);
        fs::write(templates.join(".hidden"), "{{").unwrap();
        let variables = [
            ("AUTH_TEMPLATES", "templates"),
            ("AUTH_BIND", "127.0.0.1:0"),
        ];
        let checked = run(folder.path(), &["check"], &variables);
        assert!(checked.status.success(), "{checked:?}");
        fs::write(templates.join(name), text).unwrap();
        for arguments in [&["check"][..], &[]] {
            let refused = run(folder.path(), arguments, &variables);
            assert_eq!(refused.status.code(), Some(1), "{refused:?}");
            let said = [refused.stdout, refused.stderr].concat();
            let said = String::from_utf8(said).unwrap();
            assert!(
                said.contains("AUTH_TEMPLATES") && said.contains(problem),
                "{said}"
            );
        }
        assert!(
            !folder.path().join("auth-data").exists(),
            "nothing was made"
        );
    }
}

#[test]
fn s17_3_a_folder_of_templates_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let refused = run(folder.path(), &["check"], &[("AUTH_TEMPLATES", "nowhere")]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stdout).unwrap();
    assert!(said.contains("nowhere cannot be used"), "{said}");
}
