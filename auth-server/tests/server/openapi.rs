//! The description of the endpoints, held against what they do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use crate::support::{Embedded, run};
use reqwest::Method;
use serde_json::{Map, Value, json};

const ALL: [(&str, &str); 2] = [
    ("AUTH_ENDPOINTS", "account,admin,openapi"),
    ("AUTH_REGISTRATION", "invitation"),
];

fn printed() -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["openapi"], &[]);
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

/// Each operation with its path and its method.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = object(&document["paths"]).iter();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = object(methods).iter();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    });
    operations.collect()
}

#[test]
fn the_document_in_the_repository_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == printed(),
        "docs/openapi.json is stale: cargo run -p auth-server -- openapi > docs/openapi.json"
    );
}

#[tokio::test]
async fn what_is_served_is_described_and_nothing_else() {
    let server = Embedded::start(&ALL).server;
    let served = server.get("/openapi.json").await;
    assert_eq!(served.status.as_u16(), 200);
    let all: Value = serde_json::from_str(&printed()).unwrap();
    assert_eq!(served.json(), all);

    let few = Embedded::start(&[("AUTH_ENDPOINTS", "openapi")]).server;
    let few = few.get("/openapi.json").await.json();
    let tags: BTreeSet<_> = operations(&few)
        .into_iter()
        .map(|(_, _, operation)| operation["tags"].to_string())
        .collect();
    assert_eq!(
        tags,
        [r#"["auth"]"#, r#"["openapi"]"#].map(str::to_owned).into()
    );

    let none = Embedded::start(&[]).server;
    for path in ["/openapi.json", "/docs/"] {
        none.get(path).await.is_error(404, "not_found");
    }
}

#[tokio::test]
async fn every_path_takes_the_methods_that_are_described() {
    let server = Embedded::start(&ALL).server;
    let document = server.get("/openapi.json").await.json();
    for (path, methods) in object(&document["paths"]) {
        let path = path.replace("{id}", "019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b");
        let methods: BTreeSet<_> = object(methods)
            .keys()
            .map(|one| one.to_uppercase())
            .collect();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let method: Method = method.parse().unwrap();
            let answer = server.request(method.clone(), &path, None, None).await;
            if methods.contains(method.as_str()) {
                assert!(
                    ![404, 405].contains(&answer.status.as_u16()),
                    "{method} {path}: {answer:?}"
                );
                continue;
            }
            answer.is_error(405, "method_not_allowed");
            let allowed = answer.headers.get("allow").unwrap().to_str().unwrap();
            let allowed = allowed.split(", ").filter(|one| *one != "HEAD");
            assert_eq!(allowed.map(str::to_owned).collect::<BTreeSet<_>>(), methods);
        }
    }
}

#[tokio::test]
async fn a_request_needs_the_fields_and_the_rights_that_are_described() {
    let embedded = Embedded::start(&ALL);
    let server = &embedded.server;
    let token = embedded.superuser_token().await;
    let document = server.get("/openapi.json").await.json();
    let mut bodies = 0;
    for (path, method, operation) in operations(&document) {
        let path = path.replace("{id}", "019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b");
        let method: Method = method.to_uppercase().parse().unwrap();
        let body = Some(json!({}));
        let stranger = server
            .request(method.clone(), &path, None, body.clone())
            .await;
        let is_refused = stranger.status.as_u16() == 401;
        // The registration takes strangers where it is open, which it is not here.
        let needs_token = operation["security"].is_array();
        assert_eq!(is_refused, needs_token, "{path}: {}", stranger.status);

        let content = &operation["requestBody"]["content"]["application/json"];
        let Some(name) = content["schema"]["$ref"].as_str() else {
            continue;
        };
        let schema = document.pointer(name.trim_start_matches('#')).unwrap();
        let Some(required) = schema["required"].as_array() else {
            continue;
        };
        bodies += 1;
        let answer = server.request(method, &path, Some(&token), body).await;
        answer.is_error(400, "validation_failed");
        let missing: Vec<_> = object(&answer.json()["errors"]).keys().cloned().collect();
        let mut required: Vec<_> = required.iter().map(|one| one.as_str().unwrap()).collect();
        required.sort_unstable();
        assert_eq!(missing, required, "{path}");
    }
    assert_eq!(bodies, 15);
}

#[test]
fn every_example_has_the_form_that_is_described() {
    let document: Value = serde_json::from_str(&printed()).unwrap();
    let mut examples = 0;
    each_content(&document, &mut |content| {
        let whole = json!({"allOf": [content["schema"]], "components": document["components"]});
        let validator = jsonschema::draft202012::new(&whole).unwrap();
        let single = content.get("example").into_iter();
        let named = content
            .get("examples")
            .into_iter()
            .flat_map(|all| object(all).values());
        for example in single.chain(named.map(|one| &one["value"])) {
            examples += 1;
            if let Err(error) = validator.validate(example) {
                panic!("{example}: {error}");
            }
        }
    });
    assert!(examples > 50, "{examples}");
}

fn each_content(value: &Value, visit: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(members) => {
            if let Some(content) = members.get("content") {
                object(content).values().for_each(&mut *visit);
            }
            members
                .values()
                .for_each(|member| each_content(member, visit));
        }
        Value::Array(elements) => elements.iter().for_each(|one| each_content(one, visit)),
        _ => {}
    }
}

#[tokio::test]
async fn s8_2_the_page_tells_of_every_endpoint_and_loads_nothing() {
    let server = Embedded::start(&ALL).server;
    let document = server.get("/openapi.json").await.json();
    let page = server.get("/docs/").await;
    assert_eq!(page.status.as_u16(), 200);
    let policy = page.headers.get("content-security-policy").unwrap();
    let policy = policy.to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    for (_, _, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(
            page.body.contains(&format!("<section id=\"{id}\">")),
            "{id}"
        );
    }
    for loading in ["<script", "src=", "<link", "url(", "@import"] {
        assert!(!page.body.contains(loading), "{loading}");
    }
}
