use std::task::{Context, Poll};

use http::header::EXPECT;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::DrainBody;
use super::future::ResponseFuture;
use super::layer::DrainLimits;

/// What [`DrainLayer`](crate::DrainLayer) makes of a service.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Drain<S> {
    inner: S,
    limits: DrainLimits,
}

impl<S> Drain<S> {
    pub(super) const fn new(inner: S, limits: DrainLimits) -> Self {
        Self { inner, limits }
    }
}

impl<S, B, C> Service<Request<B>> for Drain<S>
where
    S: Service<Request<DrainBody<B>>, Response = Response<C>>,
    B: Body + Unpin,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, B, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let version = request.version();
        let expects = request.headers().contains_key(EXPECT);
        let (parts, body) = request.into_parts();
        let (body, returned) = DrainBody::new(body);
        let answer = self.inner.call(Request::from_parts(parts, body));
        ResponseFuture::new(answer, returned, version, expects, self.limits)
    }
}
