//! Tests for stores, and the test kit of host applications.

#[cfg(feature = "sqlite")]
mod auth;
mod clock;
pub mod conformance;
mod mailbox;
#[cfg(all(feature = "postgres", unix))]
pub mod postgres;
mod principal;
mod token_mint;

#[cfg(feature = "sqlite")]
pub use auth::TestAuth;
pub use clock::ManualClock;
pub use mailbox::{Mailbox, MailedLink};
#[cfg(feature = "sqlite")]
pub(crate) use principal::issue_to;
pub use principal::principal;
pub use token_mint::TokenMint;
