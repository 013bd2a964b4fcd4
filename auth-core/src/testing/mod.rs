//! Tests for stores, and the test kit of host applications.

pub mod conformance;
#[cfg(all(feature = "postgres", unix))]
pub mod postgres;
