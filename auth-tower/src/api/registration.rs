//! Register a user, and send the verification mail again.

use std::error::Error;
use std::mem;

use auth_core::{Password, Registration, RequestContext, Superuser};
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
        // Before anything of the body is looked at: who may not register learns nothing from it.
        let by = self.superuser(request.headers(), &context).await?;
        let [mut username, mut password, mut email] =
            json::fields(request, self.max_body, ["username", "password", "email"]).await?;
        let user = Registration::new(
            mem::take(&mut *username),
            Password::new(mem::take(&mut *password)),
            mem::take(&mut *email),
        );
        self.auth.register(by, user, &context).await?;
        Ok(response::serialized(StatusCode::CREATED, &SUCCESS))
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
