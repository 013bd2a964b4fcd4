//! The pages behind the links in mails: small, without script, loading nothing.

use std::sync::LazyLock;

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use minijinja::{Environment, context};

use super::link::Link;
use crate::body::ApiBody;
use crate::error::ApiError;
use crate::response;

const STYLE: &str = include_str!("page.css");

/// Allows the page's own style, by its hash, and its form; nothing else.
const POLICY: &str = "default-src 'none'; \
    style-src 'sha256-kjiKFrSonk/sPLEfOt5K7cmyoIiQqb3VWjqVYCfjrTE='; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates
        .add_template("page.html", include_str!("page.html"))
        .expect("the template is a constant that the tests render");
    templates
});

/// What the page of a link says.
struct Words {
    title: &'static str,
    text: &'static str,
    button: &'static str,
    done_title: &'static str,
    done_text: &'static str,
    /// What the reader does who came too late, or too often, or with a broken link.
    expired: &'static str,
    used: &'static str,
    invalid: &'static str,
}

const fn words(link: Link) -> Words {
    match link {
        Link::VerifyEmail => Words {
            title: "Confirm your e-mail address",
            text: "Confirm that this e-mail address is yours to finish setting up your account.",
            button: "Confirm this address",
            done_title: "Your e-mail address is confirmed",
            done_text: "You can close this page and log in.",
            expired: "Ask for another verification mail and use the link in it.",
            used: "If that was you, your address is confirmed and you can log in.",
            invalid: "Use the link in the newest verification mail, or ask for another mail.",
        },
        Link::ResetPassword => Words {
            title: "Choose a new password",
            text: "It takes the place of the one you forgot. Everybody who is logged in to your \
                   account is logged out.",
            button: "Set this password",
            done_title: "Your password is changed",
            done_text: "You can close this page and log in with the new password.",
            expired: "Ask for another mail to choose a new password, and use the link in it.",
            used: "Your password has been changed since this link was sent. If that was not you, \
                   ask for another mail.",
            invalid: "Use the link in the newest mail, or ask for another one.",
        },
        Link::ConfirmEmailChange => Words {
            title: "Confirm your new e-mail address",
            text: "From then on it takes the place of your former address, which gets a notice.",
            button: "Use this address",
            done_title: "Your e-mail address is changed",
            done_text: "You can close this page.",
            expired: "Ask for the change again and use the link in the mail.",
            used: "If that was you, your address is changed already.",
            invalid: "Use the link in the newest mail, or ask for the change again.",
        },
        Link::UndoEmailChange => Words {
            title: "Undo the change of your e-mail address",
            text: "You have your former address again, everybody who is logged in to your account \
                   is logged out, and you get a mail to choose a new password.",
            button: "Undo the change",
            done_title: "You have your former e-mail address again",
            done_text: "Use the link in the mail that is on its way to choose a new password.",
            expired: "Write to whoever runs this service.",
            used: "If that was you, you have your former address already.",
            invalid: "Use the link in the mail as it stands there.",
        },
    }
}

/// The page whose button does what the link is for.
pub(super) fn ask(link: Link, token: &str) -> Result<Response<ApiBody>, ApiError> {
    page_with_button(link, token, StatusCode::OK, &[])
}

/// The same, after what was typed there was refused.
pub(super) fn ask_again(
    link: Link,
    token: &str,
    problems: &[&str],
) -> Result<Response<ApiBody>, ApiError> {
    page_with_button(link, token, StatusCode::BAD_REQUEST, problems)
}

fn page_with_button(
    link: Link,
    token: &str,
    status: StatusCode,
    problems: &[&str],
) -> Result<Response<ApiBody>, ApiError> {
    let words = words(link);
    render(&Page {
        status,
        title: words.title,
        text: words.text,
        button: words.button,
        token,
        asks_password: link == Link::ResetPassword,
        problems,
    })
}

/// The page after the button did its work.
pub(super) fn done(link: Link) -> Result<Response<ApiBody>, ApiError> {
    let words = words(link);
    render(&Page::without_button(
        StatusCode::OK,
        words.done_title,
        words.done_text,
    ))
}

/// The page after the button could not do its work.
pub(super) fn refused(link: Link, error: &ApiError) -> Result<Response<ApiBody>, ApiError> {
    let words = words(link);
    let (title, text) = match error.code() {
        "link_expired" => ("This link has expired", words.expired),
        "link_used" => ("This link has already been used", words.used),
        "link_invalid" => ("This link is not valid", words.invalid),
        "email_taken" => (
            "This e-mail address is taken",
            "Somebody else uses it for an account by now.",
        ),
        _ => (
            "That did not work",
            "Open the link in the mail again in a moment.",
        ),
    };
    let mut page = render(&Page::without_button(error.status(), title, text))?;
    error.add_headers(page.headers_mut());
    Ok(page)
}

struct Page<'a> {
    status: StatusCode,
    title: &'static str,
    text: &'static str,
    button: &'static str,
    token: &'a str,
    asks_password: bool,
    problems: &'a [&'a str],
}

impl Page<'_> {
    const fn without_button(status: StatusCode, title: &'static str, text: &'static str) -> Self {
        Self {
            status,
            title,
            text,
            button: "",
            token: "",
            asks_password: false,
            problems: &[],
        }
    }
}

fn render(page: &Page<'_>) -> Result<Response<ApiBody>, ApiError> {
    let html = TEMPLATES
        .get_template("page.html")
        .and_then(|template| {
            template.render(context! {
                title => page.title,
                text => page.text,
                token => page.token,
                button => page.button,
                asks_password => page.asks_password,
                problems => page.problems,
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
