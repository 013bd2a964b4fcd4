//! What users do with their own accounts.

use std::error::Error;
use std::mem;
use std::sync::Arc;

use auth_core::{
    Account, AuthError, EmailChangeRequest, OwnSessions, Password, PasswordChange, Principal,
    RequestContext, Role, Session, SessionId, User,
};
use http::{Request, Response, StatusCode};
use http_body::Body;
use serde::Serialize;

use super::json;
use super::registration::SUCCESS;
use super::route::Route;
use super::service::AuthApi;
use super::utc::utc;
use crate::bearer::authenticate;
use crate::body::ApiBody;
use crate::budgets::Limited;
use crate::context;
use crate::error::ApiError;
use crate::response;

/// The caller's own account.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = OwnAccount))]
struct Caller<'a> {
    /// The user's id.
    #[cfg_attr(feature = "openapi", schema(format = "uuid"))]
    id: String,
    /// The name to log in with.
    username: String,
    /// The address, as it was given.
    email: String,
    /// Whether the address is verified.
    verified: bool,
    /// The roles, with `superuser` for a superuser.
    roles: Vec<&'a str>,
}

impl<'a> Caller<'a> {
    fn new(user: &'a User) -> Self {
        let superuser = user.is_superuser.then_some(Role::SUPERUSER);
        let given = user.roles.iter().map(Role::as_str);
        Self {
            id: user.id.to_string(),
            username: user.username.to_string(),
            email: user.email.to_string(),
            verified: user.email_verified_at.is_some(),
            roles: superuser.into_iter().chain(given).collect(),
        }
    }
}

/// The caller's sessions.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = OwnSessions))]
struct Sessions {
    /// Those that live, the latest first.
    sessions: Vec<OwnSession>,
}

/// One login, and what came of it.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct OwnSession {
    /// The session's id.
    #[cfg_attr(feature = "openapi", schema(format = "uuid"))]
    id: String,
    /// When it began.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    created_at: String,
    /// When it was last rotated, or noted as used; else when it began.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    last_used_at: String,
    /// When it ends by itself.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    expires_at: String,
    /// The address that logged in, if it is known.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    client: Option<String>,
    /// Whether it is the session of this request.
    current: bool,
}

impl OwnSession {
    fn new(session: &Session, caller: &Principal) -> Self {
        Self {
            id: session.id.to_string(),
            created_at: utc(session.created_at),
            last_used_at: utc(session.last_used_at()),
            expires_at: utc(session.expires_at),
            client: session.client.map(|client| client.to_string()),
            current: session.id == caller.session_id,
        }
    }
}

