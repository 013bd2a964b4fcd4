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
pub(super) struct Success {
    is_error: u8,
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
