use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use auth_core::{AuthService, Principal};
use http::{Request, Response};
use tower_service::Service;

use super::future::ResponseFuture;
use crate::body::ResponseBody;
use crate::context;
use crate::error::{ApiError, Dialect};

/// What [`RequireSuperuserLayer`](crate::RequireSuperuserLayer) makes of a service.
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireSuperuser<S> {
    inner: S,
    auth: Arc<dyn AuthService>,
}

impl<S> RequireSuperuser<S> {
    pub(super) fn new(inner: S, auth: Arc<dyn AuthService>) -> Self {
        Self { inner, auth }
    }
}

impl<S, B, C> Service<Request<B>> for RequireSuperuser<S>
where
    S: Service<Request<B>, Response = Response<C>> + Clone,
{
    type Response = Response<ResponseBody<C>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(caller) = request.extensions().get::<Principal>().cloned() else {
            let error = ApiError::AuthenticationRequired;
            return ResponseFuture::refused(error.into_response_for(Dialect::of(&request)));
        };
        let auth = Arc::clone(&self.auth);
        let context = context::of(&request);
        let check = Box::pin(async move { auth.require_superuser(&caller, &context).await });
        // The instance that was polled ready must be the one that is called; the clone that
        // stays behind will be polled before its own call.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        ResponseFuture::asking(check, inner, request)
    }
}
