//! The layers and the services, on stores that answer as they are told.

mod admin;
mod auto_traits;
mod bodies;
mod budgets;
mod contract;
#[cfg(feature = "cors")]
mod cors;
#[cfg(feature = "drain")]
mod drain;
mod enrollment;
mod errors;
mod identify;
#[cfg(feature = "jwks-client")]
mod jwks_client;
mod layers;
mod mounts;
mod readiness;
mod registration;
#[path = "../support/mod.rs"]
mod support;
mod verification_page;
