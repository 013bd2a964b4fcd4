use std::task::{Context, Poll};

use auth_core::{AuthError, Principal};
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::body::ResponseBody;
use crate::error::{ApiError, Dialect};
use crate::verify;

/// Lets only requests through whose access token carries a role.
///
/// It asks nobody: the token says it, and a [change of roles] ends the tokens of before. See the
/// [module](crate::require) for an example.
///
/// [change of roles]: auth_core::Administration::set_roles
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireRoleLayer {
    role: Box<str>,
}

impl RequireRoleLayer {
    /// Demands the role of this name.
    pub fn new(role: impl Into<Box<str>>) -> Self {
        Self { role: role.into() }
    }
}

impl<S> Layer<S> for RequireRoleLayer {
    type Service = RequireRole<S>;

    fn layer(&self, inner: S) -> RequireRole<S> {
        RequireRole {
            inner,
            role: self.role.clone(),
        }
    }
}

/// What [`RequireRoleLayer`] makes of a service.
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireRole<S> {
    inner: S,
    role: Box<str>,
}

impl<S, B, C> Service<Request<B>> for RequireRole<S>
where
    S: Service<Request<B>, Response = Response<C>>,
{
    type Response = Response<ResponseBody<C>>;
    type Error = S::Error;
    type Future = verify::ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let caller = request.extensions().get::<Principal>();
        match demand(caller, &self.role) {
            Ok(_) => verify::ResponseFuture::passed(self.inner.call(request)),
            Err(error) => {
                let response = error.into_response_for(Dialect::of(&request));
                verify::ResponseFuture::refused(response)
            }
        }
    }
}

/// The caller, if there is one who has the role.
pub(crate) fn demand<'a>(
    caller: Option<&'a Principal>,
    role: &str,
) -> Result<&'a Principal, ApiError> {
    let caller = caller.ok_or(ApiError::AuthenticationRequired)?;
    if !caller.has_role(role) {
        return Err(ApiError::Bearer(AuthError::PermissionDenied));
    }
    Ok(caller)
}
