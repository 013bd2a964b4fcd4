use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use tower_http::cors;
use tower_service::Service;

use super::future::ResponseFuture;

/// What [`CorsLayer`](crate::CorsLayer) makes of a service.
#[derive(Clone, Debug)]
#[must_use]
pub struct Cors<S> {
    inner: cors::Cors<S>,
    origins: Arc<[HeaderValue]>,
}

impl<S> Cors<S> {
    pub(super) const fn new(inner: cors::Cors<S>, origins: Arc<[HeaderValue]>) -> Self {
        Self { inner, origins }
    }

    /// Two origins are none: which of them counts would be a guess.
    fn is_listed(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (Some(origin), None) => self.origins.contains(origin),
            _ => false,
        }
    }
}

impl<S, B, C> Service<Request<B>> for Cors<S>
where
    S: Service<Request<B>, Response = Response<C>>,
    C: Default,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let headers = request.headers();
        let is_options = request.method() == Method::OPTIONS;
        let asks = headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        match (self.is_listed(headers), is_options, asks) {
            (true, true, true) => ResponseFuture::preflight(self.inner.call(request)),
            (true, false, _) => ResponseFuture::listed(self.inner.call(request)),
            // tower-http would take any OPTIONS for a preflight, and tell any origin what is allowed.
            _ => ResponseFuture::other(self.inner.get_mut().call(request)),
        }
    }
}
