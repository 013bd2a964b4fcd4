//! The links in mails: a page that changes nothing, and the button that does.

use std::borrow::Cow;
use std::error::Error;
use std::mem;
use std::sync::Arc;

use auth_core::{AuthError, Enrollment, Login, Password, RequestContext};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use zeroize::Zeroizing;

use super::json::Object;
use super::read;
use super::read::{FORM, is_of_type};
use super::registration::SUCCESS;
use super::service::AuthApi;
use crate::body::ApiBody;
use crate::budgets::Limited;
use crate::context;
use crate::error::ApiError;
use crate::response;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    VerifyEmail,
    /// At the same path as `VerifyEmail`: the token tells the two apart.
    ConfirmSignUp,
    AcceptInvitation,
    ResetPassword,
    ConfirmEmailChange,
    UndoEmailChange,
}

/// What comes with the button.
struct Press {
    token: Zeroizing<String>,
    /// Asked for by the page of an invitation only.
    username: String,
    /// Asked for by the pages that set one, and by that of a sign-up.
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
            let (link, press) = self.read_json(link, request).await?;
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

    /// The kind of the link with this token: a sign-up is completed at the path of `VerifyEmail`.
    fn link_with(&self, link: Link, token: &str) -> Link {
        let is_sign_up = |enrollment: &Arc<dyn Enrollment>| enrollment.is_sign_up_link(token);
        if link == Link::VerifyEmail && self.enrollment.as_ref().is_some_and(is_sign_up) {
            Link::ConfirmSignUp
        } else {
            link
        }
    }

    async fn read_json<B>(&self, link: Link, request: Request<B>) -> Result<(Link, Press), ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let names = ["token", "username", "password"];
        let mut fields = Object::read(request, self.max_body, &names).await?;
        let mut press = Press {
            token: fields.required_string("token"),
            username: String::new(),
            password: None,
        };
        let link = self.link_with(link, &press.token);
        if link.asks_username() {
            press.username = mem::take(&mut *fields.required_string("username"));
        }
        if link.asks_password() {
            let mut password = fields.required_string("password");
            press.password = Some(Password::new(mem::take(&mut *password)));
        }
        fields.finish()?;
        Ok((link, press))
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
        let link = self.link_with(link, &token);
        let mut press = Press {
            token,
            username: String::new(),
            password: None,
        };
        if link.asks_username() {
            let typed = the_field(form, "username");
            press.username = typed.unwrap_or_default().into_owned();
        }
        let again = Again {
            token: press.token.clone(),
            username: press.username.clone(),
        };
        let ask_again = |status, problems| self.pages.ask_again(link, &again, status, problems);
        if link.asks_password() {
            match typed_password(link, form) {
                Ok(password) => press.password = Some(password),
                Err(problem) => {
                    let problem = vec![("password", problem.to_owned())];
                    return ask_again(StatusCode::BAD_REQUEST, problem);
                }
            }
        }
        match self.press(link, press, context).await {
            Ok(()) => self.pages.done(link),
            Err(ApiError::Auth(AuthError::Validation(problems))) => {
                let problems = problems.iter().flat_map(|(field, problems)| {
                    let what = if field == "username" { "name" } else { field };
                    let problems = problems.iter();
                    problems.map(move |problem| (field, format!("The {what} {problem}.")))
                });
                ask_again(StatusCode::BAD_REQUEST, problems.collect())
            }
            Err(error @ ApiError::Auth(AuthError::UsernameTaken)) if link.asks_username() => {
                let problem = "Somebody else has this name. Choose another one.";
                ask_again(error.status(), vec![("username", problem.to_owned())])
            }
            Err(error @ ApiError::Auth(AuthError::InvalidCredentials)) => {
                let problem = "That is not the password of this sign-up.";
                let problems = vec![("password", problem.to_owned())];
                let mut page = ask_again(error.status(), problems)?;
                error.add_headers(page.headers_mut());
                Ok(page)
            }
            Err(error) => self.refused(link, &error),
        }
    }

    fn page(&self, link: Link, uri: &Uri) -> Result<Response<ApiBody>, ApiError> {
        match the_field(uri.query().unwrap_or_default().as_bytes(), "token") {
            Some(token) => self.pages.ask(self.link_with(link, &token), &token),
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
            (Link::ConfirmSignUp, Some(password)) => {
                // It costs a hash; only the token shows that.
                self.spend(Limited::LogIn, context)?;
                let enrollment = self.enrollment()?;
                enrollment
                    .complete_sign_up(token, password, context)
                    .await?;
            }
            (Link::AcceptInvitation, Some(password)) => {
                let login = Login::new(press.username, password);
                let enrollment = self.enrollment()?;
                enrollment.accept_invitation(token, login, context).await?;
            }
            (Link::ResetPassword, Some(password)) => {
                let account = self.account()?;
                account.reset_password(token, password, context).await?;
            }
            (Link::ConfirmSignUp | Link::AcceptInvitation | Link::ResetPassword, None) => {
                return Err(AuthError::LinkInvalid.into());
            }
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

/// What a form that is shown again keeps of what was typed there.
pub(super) struct Again {
    pub(super) token: Zeroizing<String>,
    pub(super) username: String,
}

impl Link {
    pub(super) const ALL: [Self; 6] = [
        Self::VerifyEmail,
        Self::ConfirmSignUp,
        Self::AcceptInvitation,
        Self::ResetPassword,
        Self::ConfirmEmailChange,
        Self::UndoEmailChange,
    ];

    /// The name that templates know it by.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ConfirmSignUp => "confirm_sign_up",
            Self::AcceptInvitation => "accept_invitation",
            Self::ResetPassword => "reset_password",
            Self::ConfirmEmailChange => "confirm_email_change",
            Self::UndoEmailChange => "undo_email_change",
        }
    }

    /// Whether its page asks for the name to log in with.
    pub(super) fn asks_username(self) -> bool {
        self == Self::AcceptInvitation
    }

    /// Whether its page asks for a new password.
    pub(super) fn asks_new_password(self) -> bool {
        matches!(self, Self::AcceptInvitation | Self::ResetPassword)
    }

    /// Whether its page asks for a password that was chosen before.
    pub(super) fn asks_known_password(self) -> bool {
        self == Self::ConfirmSignUp
    }

    /// Whether its page asks for a password, new or not.
    pub(super) fn asks_password(self) -> bool {
        self.asks_new_password() || self.asks_known_password()
    }

    const fn budget(self) -> Limited {
        match self {
            // It costs a hash, as a login does.
            Self::AcceptInvitation | Self::ResetPassword => Limited::LogIn,
            Self::VerifyEmail
            | Self::ConfirmSignUp
            | Self::ConfirmEmailChange
            | Self::UndoEmailChange => Limited::VerifyEmail,
        }
    }

    fn done(self) -> Response<ApiBody> {
        match self {
            Self::VerifyEmail | Self::ConfirmSignUp => {
                response::serialized(StatusCode::OK, &SUCCESS)
            }
            Self::AcceptInvitation => response::serialized(StatusCode::CREATED, &SUCCESS),
            _ => response::bare(StatusCode::NO_CONTENT, ""),
        }
    }
}

