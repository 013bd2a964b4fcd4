//! The pages behind a verification link: small, without script, loading nothing.

use std::sync::LazyLock;

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use minijinja::{Environment, context};

use crate::body::ApiBody;
use crate::error::ApiError;
use crate::response;

const STYLE: &str = include_str!("page.css");

/// Allows the page's own style, by its hash, and its form; nothing else.
const POLICY: &str = "default-src 'none'; \
    style-src 'sha256-jRrX/nS3Zx041dDccT7G69X5N7G7rBl6lkvMlInkO0Q='; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates
        .add_template("page.html", include_str!("page.html"))
        .expect("the template is a constant that the tests render");
    templates
});

/// The page whose button does what the link is for.
pub(super) fn confirm(token: &str) -> Result<Response<ApiBody>, ApiError> {
    render(&Page {
        status: StatusCode::OK,
        title: "Confirm your e-mail address",
        text: "Confirm that this e-mail address is yours to finish setting up your account.",
        token,
    })
}

/// The page after the button did its work.
pub(super) fn done() -> Result<Response<ApiBody>, ApiError> {
    render(&Page {
        status: StatusCode::OK,
        title: "Your e-mail address is confirmed",
        text: "You can close this page and log in.",
        token: "",
    })
}

/// The page after the button could not do its work.
pub(super) fn refused(error: &ApiError) -> Result<Response<ApiBody>, ApiError> {
    let (title, text) = match error.code() {
        "link_expired" => (
            "This link has expired",
            "Ask for another verification mail and use the link in it.",
        ),
        "link_used" => (
            "This link has already been used",
            "If that was you, your address is confirmed and you can log in.",
        ),
        "link_invalid" => (
            "This link is not valid",
            "Use the link in the newest verification mail, or ask for another mail.",
        ),
        _ => (
            "That did not work",
            "Open the link in the mail again in a moment.",
        ),
    };
    let mut page = render(&Page {
        status: error.status(),
        title,
        text,
        token: "",
    })?;
    error.add_headers(page.headers_mut());
    Ok(page)
}

struct Page<'a> {
    status: StatusCode,
    title: &'static str,
    text: &'static str,
    token: &'a str,
}

fn render(page: &Page<'_>) -> Result<Response<ApiBody>, ApiError> {
    let html = TEMPLATES
        .get_template("page.html")
        .and_then(|template| {
            template.render(context! {
                title => page.title,
                text => page.text,
                token => page.token,
                style => STYLE,
            })
        })
        .map_err(|error| auth_core::AuthError::Internal(error.into()))?;
    let mut response = response::bare(page.status, html);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine};
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn s8_2_the_policy_allows_exactly_the_style_of_the_page() {
        let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
        assert!(
            POLICY.contains(&format!("style-src 'sha256-{hash}'")),
            "{hash}"
        );
    }
}