impl AuthApi {
    pub(super) async fn read_account<B>(
        &self,
        account: &dyn Account,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError> {
        let (caller, _) = self.caller(&request)?;
        let user = account.read_account(&caller).await.map_err(refused)?;
        Ok(response::serialized(StatusCode::OK, &Caller::new(&user)))
    }

    pub(super) async fn list_sessions<B>(
        &self,
        account: &dyn Account,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError> {
        let (caller, _) = self.caller(&request)?;
        let sessions = account.list_own_sessions(&caller).await;
        let sessions = sessions.map_err(refused)?;
        let sessions = sessions.iter().map(|one| OwnSession::new(one, &caller));
        let sessions = sessions.collect();
        Ok(response::serialized(StatusCode::OK, &Sessions { sessions }))
    }

    pub(super) async fn end_session<B>(
        &self,
        account: &dyn Account,
        route: &Route,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError> {
        let (caller, context) = self.caller(&request)?;
        let id = route.parameter(request.uri().path());
        let id = id.and_then(|id| id.parse::<SessionId>().ok());
        let session = id.ok_or(AuthError::NotFound)?;
        let ended = account.end_own_session(&caller, session, &context).await;
        ended.map_err(refused)?;
        Ok(response::bare(StatusCode::NO_CONTENT, ""))
    }

    pub(super) async fn log_out_everywhere<B>(
        &self,
        account: &dyn Account,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (caller, context) = self.caller(&request)?;
        let which = match json::flag(request, self.max_body, "keep_current").await? {
            true => OwnSessions::Others,
            false => OwnSessions::All,
        };
        let ended = account.end_own_sessions(&caller, which, &context).await;
        ended.map_err(refused)?;
        Ok(response::bare(StatusCode::NO_CONTENT, ""))
    }

    pub(super) async fn change_password<B>(
        &self,
        account: &dyn Account,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (caller, context) = self.caller(&request)?;
        // It costs a hash, as a login does.
        self.spend(Limited::LogIn, &context)?;
        let names = ["current_password", "new_password"];
        let [mut current, mut new] = json::fields(request, self.max_body, names).await?;
        let change = PasswordChange::new(
            Password::new(mem::take(&mut *current)),
            Password::new(mem::take(&mut *new)),
        );
        let changed = account.change_own_password(&caller, change, &context).await;
        changed.map_err(refused)?;
        Ok(response::bare(StatusCode::NO_CONTENT, ""))
    }

    pub(super) async fn request_password_reset<B>(
        &self,
        account: &dyn Account,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let context = context::of(&request);
        self.spend(Limited::ResendVerification, &context)?;
        let [email] = json::fields(request, self.max_body, ["email"]).await?;
        account.request_password_reset(&email, &context).await?;
        Ok(response::serialized(StatusCode::ACCEPTED, &SUCCESS))
    }

    pub(super) async fn request_email_change<B>(
        &self,
        account: &dyn Account,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (caller, context) = self.caller(&request)?;
        // It costs a hash, as a login does.
        self.spend(Limited::LogIn, &context)?;
        let [mut email, mut password] =
            json::fields(request, self.max_body, ["email", "password"]).await?;
        let password = Password::new(mem::take(&mut *password));
        let change = EmailChangeRequest::new(mem::take(&mut *email), password);
        let requested = account
            .request_email_change(&caller, change, &context)
            .await;
        requested.map_err(refused)?;
        Ok(response::serialized(StatusCode::ACCEPTED, &SUCCESS))
    }

    /// Who asks, and from where: before anything else is looked at.
    fn caller<B>(&self, request: &Request<B>) -> Result<(Principal, RequestContext), ApiError> {
        let context = context::of(request);
        self.spend(Limited::Account, &context)?;
        let caller = authenticate(request.headers(), &self.verifier)?;
        Ok((caller.ok_or(ApiError::AuthenticationRequired)?, context))
    }

    /// The group, for the endpoints that exist only with it.
    pub(super) fn account(&self) -> Result<Arc<dyn Account>, ApiError> {
        self.account.clone().ok_or(ApiError::NotFound)
    }
}

/// A session that has ended is a matter of the bearer token; all else is one of the request.
fn refused(error: AuthError) -> ApiError {
    match error {
        AuthError::TokenRevoked => ApiError::Bearer(error),
        other => other.into(),
    }
}

#[cfg(feature = "openapi")]
pub(super) mod described {
    use auth_core::AuthError;
    use serde_json::json;
    use utoipa::ToSchema;

    use super::{Caller, Sessions};
    use crate::api::openapi::Described;
    use crate::api::registration::Success;
    use crate::api::registration::described::{Address, success};

    /// Which sessions to end.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the request is read field by field")]
    struct WhichSessions {
        /// Whether the session of this request stays; it does not, if nothing is said.
        #[schema(required = false)]
        keep_current: bool,
    }

    /// Another password.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the request is read field by field")]
    struct PasswordChange {
        /// The password of now.
        #[schema(format = Password)]
        current_password: String,
        /// The next; the same rules as at the registration.
        #[schema(format = Password)]
        new_password: String,
    }

    /// Another address.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the request is read field by field")]
    struct EmailChange {
        /// The new address, which gets a link to confirm it.
        #[schema(format = Email, max_length = 254)]
        email: String,
        /// The password of now.
        #[schema(format = Password)]
        password: String,
    }

    pub(in crate::api) fn read() -> Described {
        Described::new("readAccount", "The own account", "Who the caller is.")
            .for_users()
            .answers::<Caller<'_>>(
                200,
                "The account.",
                json!({
                    "id": "019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b",
                    "username": "alice",
                    "email": "alice@example.org",
                    "verified": true,
                    "roles": ["editor"],
                }),
            )
    }

    pub(in crate::api) fn list_sessions() -> Described {
        Described::new("listSessions", "The own sessions", "Those that live.")
            .for_users()
            .answers::<Sessions>(
                200,
                "The sessions.",
                json!({"sessions": [{
                    "id": "5c2f9d34-8b1e-4a7c-9f60-1d2e3f405162",
                    "created_at": "2026-11-26T08:00:00Z",
                    "last_used_at": "2026-11-26T09:30:00Z",
                    "expires_at": "2026-12-10T08:00:00Z",
                    "client": "192.0.2.7",
                    "current": true,
                }]}),
            )
    }

    pub(in crate::api) fn end_session() -> Described {
        Described::new(
            "endSession",
            "End an own session",
            "It may be the current one.",
        )
        .for_users()
        .of("The id of the session.")
        .answers_nothing(204, "The session has ended.")
        .refuses([AuthError::NotFound])
    }

    pub(in crate::api) fn log_out_everywhere() -> Described {
        Described::new(
            "logOutEverywhere",
            "End all own sessions",
            "All, or all but the current one.",
        )
        .for_users()
        .takes::<WhichSessions>(json!({"keep_current": true}))
        .answers_nothing(204, "The sessions have ended.")
    }

    pub(in crate::api) fn change_password() -> Described {
        Described::new(
            "changePassword",
            "Change the own password",
            "All other sessions end. A wrong current password counts as a failed login.",
        )
        .for_users()
        .takes::<PasswordChange>(json!({
            "current_password": "correct horse battery",
            "new_password": "battery horse correct",
        }))
        .answers_nothing(204, "The password is changed.")
        .refuses([AuthError::InvalidCredentials, Described::overloaded()])
    }

    pub(in crate::api) fn request_password_reset() -> Described {
        Described::new(
            "requestPasswordReset",
            "Ask for a link to choose a new password",
            "The answer is the same whether or not the address is known.",
        )
        .takes::<Address>(json!({"email": "alice@example.org"}))
        .answers::<Success>(
            202,
            "A mail is on its way, if the address is known.",
            success(),
        )
    }

    pub(in crate::api) fn request_email_change() -> Described {
        Described::new(
            "requestEmailChange",
            "Change the own address",
            "The new address gets a link to confirm it, unless somebody else has it. A wrong \
             password counts as a failed login.",
        )
        .for_users()
        .takes::<EmailChange>(json!({
            "email": "alice@example.com",
            "password": "correct horse battery",
        }))
        .answers::<Success>(202, "A mail is on its way.", success())
        .refuses([AuthError::InvalidCredentials, Described::overloaded()])
    }
}
