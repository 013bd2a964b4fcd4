//! Answers, held against their description in `docs/openapi.json`.

#![expect(
    clippy::indexing_slicing,
    reason = "a test that finds nothing there fails"
)]

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let mut document = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    be_strict(&mut document);
    document
});

/// A reader must expect more fields; here one that is not described is a mistake.
fn be_strict(document: &mut Value) {
    let schemas = document.pointer_mut("/components/schemas");
    for schema in schemas.unwrap().as_object_mut().unwrap().values_mut() {
        let schema = schema.as_object_mut().unwrap();
        schema.insert("additionalProperties".to_owned(), json!(false));
    }
}

/// Fails unless an endpoint that is described may answer a request like this.
///
/// Of paths and methods that are not served nothing is described.
pub(crate) fn check(method: &str, path: &str, status: u16, content_type: &str, body: &str) {
    let Some(operation) = operation(method, path) else {
        let told = [404, 405].contains(&status);
        assert!(
            told,
            "{status} from {method} {path}, which is not described"
        );
        return;
    };
    let value: Option<Value> = serde_json::from_str(body).ok();
    let message = value.as_ref().and_then(|value| value["message"].as_str());
    if message == Some("there is nothing at this path") {
        // The group is off.
        return;
    }
    let answers = &operation["responses"];
    let answer = answers.get(status.to_string());
    let answer = resolved(answer.unwrap_or(&answers["default"]));
    let content = &answer["content"];
    if content.is_null() || method == "HEAD" {
        assert_eq!(body, "", "{status} of {method} {path} has a body");
        return;
    }
    let content = content
        .get(content_type)
        .unwrap_or_else(|| panic!("{status} of {method} {path} is {content_type}: {body}"));
    let Some(value) = value else {
        assert_eq!(content["schema"], json!({"type": "string"}), "{body}");
        return;
    };
    if let Err(error) = validator(&content["schema"]).validate(&value) {
        panic!("{status} of {method} {path} is {body}: {error}");
    }
}

fn operation(method: &str, path: &str) -> Option<&'static Map<String, Value>> {
    let (path, _) = path.split_once('?').unwrap_or((path, ""));
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut paths = DOCUMENT["paths"].as_object().unwrap().iter();
    let (_, methods) = paths.find(|(template, _)| {
        let wanted = template.strip_suffix('/').unwrap_or(template).split('/');
        let mut pairs = path.split('/').zip(wanted.clone());
        path.split('/').count() == wanted.count()
            && pairs.all(|(given, wanted)| given == wanted || wanted.starts_with('{'))
    })?;
    let method = match method {
        "GET" | "HEAD" => "get",
        "POST" => "post",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => return None,
    };
    methods.get(method)?.as_object()
}

fn resolved(value: &'static Value) -> &'static Value {
    let pointer = value["$ref"].as_str().and_then(|at| at.strip_prefix('#'));
    pointer.map_or(value, |at| DOCUMENT.pointer(at).unwrap())
}

fn validator(schema: &Value) -> jsonschema::Validator {
    let whole = json!({"allOf": [schema], "components": DOCUMENT["components"]});
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&whole)
        .unwrap()
}
