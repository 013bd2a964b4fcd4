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

/// The tokens of a session.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct TokenPair<'a> {
    /// For requests: a JWT, good for some minutes.
    access_token: &'a str,
    /// For the next access token, and to log out; opaque.
    refresh_token: &'a str,
}

/// Another access token.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct Refreshed<'a> {
    /// For requests: a JWT, good for some minutes.
    access_token: &'a str,
    /// With rotation: takes the place of the one that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    refresh_token: Option<&'a str>,
}

/// The session has ended.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct LoggedOut {
    /// Always `Successfully logged out.`
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
        self.know(&context);
        let tokens = TokenPair {
            access_token: pair.access_token.expose(),
            refresh_token: pair.refresh_token.expose(),
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
        self.know(&context);
        let tokens = Refreshed {
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

#[cfg(feature = "openapi")]
pub(super) mod described {
    use auth_core::AuthError;
    use serde_json::json;
    use utoipa::ToSchema;

    use super::{LoggedOut, Refreshed, TokenPair};
    use crate::api::openapi::Described;
    use crate::error::ApiError;

    /// Who logs in.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the request is read field by field")]
    struct Login {
        /// The name; upper and lower case are the same.
        username: String,
        /// The password.
        #[schema(format = Password)]
        password: String,
    }

    /// A session, by its token.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the request is read field by field")]
    struct SessionToken {
        /// The refresh token of the login, or of the last rotation.
        refresh_token: String,
    }

    const ACCESS: &str =
        "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIwMTlhIn0.c2lnbmF0dXJl";
    const REFRESH: &str = "art_AZq3T1y0c0mE";

    pub(in crate::api) fn log_in() -> Described {
        Described::new(
            "logIn",
            "Log in",
            "Begins a session. An unknown user, a wrong password and a deactivated user are one \
             answer.",
        )
        .takes::<Login>(json!({"username": "alice", "password": "correct horse battery"}))
        .answers::<TokenPair<'_>>(
            200,
            "The session has begun.",
            json!({"access_token": ACCESS, "refresh_token": REFRESH}),
        )
        .refuses([
            AuthError::InvalidCredentials,
            AuthError::EmailNotVerified,
            Described::overloaded(),
        ])
    }

    pub(in crate::api) fn refresh() -> Described {
        Described::new(
            "refresh",
            "Get another access token",
            "With rotation the refresh token is replaced too. A replaced token that is used again \
             ends the session, unless it is the one before and comes within the grace.",
        )
        .header(
            "Idempotency-Key",
            "With rotation: a fresh value for each refresh, and the same when it is tried again, so \
             that only its sender can have the answer once more. 1 to 255 visible ASCII characters.",
        )
        .takes::<SessionToken>(json!({"refresh_token": REFRESH}))
        .answers::<Refreshed<'_>>(
            200,
            "The session goes on.",
            json!({"access_token": ACCESS}),
        )
        .refuses([
            AuthError::TokenInvalid,
            AuthError::TokenExpired,
            AuthError::TokenRevoked,
            AuthError::RefreshContested,
        ])
        .refuses([ApiError::MalformedRequest])
    }

    pub(in crate::api) fn log_out() -> Described {
        Described::new(
            "logOut",
            "Log out",
            "Ends the session of the token. It may be repeated, and the token may be expired or \
             replaced.",
        )
        .takes::<SessionToken>(json!({"refresh_token": REFRESH}))
        .answers::<LoggedOut>(
            200,
            "The session has ended.",
            json!({"message": "Successfully logged out."}),
        )
        .refuses([AuthError::TokenInvalid])
    }
}
