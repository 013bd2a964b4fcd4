use std::error::Error;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::future::ResponseFuture;
use crate::AuthApi;
use crate::body::ResponseBody;

/// What [`MountLayer`](crate::MountLayer) makes of a service.
#[derive(Clone, Debug)]
#[must_use]
pub struct Mount<S> {
    api: AuthApi,
    inner: S,
}

impl<S> Mount<S> {
    pub(super) const fn new(api: AuthApi, inner: S) -> Self {
        Self { api, inner }
    }
}

impl<S, B, C> Service<Request<B>> for Mount<S>
where
    S: Service<Request<B>, Response = Response<C>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<ResponseBody<C>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.api.handles(request.uri().path()) {
            ResponseFuture::of_api(self.api.call(request))
        } else {
            ResponseFuture::of_inner(self.inner.call(request))
        }
    }
}
