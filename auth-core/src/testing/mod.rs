//! Tests for stores, and the test kit of host applications.

mod clock;
pub mod conformance;
mod mailbox;
#[cfg(all(feature = "postgres", unix))]
pub mod postgres;
mod token_mint;

pub use clock::ManualClock;
pub use mailbox::{Mailbox, link_token};
pub use token_mint::TokenMint;