/// The one field of this name in a query or form; a second one would be a guess.
pub(super) fn the_field<'a>(pairs: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let mut values = form_urlencoded::parse(pairs)
        .filter(|(found, _)| found == name)
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Some(value),
        _ => None,
    }
}

/// The password that was typed on the page; a new one was typed twice.
fn typed_password(link: Link, form: &[u8]) -> Result<Password, &'static str> {
    let typed = ["password", "repeated"].map(|name| the_field(form, name).map(wiped));
    match typed {
        [Some(password), _] if link.asks_known_password() => Ok(Password::new(password.as_str())),
        [None, _] if link.asks_known_password() => Err("Type the password."),
        [Some(password), Some(repeated)] if *password == *repeated => {
            Ok(Password::new(password.as_str()))
        }
        [Some(_), Some(_)] => Err("The two passwords are not the same."),
        _ => Err("Type the new password twice."),
    }
}

fn wiped(typed: Cow<'_, str>) -> Zeroizing<String> {
    Zeroizing::new(typed.into_owned())
}

#[cfg(feature = "openapi")]
pub(super) mod described {
    use auth_core::AuthError;
    use serde_json::json;
    use utoipa::ToSchema;

    use super::Link;
    use crate::api::openapi::Described;
    use crate::api::registration::Success;
    use crate::api::registration::described::success;

    /// What the link in a mail carries.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the request is read field by field")]
    struct LinkToken {
        /// The `token` of the link's query.
        token: String,
    }

    /// What the link in a mail carries, and the password of a sign-up.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the request is read field by field")]
    struct Confirmation {
        /// The `token` of the link's query.
        token: String,
        /// With the link of a sign-up: the password that was chosen then.
        #[schema(format = Password, nullable = false)]
        password: Option<String>,
    }

    /// What the link in a mail carries, and the new password.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the request is read field by field")]
    struct NewPassword {
        /// The `token` of the link's query.
        token: String,
        /// The new password; the same rules as at the registration.
        #[schema(format = Password)]
        password: String,
    }

    /// What the link in an invitation carries, and who is to be there.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the request is read field by field")]
    struct Acceptance {
        /// The `token` of the link's query.
        token: String,
        /// The name to log in with; the same rules as at the registration.
        #[schema(max_length = 150)]
        username: String,
        /// The password; the same rules as at the registration.
        #[schema(format = Password)]
        password: String,
    }

