//! Sugar for [tonic](https://docs.rs/tonic): the caller of a request, and refusals as gRPC
//! statuses.
//!
//! [`VerifyLayer`](crate::VerifyLayer) needs no help: it answers gRPC clients in their own codes.
//!
//! ```
//! use auth_core::Principal;
//! use auth_tower::tonic::caller;
//! use tonic::{Request, Response, Status};
//!
//! async fn say_hello(request: Request<String>) -> Result<Response<String>, Status> {
//!     let caller: &Principal = caller(&request)?;
//!     Ok(Response::new(format!("hello, {}", caller.user_id)))
//! }
//! ```

use ::tonic::{Code, Request, Status};
use auth_core::Principal;

use crate::ApiError;

/// The caller that [`VerifyLayer`](crate::VerifyLayer) has verified.
///
/// # Errors
///
/// `UNAUTHENTICATED` if there is none.
pub fn caller<T>(request: &Request<T>) -> Result<&Principal, Status> {
    let caller = request.extensions().get::<Principal>();
    caller.ok_or_else(|| ApiError::AuthenticationRequired.into())
}

/// The status that the layers answer gRPC clients with; what the client must not learn is written
/// to the log.
impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        error.log();
        Self::new(Code::from(error.grpc_status()), error.message())
    }
}

#[cfg(test)]
mod tests {
    use auth_core::testing::principal;
    use auth_core::{AuthError, store::StoreError};

    use super::*;

    #[test]
    fn a_caller_is_found_or_the_request_is_unauthenticated() {
        let mut request = Request::new(());
        assert_eq!(caller(&request).unwrap_err().code(), Code::Unauthenticated);
        let alice = principal();
        request.extensions_mut().insert(alice.clone());
        assert_eq!(caller(&request).unwrap(), &alice);
    }

    #[test]
    fn s14_1_a_status_says_what_http_says() {
        let unavailable = || AuthError::Storage(StoreError::Unavailable("db.example.org".into()));
        let rows: [(ApiError, Code, &str); 5] = [
            (
                AuthError::TokenExpired.into(),
                Code::Unauthenticated,
                "the token has expired",
            ),
            (
                AuthError::PermissionDenied.into(),
                Code::PermissionDenied,
                "you do not have permission to do this",
            ),
            (
                AuthError::too_many_attempts(std::time::Duration::ZERO).into(),
                Code::ResourceExhausted,
                "too many attempts, try again later",
            ),
            (
                unavailable().into(),
                Code::Unavailable,
                "the storage is not available",
            ),
            (
                AuthError::Internal("db.example.org".into()).into(),
                Code::Internal,
                "internal error",
            ),
        ];
        for (error, code, message) in rows {
            let status = Status::from(error);
            assert_eq!((status.code(), status.message()), (code, message));
        }
    }
}
