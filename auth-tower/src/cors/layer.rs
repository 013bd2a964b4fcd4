use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method};
use tower_http::cors;
use tower_layer::Layer;

use super::origin::Origin;
use super::service::Cors;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The most that a browser remembers (Chromium).
const MAX_AGE: Duration = Duration::from_secs(2 * 3_600);

/// Lets pages of exactly these origins call.
///
/// See the [module](crate::cors) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct CorsLayer {
    origins: Arc<[HeaderValue]>,
    headers: cors::CorsLayer,
}

impl CorsLayer {
    /// Lets pages of these origins call; without one, none.
    pub fn new(origins: impl IntoIterator<Item = Origin>) -> Self {
        let origins: Arc<[HeaderValue]> = origins
            .into_iter()
            .map(|origin| origin.as_header().clone())
            .collect();
        let headers = cors::CorsLayer::new()
            .allow_origin(origins.to_vec())
            .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
            .allow_headers([AUTHORIZATION, CONTENT_TYPE, IDEMPOTENCY_KEY])
            .expose_headers([WWW_AUTHENTICATE, RETRY_AFTER])
            .max_age(MAX_AGE);
        Self { origins, headers }
    }
}

impl<S> Layer<S> for CorsLayer {
    type Service = Cors<S>;

    fn layer(&self, inner: S) -> Cors<S> {
        Cors::new(self.headers.layer(inner), Arc::clone(&self.origins))
    }
}
