//! What every request passes through.

use std::any::Any;
use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use auth_core::RequestContext;
use auth_tower::drain::DrainBody;
use auth_tower::{ApiError, CorsLayer, DrainLayer, IdentifyLayer};
use bytes::Bytes;
use http::header::{CONNECTION, STRICT_TRANSPORT_SECURITY};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tower::{Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{
    MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;
use tracing::Span;
use uuid::Uuid;

use super::body::RequestBody;
use super::count::{CountLayer, RouteOf};
use super::framing;
use super::limits::Limits;

type BoxError = Box<dyn Error + Send + Sync>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Two years, as browsers' preload lists ask for.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// Puts the layers around a service: the rest of the body, request ids, the client, the log, other
/// origins, panics, time limits, framing.
pub(super) fn around<S, B>(
    service: S,
    limits: &Limits,
    identify: IdentifyLayer,
    cors: Option<CorsLayer>,
    hsts: bool,
    route_of: Option<RouteOf>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<impl Body<Data = Bytes, Error = BoxError> + Send + 'static>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let limits = *limits;
    ServiceBuilder::new()
        // Outermost, so that whatever refuses leaves no connection in doubt.
        .layer(DrainLayer::new())
        .option_layer(route_of.map(|route_of| CountLayer { route_of }))
        .map_request(without_request_id)
        .layer(SetRequestIdLayer::new(REQUEST_ID, RandomId))
        .layer(identify)
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_response(log_response)
                // Refusals of ours are logged where they arise, with their cause.
                .on_failure(()),
        )
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetResponseHeaderLayer::overriding(
            STRICT_TRANSPORT_SECURITY,
            hsts.then_some(HSTS),
        ))
        .option_layer(cors)
        .layer(CatchPanicLayer::custom(panicked))
        .service(service_fn(move |request| {
            answer(service.clone(), request, limits)
        }))
}

/// Of the thread's generator: an id is no secret, and a call of the operating system for each would
/// cost as much as a third of the verification of a token; `docs/decisions/`, 29.
#[derive(Clone, Copy, Debug)]
struct RandomId;

impl MakeRequestId for RandomId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let id = HeaderValue::from_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        id.ok().map(RequestId::new)
    }
}

/// An id from outside could be repeated, or forged to hide in another's lines of the log.
fn without_request_id<B>(mut request: Request<B>) -> Request<B> {
    request.headers_mut().remove(REQUEST_ID);
    request
}

/// Names a request in the log: without its query, which may carry a token, and its headers.
fn span<B>(request: &Request<B>) -> Span {
    let context = request.extensions().get::<RequestContext>();
    let id = context.and_then(|context| context.request_id.as_ref());
    tracing::info_span!(
        "request",
        id = id.map(|id| id.as_str()),
        client = context
            .and_then(|context| context.client)
            .map(tracing::field::display),
        peer = context
            .and_then(|context| context.peer)
            .map(tracing::field::display),
        method = request.method().as_str(),
        path = request.uri().path(),
    )
}

/// A client that is over its budget would fill the disk with lines; the audit trail counts its refusals.
fn log_response<B>(response: &Response<B>, latency: Duration, _: &Span) {
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                latency = format_args!("{} ms", latency.as_millis()),
                status = response.status().as_u16(),
                "finished processing request"
            )
        };
    }
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS => line!(debug),
        _ => line!(info),
    }
}

async fn answer<S, B>(
    service: S,
    request: Request<DrainBody<Incoming>>,
    limits: Limits,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Send,
    S::Future: Send,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    if let Some(refusal) = framing::refusal(&request, limits.uri_bytes) {
        return Ok(closing(refusal.into_response().map(BodyExt::boxed_unsync)));
    }
    let request = request.map(|body| RequestBody::new(body, limits.body_read));
    let response = match tokio::time::timeout(limits.request, service.oneshot(request)).await {
        Ok(Ok(response)) => response.map(BodyExt::boxed_unsync),
        Ok(Err(never)) => match never {},
        Err(_) => ApiError::RequestTimeout
            .into_response()
            .map(BodyExt::boxed_unsync),
    };
    // The rest of a request that came too slowly is not waited for.
    if response.status() == StatusCode::REQUEST_TIMEOUT {
        return Ok(closing(response));
    }
    Ok(response)
}

fn closing<B>(mut response: Response<B>) -> Response<B> {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn panicked(_: Box<dyn Any + Send>) -> Response<auth_tower::ApiBody> {
    ApiError::Panicked.into_response()
}
