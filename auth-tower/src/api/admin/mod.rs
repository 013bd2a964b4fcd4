//! What superusers do to accounts and sessions, and the audit trail.

pub(super) mod pages;
pub(super) mod users;

use std::error::Error;

use auth_core::{Administration, Administrator, AuthError, RequestContext, UserId};
use http::{Method, Request, Response};
use http_body::Body;

use super::route::{AdminEndpoint, Route};
use super::service::AuthApi;
use crate::body::ApiBody;
use crate::budgets::Limited;
use crate::context;
use crate::error::ApiError;

/// What every request of a superuser has in common.
struct Call<'a> {
    administration: &'a dyn Administration,
    by: Administrator,
    context: RequestContext,
    max_body: usize,
}

impl AuthApi {
    pub(super) async fn administer<B>(
        &self,
        endpoint: AdminEndpoint,
        route: &Route,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let administration = self.administration.as_deref().ok_or(ApiError::NotFound)?;
        let context = context::of(&request);
        self.spend(Limited::Admin, &context)?;
        // Before anything of the id, the query and the body is looked at: who may not administer
        // learns nothing from them.
        let by = self.superuser(request.headers(), &context).await?;
        let call = Call {
            administration,
            by: Administrator::Superuser(by),
            context,
            max_body: self.max_body,
        };
        let user = route.parameter(request.uri().path());
        let user = user.and_then(|id| id.parse::<UserId>().ok());
        match (endpoint, request.method(), user) {
            (AdminEndpoint::Users, &Method::POST, _) => call.create_user(request).await,
            (AdminEndpoint::Users, _, _) => call.list_users(request.uri()).await,
            (AdminEndpoint::User, &Method::PATCH, Some(user)) => {
                call.change_user(user, request).await
            }
            (AdminEndpoint::User, &Method::DELETE, Some(user)) => call.delete_user(user).await,
            (AdminEndpoint::User, _, Some(user)) => call.read_user(user).await,
            (AdminEndpoint::UserLogout, _, Some(user)) => call.log_out_user(user, request).await,
            (AdminEndpoint::Events, _, _) => call.list_events(request.uri()).await,
            (AdminEndpoint::User | AdminEndpoint::UserLogout, _, None) => {
                Err(AuthError::NotFound.into())
            }
        }
    }
}
