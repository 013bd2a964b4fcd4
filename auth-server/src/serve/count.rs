//! Counts requests and their time, for metrics.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::{Method, Request, Response};
use metrics::{counter, histogram};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// Tells the route of a path; `None` where nothing is served.
pub(super) type RouteOf = fn(&str) -> Option<&'static str>;

/// Counts by route and never by path, which strangers choose: there could be any number of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountLayer {
    pub(super) route_of: RouteOf,
}

#[derive(Clone, Debug)]
pub(super) struct Count<S> {
    inner: S,
    route_of: RouteOf,
}

impl<S> Layer<S> for CountLayer {
    type Service = Count<S>;

    fn layer(&self, inner: S) -> Count<S> {
        Count {
            inner,
            route_of: self.route_of,
        }
    }
}

impl<S, B, C> Service<Request<B>> for Count<S>
where
    S: Service<Request<B>, Response = Response<C>>,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture<S::Future> {
        ResponseFuture {
            method: method(request.method()),
            route: (self.route_of)(request.uri().path()).unwrap_or("none"),
            began: Instant::now(),
            answer: self.inner.call(request),
        }
    }
}

pin_project! {
    pub(super) struct ResponseFuture<F> {
        #[pin]
        answer: F,
        method: &'static str,
        route: &'static str,
        began: Instant,
    }
}

impl<F, C, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<C>, E>>,
{
    type Output = Result<Response<C>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(cx));
        if let Ok(response) = &answer {
            let status = response.status().as_u16().to_string();
            counter!(
                "auth_http_requests_total",
                "method" => *this.method, "route" => *this.route, "status" => status
            )
            .increment(1);
            histogram!("auth_http_request_seconds", "route" => *this.route)
                .record(this.began.elapsed());
        }
        Poll::Ready(answer)
    }
}

/// The usual methods; strangers may invent others.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
