//! The stores of this crate: what they promise alike, and what is each database's own.

mod conformance;
mod postgres;
mod schema;
mod sqlite;
#[cfg(all(feature = "testing", any(feature = "sqlite", feature = "postgres")))]
mod upgrade;