    /// Who is to be there, as the page's form sends it.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the form is read field by field")]
    struct AcceptanceForm {
        /// The `token` of the link's query.
        token: String,
        /// The name to log in with.
        username: String,
        /// The password.
        #[schema(format = Password)]
        password: String,
        /// The password, once more.
        #[schema(format = Password)]
        repeated: String,
    }

    /// The new password, as the page's form sends it.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the form is read field by field")]
    struct NewPasswordForm {
        /// The `token` of the link's query.
        token: String,
        /// The new password.
        #[schema(format = Password)]
        password: String,
        /// The new password, once more.
        #[schema(format = Password)]
        repeated: String,
    }

    pub(in crate::api) fn page(link: Link) -> Described {
        let (id, summary) = match link {
            Link::VerifyEmail | Link::ConfirmSignUp => {
                ("showVerification", "The page to verify an address")
            }
            Link::AcceptInvitation => ("showInvitation", "The page to accept an invitation"),
            Link::ResetPassword => ("showPasswordReset", "The page to choose a new password"),
            Link::ConfirmEmailChange => ("showEmailChange", "The page to confirm a new address"),
            Link::UndoEmailChange => (
                "showEmailChangeUndo",
                "The page to undo a change of address",
            ),
        };
        Described::fixed(
            id,
            summary,
            "Behind the link in a mail. It changes nothing; its button does.",
        )
        .query(
            "token",
            "As it stands in the link.",
            json!({"type": "string"}),
        )
        .answers_page(200, "The page.")
        .answers_page(400, "A page that says that the link is not valid.")
    }

    pub(in crate::api) fn press(link: Link) -> Described {
        let (id, summary, description) = match link {
            Link::VerifyEmail | Link::ConfirmSignUp => (
                "verifyEmail",
                "Verify an address",
                "The user can log in from then on. The link of a sign-up also takes the password that was \
                 chosen then, makes the account, and ends all other sign-ups with the address; it stays \
                 good if the password is wrong.",
            ),
            Link::AcceptInvitation => (
                "acceptInvitation",
                "Accept an invitation",
                "Makes the account; the address counts as verified. The link stays good if the name \
                 or the password is refused.",
            ),
            Link::ResetPassword => (
                "resetPassword",
                "Choose a new password",
                "By the link in a mail, which is good for an hour. All sessions of the user end.",
            ),
            Link::ConfirmEmailChange => (
                "confirmEmailChange",
                "Confirm a new address",
                "The former address, if it was verified, gets a notice with a link to undo it.",
            ),
            Link::UndoEmailChange => (
                "undoEmailChange",
                "Undo a change of address",
                "The former address is back, all sessions end, and a mail with a link to choose a \
                 new password is on its way.",
            ),
        };
        let described = Described::new(id, summary, description)
            .refuses([
                AuthError::LinkInvalid,
                AuthError::LinkExpired,
                AuthError::LinkUsed,
            ])
            .answers_page(
                200,
                "The page that says that it is done, to the page's form.",
            );
        let token = json!({"token": "avt_AZq3T1y0c0mE"});
        match link {
            Link::VerifyEmail | Link::ConfirmSignUp => described
                .takes::<Confirmation>(token)
                .or_form::<Confirmation>()
                .answers::<Success>(200, "It is done; a page, to the page's form.", success())
                .refuses([
                    AuthError::InvalidCredentials,
                    AuthError::RegistrationClosed,
                    AuthError::UsernameTaken,
                    AuthError::EmailTaken,
                    Described::overloaded(),
                ]),
            Link::AcceptInvitation => described
                .takes::<Acceptance>(json!({
                    "token": "ait_AZq3T1y0c0mE",
                    "username": "carol",
                    "password": "correct horse battery",
                }))
                .or_form::<AcceptanceForm>()
                .answers::<Success>(201, "The user is there.", success())
                .refuses([
                    AuthError::RegistrationClosed,
                    AuthError::UsernameTaken,
                    AuthError::EmailTaken,
                    Described::overloaded(),
                ]),
            Link::ResetPassword => described
                .takes::<NewPassword>(json!({
                    "token": "apt_AZq3T1y0c0mE",
                    "password": "battery horse correct",
                }))
                .or_form::<NewPasswordForm>()
                .answers_nothing(204, "It is done.")
                .refuses([Described::overloaded()]),
            Link::ConfirmEmailChange => described
                .takes::<LinkToken>(token)
                .or_form::<LinkToken>()
                .answers_nothing(204, "It is done.")
                .refuses([AuthError::EmailTaken]),
            Link::UndoEmailChange => described
                .takes::<LinkToken>(token)
                .or_form::<LinkToken>()
                .answers_nothing(204, "It is done."),
        }
    }
}
