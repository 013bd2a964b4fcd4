//! The pages behind the links in mails: small, without script, loading nothing.

mod templates;

use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

#[cfg(feature = "openapi")]
pub(super) use self::templates::policy;
pub use self::templates::{PageTemplateError, PageTemplates};
use super::link::{Again, Link};
use crate::body::ApiBody;
use crate::error::ApiError;
use crate::response;

/// What stands for a page that asks, and one that has done its work.
const ASK: &str = "ask";
const DONE: &str = "done";

/// The fields that were refused, each with what is wrong with it.
pub(super) type Problems = Vec<(&'static str, String)>;

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
            text: "Confirm that this e-mail address is yours to finish setting up your account. If you \
                   expected no such mail, close this page.",
            button: "Confirm this address",
            done_title: "Your e-mail address is confirmed",
            done_text: "You can close this page and log in.",
            expired: "Ask for another verification mail and use the link in it.",
            used: "If that was you, your address is confirmed and you can log in.",
            invalid: "Use the link in the newest verification mail, or ask for another mail.",
        },
        Link::ConfirmSignUp => Words {
            title: "Finish setting up your account",
            text: "Type the password that you signed up with. If you did not sign up, close this page.",
            button: "Set up my account",
            done_title: "Your account is set up",
            done_text: "You can close this page and log in.",
            expired: "Sign up again and use the link in the mail.",
            used: "If that was you, your account is set up and you can log in.",
            invalid: "Use the link in the newest mail, or sign up again.",
        },
        Link::AcceptInvitation => Words {
            title: "Set up your account",
            text: "Choose the name and the password that you will log in with.",
            button: "Set up my account",
            done_title: "Your account is set up",
            done_text: "You can close this page and log in.",
            expired: "Ask for another invitation and use the link in it.",
            used: "If that was you, your account is set up and you can log in.",
            invalid: "Use the link in the newest invitation, or ask for another one.",
        },
        Link::ResetPassword => Words {
            title: "Choose a new password",
            text: "It takes the place of the former one. Everybody who is logged in to your \
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
            text: "From then on it takes the place of your former address. If you had confirmed that \
                   one, it gets a notice.",
            button: "Use this address",
            done_title: "Your e-mail address is changed",
            done_text: "You can close this page.",
            expired: "Ask for the change again and use the link in the mail.",
            used: "If that was you, your address is changed already.",
            invalid: "Use the link in the newest mail, or ask for the change again.",
        },
        Link::UndoEmailChange => Words {
            title: "Undo the change of your e-mail address",
            text: "You get your former address back, everybody who is logged in to your account \
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

impl PageTemplates {
    /// The page whose button does what the link is for.
    pub(super) fn ask(&self, link: Link, token: &str) -> Result<Response<ApiBody>, ApiError> {
        self.answer(StatusCode::OK, &asking(link, token, "", Vec::new()))
    }

    /// The same, after what was typed there was refused, with the fields and what is wrong with
    /// them.
    pub(super) fn ask_again(
        &self,
        link: Link,
        again: &Again,
        status: StatusCode,
        problems: Problems,
    ) -> Result<Response<ApiBody>, ApiError> {
        self.answer(
            status,
            &asking(link, &again.token, &again.username, problems),
        )
    }

    /// The page after the button did its work.
    pub(super) fn done(&self, link: Link) -> Result<Response<ApiBody>, ApiError> {
        self.answer(StatusCode::OK, &finished(link))
    }

    /// The page after the button could not do its work.
    pub(super) fn refused(
        &self,
        link: Link,
        error: &ApiError,
    ) -> Result<Response<ApiBody>, ApiError> {
        let mut page = self.answer(error.status(), &failed(link, error.code()))?;
        error.add_headers(page.headers_mut());
        Ok(page)
    }

    fn answer(&self, status: StatusCode, page: &Page<'_>) -> Result<Response<ApiBody>, ApiError> {
        let html = self
            .render(page)
            .map_err(|error| auth_core::AuthError::Internal(error.into()))?;
        Ok(html_response(status, html, self.policy()))
    }
}

/// Makes an answer of a page, which may do what the policy allows.
pub(super) fn html_response(
    status: StatusCode,
    html: impl Into<Bytes>,
    policy: HeaderValue,
) -> Response<ApiBody> {
    let mut response = response::bare(status, html);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// What a template makes a page of.
struct Page<'a> {
    link: Link,
    state: &'static str,
    title: &'static str,
    text: &'static str,
    button: &'static str,
    token: &'a str,
    asks_username: bool,
    username: &'a str,
    asks_password: bool,
    asks_known_password: bool,
    /// The names of the fields that were refused.
    wrong: Vec<&'static str>,
    problems: Vec<String>,
}

impl Page<'_> {
    const fn without_button(
        link: Link,
        state: &'static str,
        title: &'static str,
        text: &'static str,
    ) -> Self {
        Self {
            link,
            state,
            title,
            text,
            button: "",
            token: "",
            asks_username: false,
            username: "",
            asks_password: false,
            asks_known_password: false,
            wrong: Vec::new(),
            problems: Vec::new(),
        }
    }
}

fn asking<'a>(link: Link, token: &'a str, username: &'a str, problems: Problems) -> Page<'a> {
    let (wrong, problems) = problems.into_iter().unzip();
    let words = words(link);
    Page {
        link,
        state: ASK,
        title: words.title,
        text: words.text,
        button: words.button,
        token,
        asks_username: link.asks_username(),
        username,
        asks_password: link.asks_new_password(),
        asks_known_password: link.asks_known_password(),
        wrong,
        problems,
    }
}

const fn finished(link: Link) -> Page<'static> {
    let words = words(link);
    Page::without_button(link, DONE, words.done_title, words.done_text)
}

fn failed(link: Link, code: &'static str) -> Page<'static> {
    let words = words(link);
    let (title, text) = match code {
        "link_expired" => ("This link has expired", words.expired),
        "link_used" => ("This link has already been used", words.used),
        "link_invalid" => ("This link is not valid", words.invalid),
        "email_taken" => (
            "This e-mail address is taken",
            "There is an account with it by now.",
        ),
        "username_taken" => (
            "This name is taken",
            "Somebody else has taken it meanwhile. Sign up again with another one.",
        ),
        "registration_closed" => (
            "Registration is closed",
            "Write to whoever runs this service.",
        ),
        _ => (
            "That did not work",
            "Open the link in the mail again in a moment.",
        ),
    };
    Page::without_button(link, code, title, text)
}

/// The pages of a link with sample values.
fn samples(link: Link) -> Vec<Page<'static>> {
    const TOKEN: &str = "sample-token";
    let codes = [
        "link_expired",
        "link_used",
        "link_invalid",
        "email_taken",
        "username_taken",
        "registration_closed",
        "overloaded",
    ];
    let mut pages = vec![asking(link, TOKEN, "", Vec::new()), finished(link)];
    let fields = [
        link.asks_username().then_some("username"),
        link.asks_password().then_some("password"),
    ];
    for field in fields.into_iter().flatten() {
        let problem = vec![(field, "This is a sample.".to_owned())];
        pages.push(asking(link, TOKEN, "sample", problem));
    }
    pages.extend(codes.map(|code| failed(link, code)));
    pages
}
