//! The description as a page: without script, loading nothing.

use std::sync::LazyLock;

use auth_core::AuthError;
use bytes::Bytes;
use http::{Response, StatusCode};
use minijinja::{Environment, context};
use serde_json::Value;

use crate::api::pages;
use crate::body::ApiBody;

const STYLE: &str = include_str!("page.css");

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.add_filter("indented", indented);
    templates.add_filter("last_part", last_part);
    templates.add_filter("prose", prose);
    templates
        .add_template("page.html", include_str!("page.html"))
        .expect("the template is a constant that the tests render");
    templates
});

pub(super) fn render(document: &Value) -> Result<String, AuthError> {
    let page = TEMPLATES
        .get_template("page.html")
        .and_then(|template| template.render(context! { document, style => STYLE }));
    page.map_err(|error| AuthError::Internal(error.into()))
}

pub(super) fn answer(page: Bytes) -> Response<ApiBody> {
    pages::html_response(StatusCode::OK, page, pages::policy(STYLE))
}

fn indented(value: &minijinja::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// The name of the schema that a reference points to.
fn last_part(reference: &str) -> String {
    let last = reference.rsplit('/').next();
    last.unwrap_or(reference).to_owned()
}

/// The little of Markdown that descriptions have: paragraphs, and code between backquotes.
fn prose(text: &str) -> minijinja::Value {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let pieces = paragraph.split('`').enumerate();
        let pieces = pieces.map(|(index, piece)| match (escaped(piece), index % 2) {
            (piece, 1) => format!("<code>{piece}</code>"),
            (piece, _) => piece,
        });
        format!("<p>{}</p>", pieces.collect::<String>())
    });
    minijinja::Value::from_safe_string(paragraphs.collect())
}

fn escaped(text: &str) -> String {
    minijinja::HtmlEscape(text).to_string()
}
