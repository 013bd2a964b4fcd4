//! Whether the process lives, and whether it can work.

use auth_core::store::StoreError;
use auth_core::{AuthError, AuthService};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::body::ApiBody;
use crate::error::ApiError;
use crate::response;

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

pub(super) fn alive() -> Response<ApiBody> {
    response::serialized(StatusCode::OK, &Health { status: "ok" })
}

pub(super) async fn ready(auth: &dyn AuthService) -> Result<Response<ApiBody>, ApiError> {
    let error = match auth.check().await {
        Ok(()) => return Ok(alive()),
        Err(error) => ApiError::from(error),
    };
    if error.status() == StatusCode::SERVICE_UNAVAILABLE {
        return Err(error);
    }
    // A load balancer takes only 503 for "not ready"; a storage that answers nonsense is no more
    // available than one that does not answer.
    Err(AuthError::Storage(StoreError::Unavailable(error.into())).into())
}
