//! Register a user, sign up, invite, and send the verification mail again.

use std::error::Error;
use std::mem;
use std::sync::Arc;

use auth_core::{
    Administrator, Enrollment, Password, Registration, RegistrationMode, RequestContext, Superuser,
};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use serde::Serialize;

use super::json;
use super::service::AuthApi;
use crate::bearer::authenticate;
use crate::body::ApiBody;
use crate::budgets::Limited;
use crate::context;
use crate::error::ApiError;
use crate::response;

/// The answer of what has nothing more to say.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(super) struct Success {
    /// Always 0.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 0))]
    is_error: u8,
    /// Always `success`.
    message: &'static str,
}

pub(super) const SUCCESS: Success = Success {
    is_error: 0,
    message: "success",
};

impl AuthApi {
    pub(super) async fn register<B>(
        &self,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let context = context::of(&request);
        self.spend(Limited::Register, &context)?;
        if !request.headers().contains_key(AUTHORIZATION)
            && let Some(RegistrationMode::Open { .. }) = self.registration_mode()
        {
            return self.sign_up(request, &context).await;
        }
        // Before anything of the body is looked at: who may not register learns nothing from it.
        let by = self.superuser(request.headers(), &context).await?;
        let user = self.read_registration(request).await?;
        self.auth.register(by, user, &context).await?;
        Ok(response::serialized(StatusCode::CREATED, &SUCCESS))
    }

    /// Answers as a registration that succeeds, whoever has the address: where and how it goes on is
    /// told by mail.
    async fn sign_up<B>(
        &self,
        request: Request<B>,
        context: &RequestContext,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        // It lets us write to whomever a stranger names, as asking for another mail does.
        self.spend(Limited::ResendVerification, context)?;
        let user = self.read_registration(request).await?;
        self.enrollment()?.sign_up(user, context).await?;
        Ok(response::serialized(StatusCode::CREATED, &SUCCESS))
    }

    pub(super) async fn invite<B>(&self, request: Request<B>) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let context = context::of(&request);
        self.spend(Limited::Register, &context)?;
        let by = self.superuser(request.headers(), &context).await?;
        let [email] = json::fields(request, self.max_body, ["email"]).await?;
        let by = Administrator::Superuser(by);
        self.enrollment()?.invite(by, &email, &context).await?;
        Ok(response::serialized(StatusCode::ACCEPTED, &SUCCESS))
    }

    async fn read_registration<B>(&self, request: Request<B>) -> Result<Registration, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let [mut username, mut password, mut email] =
            json::fields(request, self.max_body, ["username", "password", "email"]).await?;
        Ok(Registration::new(
            mem::take(&mut *username),
            Password::new(mem::take(&mut *password)),
            mem::take(&mut *email),
        ))
    }

    /// Who may make an account, if anybody but superusers may be.
    pub(super) fn registration_mode(&self) -> Option<RegistrationMode> {
        let enrollment = self.enrollment.as_ref();
        enrollment.map(|enrollment| enrollment.registration_mode())
    }

    pub(super) fn enrollment(&self) -> Result<Arc<dyn Enrollment>, ApiError> {
        self.enrollment.clone().ok_or(ApiError::NotFound)
    }

    pub(super) async fn resend_verification<B>(
        &self,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let context = context::of(&request);
        self.spend(Limited::ResendVerification, &context)?;
        let [email] = json::fields(request, self.max_body, ["email"]).await?;
        self.auth.resend_verification(&email, &context).await?;
        Ok(response::serialized(StatusCode::ACCEPTED, &SUCCESS))
    }

    /// The caller, who must be a superuser now: the token does not decide.
    pub(super) async fn superuser(
        &self,
        headers: &HeaderMap,
        context: &RequestContext,
    ) -> Result<Superuser, ApiError> {
        let caller =
            authenticate(headers, &self.verifier)?.ok_or(ApiError::AuthenticationRequired)?;
        self.auth
            .require_superuser(&caller, context)
            .await
            .map_err(ApiError::Bearer)
    }
}

#[cfg(feature = "openapi")]
pub(super) mod described {
    use auth_core::AuthError;
    use serde_json::json;
    use utoipa::ToSchema;

    use super::Success;
    use crate::api::openapi::Described;

    /// Who is to be registered.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the request is read field by field")]
    struct Registration {
        /// 1 to 150 of letters, digits and `@ . + - _`; unique without regard to case.
        #[schema(max_length = 150)]
        username: String,
        /// At least 8 characters, at most 1,024 bytes; no common password, nothing close to the
        /// username or the address.
        #[schema(format = Password)]
        password: String,
        /// One plain address; unique without regard to case.
        #[schema(format = Email, max_length = 254)]
        email: String,
    }

    /// An address.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the request is read field by field")]
    pub(in crate::api) struct Address {
        /// The address, as it was registered; upper and lower case are the same.
        email: String,
    }

    /// Who is to be invited.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the request is read field by field")]
    struct Invited {
        /// One plain address, which no user has.
        #[schema(format = Email, max_length = 254)]
        email: String,
    }

    pub(in crate::api) fn register() -> Described {
        let user = json!({
            "username": "alice",
            "password": "correct horse battery",
            "email": "alice@example.org",
        });
        Described::new(
            "register",
            "Register a user",
            "By a superuser. The user gets a mail with a link to verify the address. Where registration \
             is open, it takes no token: then the answer is the same whether or not somebody has the \
             address, and the user is there when the link is used.",
        )
        .for_superusers()
        .or_for_anybody()
        .takes::<Registration>(user)
        .answers::<Success>(201, "The user is registered.", success())
        .refuses([
            AuthError::RegistrationClosed,
            AuthError::UsernameTaken,
            AuthError::EmailTaken,
            Described::overloaded(),
        ])
    }

    pub(in crate::api) fn invite() -> Described {
        Described::new(
            "invite",
            "Invite an address",
            "By a superuser, where registration is by invitation. The address gets a link, which is \
             good for 7 days.",
        )
        .for_superusers()
        .takes::<Invited>(json!({"email": "carol@example.org"}))
        .answers::<Success>(202, "A mail is on its way.", success())
        .refuses([AuthError::RegistrationClosed, AuthError::EmailTaken])
    }

    pub(in crate::api) fn resend_verification() -> Described {
        Described::new(
            "resendVerification",
            "Send the verification mail again",
            "The answer is the same whether or not the address is known.",
        )
        .takes::<Address>(json!({"email": "alice@example.org"}))
        .answers::<Success>(202, "A mail is on its way, if one is owed.", success())
    }

    pub(in crate::api) fn success() -> serde_json::Value {
        json!({"is_error": 0, "message": "success"})
    }
}
