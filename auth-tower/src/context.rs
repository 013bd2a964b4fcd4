//! What the layers in front have found out about a request.

use auth_core::RequestContext;
use http::Request;

/// The context that a layer has put into the request's extensions, or that of an unknown request.
pub(crate) fn of<B>(request: &Request<B>) -> RequestContext {
    request
        .extensions()
        .get::<RequestContext>()
        .cloned()
        .unwrap_or_default()
}
