//! placeholder

pub mod api;
#[cfg(feature = "axum")]
pub mod axum;
mod bearer;
mod body;
mod error;
pub mod require;
mod response;
pub mod verify;

pub use api::service::AuthApi;
pub use body::{ApiBody, ResponseBody};
pub use error::ApiError;
pub use require::layer::RequireSuperuserLayer;
pub use verify::layer::VerifyLayer;
