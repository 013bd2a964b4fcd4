//! Log in, refresh, log out.

use std::error::Error;
use std::mem;

use auth_core::{IdempotencyKey, Login, Password};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body::Body;
use serde::Serialize;

use super::json;
use super::service::AuthApi;
use crate::body::ApiBody;
use crate::budgets::Limited;
use crate::context;
use crate::error::ApiError;
use crate::response;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[derive(Serialize)]
struct Tokens<'a> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

#[derive(Serialize)]
struct LoggedOut {
    message: &'static str,
}

impl AuthApi {
    pub(super) async fn log_in<B>(&self, request: Request<B>) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let context = context::of(&request);
        self.spend(Limited::LogIn, &context)?;
        let [mut username, mut password] =
            json::fields(request, self.max_body, ["username", "password"]).await?;
        let password = Password::new(mem::take(&mut *password));
        let login = Login::new(mem::take(&mut *username), password);
        let pair = self.auth.log_in(login, &context).await?;
        let tokens = Tokens {
            access_token: pair.access_token.expose(),
            refresh_token: Some(pair.refresh_token.expose()),
        };
        Ok(response::serialized(StatusCode::OK, &tokens))
    }

    pub(super) async fn refresh<B>(
        &self,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut context = context::of(&request);
        self.spend(Limited::Refresh, &context)?;
        context.idempotency_key = idempotency_key(request.headers())?;
        let [token] = json::fields(request, self.max_body, ["refresh_token"]).await?;
        let refreshed = self.auth.refresh(&token, &context).await?;
        let tokens = Tokens {
            access_token: refreshed.access_token.expose(),
            refresh_token: refreshed.refresh_token.as_ref().map(|next| next.expose()),
        };
        Ok(response::serialized(StatusCode::OK, &tokens))
    }

    pub(super) async fn log_out<B>(
        &self,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let context = context::of(&request);
        self.spend(Limited::LogOut, &context)?;
        let [token] = json::fields(request, self.max_body, ["refresh_token"]).await?;
        self.auth.log_out(&token, &context).await?;
        let answer = LoggedOut {
            message: "Successfully logged out.",
        };
        Ok(response::serialized(StatusCode::OK, &answer))
    }
}

/// What the client marks its tries with, as the header has it; a mark that is not kept would only
/// look like one.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (key, another) = (keys.next(), keys.next());
    let Some(key) = key else { return Ok(None) };
    let key = key.to_str().ok().and_then(IdempotencyKey::parse);
    match (key, another) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(ApiError::MalformedRequest),
    }
}
