//! What operators see of a node: health and metrics, at an address of their own.

use std::convert::Infallible;
use std::time::Duration;

use auth_tower::{ApiBody, ApiError, AuthApi};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tower::{Service, ServiceExt as _, service_fn};

use crate::config::{Config, Database};
use crate::serve::RequestBody;
use crate::telemetry;

/// The text format of Prometheus.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// In seconds: most answers take a millisecond; those that hash a password, some tens of them.
const BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// How often what was measured is put into its buckets, so that it does not pile up while nobody
/// asks.
const UPKEEP: Duration = Duration::from_secs(5);

/// Begins to keep metrics; what was counted before is lost.
pub(crate) fn record(config: &Config) -> Result<PrometheusHandle, BuildError> {
    let seconds = Matcher::Full("auth_http_request_seconds".to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &BUCKETS)?
        .install_recorder()?;
    describe();
    let database = match config.database {
        Database::Sqlite(_) => "sqlite",
        Database::Postgres(_) => "postgres",
    };
    gauge!("auth_node_info", "database" => database).set(1);
    // Exported from the start, so that an alert sees the first increase.
    counter!("auth_clock_apart_total").absolute(0);
    counter!("auth_revocation_overflows_total").absolute(0);
    // What was dropped before anything was measured counts too.
    counter!(telemetry::DROPPED_LINES).absolute(telemetry::dropped_lines());
    Ok(handle)
}

fn describe() {
    describe_gauge!(
        "auth_node_info",
        "Always 1; the labels tell how the node is set up."
    );
    describe_counter!(
        "auth_http_requests_total",
        "Requests answered at the main address, by route."
    );
    describe_histogram!(
        "auth_http_request_seconds",
        Unit::Seconds,
        "From the headers of a request to those of its answer."
    );
    describe_gauge!(
        "auth_hash_queue_length",
        "Passwords that wait for a hashing thread."
    );
    describe_counter!(
        telemetry::DROPPED_LINES,
        "Lines of the log that could not be written, or were not read fast enough."
    );
    describe_gauge!(
        "auth_clock_difference_seconds",
        Unit::Seconds,
        "How far the database's clock is ahead of this node's; negative if it is behind."
    );
    describe_counter!(
        "auth_clock_apart_total",
        "How often this node's clock and the database's came to be more than 5 seconds apart."
    );
    describe_counter!(
        "auth_revocation_overflows_total",
        "How often more was revoked than this node remembers, so that clients had to refresh early."
    );
    describe_gauge!(
        "auth_revocation_entries",
        "Revocations that verifiers keep in mind."
    );
    describe_gauge!(
        "auth_revocation_feed_healthy",
        "1 if this node knows what was revoked lately."
    );
    describe_gauge!(
        "auth_revocation_lag_seconds",
        Unit::Seconds,
        "How long ago this node last knew all that was revoked."
    );
}

/// Serves `/livez` and `/readyz` as the main address does, and `/metrics`.
pub(crate) fn service(
    api: AuthApi,
    metrics: PrometheusHandle,
) -> impl Service<Request<RequestBody>, Response = Response<ApiBody>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    service_fn(move |request: Request<RequestBody>| {
        let (api, metrics) = (api.clone(), metrics.clone());
        async move {
            match AuthApi::route_of(request.uri().path()) {
                Some("/livez" | "/readyz") => api.oneshot(request).await,
                None if request.uri().path() == "/metrics" => Ok(page(request.method(), &metrics)),
                _ => Ok(ApiError::NotFound.into_response()),
            }
        }
    })
}

fn page(method: &Method, metrics: &PrometheusHandle) -> Response<ApiBody> {
    if ![Method::GET, Method::HEAD].contains(method) {
        return ApiError::method_not_allowed("GET, HEAD").into_response();
    }
    let mut response = Response::new(ApiBody::from(bytes::Bytes::from(metrics.render())));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, TEXT);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Keeps the metrics small until `shutdown` is done.
pub(crate) async fn keep_up(metrics: PrometheusHandle, shutdown: impl Future<Output = ()> + Send) {
    let upkeep = async {
        loop {
            tokio::time::sleep(UPKEEP).await;
            metrics.run_upkeep();
        }
    };
    tokio::select! {
        () = upkeep => {}
        () = shutdown => {}
    }
}
