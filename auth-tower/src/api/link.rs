//! The links in mails: a page that changes nothing, and the button that does.

use std::borrow::Cow;
use std::error::Error;
use std::mem;

use auth_core::{AuthError, Password, RequestContext};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use zeroize::Zeroizing;

use super::read::{FORM, is_of_type};
use super::registration::SUCCESS;
use super::service::AuthApi;
use super::{json, read};
use crate::body::ApiBody;
use crate::budgets::Limited;
use crate::context;
use crate::error::ApiError;
use crate::response;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    VerifyEmail,
    ResetPassword,
    ConfirmEmailChange,
    UndoEmailChange,
}

/// What comes with the button.
struct Press {
    token: Zeroizing<String>,
    /// Asked for by the page for another password only.
    password: Option<Password>,
}

impl AuthApi {
    /// Shows the page for GET and HEAD: mail scanners and previews fetch it too, so it asks the
    /// service nothing, not even whether the token is good. Acts for POST: for the page's form with
    /// a page, for JSON with JSON.
    ///
    /// A form is a request that other sites can make a browser send; it does no harm here, where
    /// the token is the only authority.
    pub(super) async fn follow_link<B>(
        &self,
        link: Link,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if request.method() != Method::POST {
            return self.page(link, request.uri());
        }
        let context = context::of(&request);
        if !is_of_type(request.headers(), FORM) {
            self.spend(link.budget(), &context)?;
            let press = self.read_json(link, request).await?;
            self.press(link, press, &context).await?;
            return Ok(link.done());
        }
        let pressed = async {
            self.spend(link.budget(), &context)?;
            read::body(request, FORM, self.max_body).await
        };
        match pressed.await {
            Ok(form) => self.press_on_page(link, &form, &context).await,
            Err(error) => self.refused(link, &error),
        }
    }

    async fn read_json<B>(&self, link: Link, request: Request<B>) -> Result<Press, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if link == Link::ResetPassword {
            let names = ["token", "password"];
            let [token, mut password] = json::fields(request, self.max_body, names).await?;
            let password = Some(Password::new(mem::take(&mut *password)));
            return Ok(Press { token, password });
        }
        let [token] = json::fields(request, self.max_body, ["token"]).await?;
        let password = None;
        Ok(Press { token, password })
    }

    async fn press_on_page(
        &self,
        link: Link,
        form: &[u8],
        context: &RequestContext,
    ) -> Result<Response<ApiBody>, ApiError> {
        let token = match the_field(form, "token") {
            Some(token) => Zeroizing::new(token.into_owned()),
            None => return self.refused(link, &AuthError::LinkInvalid.into()),
        };
        let mut press = Press {
            token,
            password: None,
        };
        if link == Link::ResetPassword {
            let typed = ["password", "repeated"].map(|name| the_field(form, name));
            let [Some(password), Some(repeated)] = typed.map(|typed| typed.map(wiped)) else {
                return self
                    .pages
                    .ask_again(link, &press.token, &["Type the new password twice."]);
            };
            if *password != *repeated {
                let problem = "The two passwords are not the same.";
                return self.pages.ask_again(link, &press.token, &[problem]);
            }
            press.password = Some(Password::new(password.as_str()));
        }
        let token = press.token.clone();
        match self.press(link, press, context).await {
            Ok(()) => self.pages.done(link),
            Err(ApiError::Auth(AuthError::Validation(problems))) => {
                let problems = problems.iter().flat_map(|(_, problems)| problems);
                let problems = problems.map(|problem| format!("The password {problem}."));
                let problems: Vec<_> = problems.collect();
                let problems: Vec<_> = problems.iter().map(String::as_str).collect();
                self.pages.ask_again(link, &token, &problems)
            }
            Err(error) => self.refused(link, &error),
        }
    }

    fn page(&self, link: Link, uri: &Uri) -> Result<Response<ApiBody>, ApiError> {
        match the_field(uri.query().unwrap_or_default().as_bytes(), "token") {
            Some(token) => self.pages.ask(link, &token),
            None => self.pages.refused(link, &AuthError::LinkInvalid.into()),
        }
    }

    fn refused(&self, link: Link, error: &ApiError) -> Result<Response<ApiBody>, ApiError> {
        error.log();
        self.pages.refused(link, error)
    }

    async fn press(
        &self,
        link: Link,
        press: Press,
        context: &RequestContext,
    ) -> Result<(), ApiError> {
        let token = press.token.as_str();
        match (link, press.password) {
            (Link::VerifyEmail, _) => self.auth.verify_email(token, context).await?,
            (Link::ResetPassword, Some(password)) => {
                let account = self.account()?;
                account.reset_password(token, password, context).await?;
            }
            (Link::ResetPassword, None) => return Err(AuthError::LinkInvalid.into()),
            (Link::ConfirmEmailChange, _) => {
                let account = self.account()?;
                account.confirm_email_change(token, context).await?;
            }
            (Link::UndoEmailChange, _) => {
                let account = self.account()?;
                account.undo_email_change(token, context).await?;
            }
        }
        Ok(())
    }
}

impl Link {
    pub(super) const ALL: [Self; 4] = [
        Self::VerifyEmail,
        Self::ResetPassword,
        Self::ConfirmEmailChange,
        Self::UndoEmailChange,
    ];

    /// The name that templates know it by.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::ConfirmEmailChange => "confirm_email_change",
            Self::UndoEmailChange => "undo_email_change",
        }
    }

    const fn budget(self) -> Limited {
        match self {
            // It costs a hash, as a login does.
            Self::ResetPassword => Limited::LogIn,
            Self::VerifyEmail | Self::ConfirmEmailChange | Self::UndoEmailChange => {
                Limited::VerifyEmail
            }
        }
    }

    fn done(self) -> Response<ApiBody> {
        match self {
            Self::VerifyEmail => response::serialized(StatusCode::OK, &SUCCESS),
            _ => response::bare(StatusCode::NO_CONTENT, ""),
        }
    }
}

/// The one field of this name in a query or form; a second one would be a guess.
fn the_field<'a>(pairs: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let mut values = form_urlencoded::parse(pairs)
        .filter(|(found, _)| found == name)
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Some(value),
        _ => None,
    }
}

fn wiped(typed: Cow<'_, str>) -> Zeroizing<String> {
    Zeroizing::new(typed.into_owned())
}
