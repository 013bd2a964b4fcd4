//! Sugar for [warp](https://docs.rs/warp): the endpoints and the caller as filters, and refusals
//! as our answers.
//!
//! ```
//! use auth_core::{Engine, Principal};
//! use auth_tower::AuthApi;
//! use auth_tower::warp::{authenticated, endpoints, recover};
//! use warp::filters::BoxedFilter;
//! use warp::{Filter, Reply};
//!
//! fn app(engine: &Engine) -> BoxedFilter<(impl Reply + use<>,)> {
//!     warp::path!("me")
//!         .and(authenticated(engine.access_token_verifier()))
//!         .map(|caller: Principal| caller.user_id.to_string())
//!         .or(endpoints(AuthApi::for_engine(engine)))
//!         .recover(recover)
//!         .boxed()
//! }
//! ```
//!
//! For a whole application behind a token, [`VerifyLayer`](crate::VerifyLayer) goes around
//! `warp::service(...)`, and `warp::ext::get::<Principal>()` finds the caller.

use std::future;

use ::warp::filters::BoxedFilter;
use ::warp::path::FullPath;
use ::warp::reject::{self, Reject, Rejection};
use ::warp::{Buf, Filter, ext, header, method, path, query};
use auth_core::{AccessTokenVerifier, Principal, RequestContext};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tower_service::Service as _;

use crate::bearer::authenticate;
use crate::{ApiError, AuthApi};

/// Extracts the caller whose bearer token this verifier accepts.
///
/// Any other request is rejected, which [`recover`] answers with 401.
#[must_use]
pub fn authenticated(verifier: AccessTokenVerifier) -> BoxedFilter<(Principal,)> {
    header::headers_cloned()
        .and_then(move |headers: HeaderMap| {
            let caller = match authenticate(&headers, &verifier) {
                Ok(caller) => caller.ok_or(ApiError::AuthenticationRequired),
                Err(error) => Err(error),
            };
            future::ready(caller.map_err(rejection))
        })
        .boxed()
}

/// Serves the endpoints; requests for other paths are rejected, for another filter to take.
#[must_use]
pub fn endpoints(api: AuthApi) -> BoxedFilter<(Response<Bytes>,)> {
    let ours = api.clone();
    let path = path::full().and_then(move |path: FullPath| {
        let is_ours = ours.handles(path.as_str());
        future::ready(is_ours.then_some(path).ok_or_else(reject::not_found))
    });
    let query = query::raw().map(Some).or(::warp::any().map(|| None));
    path.and(query.unify())
        .and(method())
        .and(header::headers_cloned())
        .and(ext::optional::<RequestContext>())
        .and(::warp::body::stream())
        .and_then(
            move |path: FullPath, query: Option<String>, method, headers, context, body| {
                let mut api = api.clone();
                let target = match query {
                    Some(query) => format!("{}?{query}", path.as_str()),
                    None => path.as_str().to_owned(),
                };
                let request = request(&target, method, headers, context, frames(body));
                async move {
                    let Ok(response) = api.call(request?).await;
                    Ok::<_, Rejection>(response.map(Bytes::from))
                }
            },
        )
        .boxed()
}

/// The body that warp gives as a stream.
fn frames<D: Buf, E>(
    stream: impl Stream<Item = Result<D, E>>,
) -> StreamBody<impl Stream<Item = Result<Frame<Bytes>, E>>> {
    StreamBody::new(stream.map_ok(|mut data| Frame::data(data.copy_to_bytes(data.remaining()))))
}

/// The request that the filters have taken apart.
fn request<T>(
    target: &str,
    method: Method,
    headers: HeaderMap,
    context: Option<RequestContext>,
    body: T,
) -> Result<Request<T>, Rejection> {
    let mut request = Request::new(body);
    *request.uri_mut() = target.parse().map_err(|_| reject::not_found())?;
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    if let Some(context) = context {
        request.extensions_mut().insert(context);
    }
    Ok(request)
}

/// Makes a rejection of an error of ours, which [`recover`] answers.
#[must_use]
pub fn rejection(error: ApiError) -> Rejection {
    reject::custom(Refused(error))
}

/// Answers the rejections of this module as all our refusals are; others stay rejections.
///
/// # Errors
///
/// The rejection, if it is none of ours.
pub async fn recover(rejection: Rejection) -> Result<Response<Bytes>, Rejection> {
    match rejection.find::<Refused>() {
        Some(Refused(error)) => Ok(error.response().map(Bytes::from)),
        None => Err(rejection),
    }
}

#[derive(Debug)]
struct Refused(ApiError);

impl Reject for Refused {}
