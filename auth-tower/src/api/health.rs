//! Whether the process lives, and whether it can work.

use auth_core::store::StoreError;
use auth_core::{AuthError, AuthService};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::body::ApiBody;
use crate::error::ApiError;
use crate::response;

/// The node does its work.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct Health {
    /// Always `ok`.
    status: &'static str,
}

pub(super) fn alive(auth: &dyn AuthService) -> Result<Response<ApiBody>, ApiError> {
    if auth.is_alive() {
        return Ok(ok());
    }
    let lost = StoreError::Unavailable("the connections to the storage are lost".into());
    Err(AuthError::Storage(lost).into())
}

fn ok() -> Response<ApiBody> {
    response::serialized(StatusCode::OK, &Health { status: "ok" })
}

pub(super) async fn ready(auth: &dyn AuthService) -> Result<Response<ApiBody>, ApiError> {
    let error = match auth.check().await {
        Ok(()) => return Ok(ok()),
        Err(error) => ApiError::from(error),
    };
    if error.status() == StatusCode::SERVICE_UNAVAILABLE {
        return Err(error);
    }
    // A load balancer takes only 503 for "not ready"; a storage that answers nonsense is no more
    // available than one that does not answer.
    Err(AuthError::Storage(StoreError::Unavailable(error.into())).into())
}

#[cfg(feature = "openapi")]
pub(super) mod described {
    use serde_json::json;

    use super::Health;
    use crate::api::openapi::Described;

    pub(in crate::api) fn live() -> Described {
        Described::fixed(
            "live",
            "Whether the process serves",
            "Asks nobody. Restart the node if it fails: it has lost its connections to the storage.",
        )
        .answers::<Health>(200, "It does.", json!({"status": "ok"}))
        .may_be_unavailable()
    }

    pub(in crate::api) fn ready() -> Described {
        Described::fixed(
            "ready",
            "Whether the node can work",
            "Asks the storage, whether the revocation feed is up to date, and whether the clock is \
             right. Take the node out of the load balancer while it fails.",
        )
        .answers::<Health>(200, "It can.", json!({"status": "ok"}))
        .may_be_unavailable()
    }
}
