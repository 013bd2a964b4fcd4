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

#[derive(Serialize)]
struct Caller<'a> {
    id: String,
    username: String,
    email: String,
    verified: bool,
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

#[derive(Serialize)]
struct Sessions {
    sessions: Vec<OwnSession>,
}

#[derive(Serialize)]
struct OwnSession {
    id: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    client: Option<String>,
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
        let id = id.and_then(|id| id.parse().ok().map(SessionId::from_uuid));
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
