//! Access tokens that are refused before they expire.
//!
//! An access token is verified without asking anybody, so a logout would have to wait for its
//! expiry. Instead each node keeps the [`Revocations`] of one token lifetime in memory, and a
//! [`RevocationFollower`] keeps them up to date from the store: within milliseconds where the
//! database can notify, within a second otherwise. A verifier looks into them without a lock and
//! without I/O.
//!
//! A host that verifies tokens in its own process runs the follower of its engine:
//!
//! ```
//! # fn example(engine: auth_core::Engine) {
//! tokio::spawn(engine.revocation_follower().run(std::future::pending()));
//! let verifier = engine.access_token_verifier();
//! # }
//! ```

mod epoch;
mod floor;
mod follower;
mod set;

use crate::{SessionId, Timestamp, UserId};

pub use epoch::TokenEpoch;
pub use follower::RevocationFollower;
pub use set::{Revocations, StalePolicy};

/// Tokens that are refused, as long as any of them could live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revocation {
    /// Which tokens.
    pub tokens: RevokedTokens,
    /// When the last of them has expired.
    pub expires_at: Timestamp,
}

impl Revocation {
    /// Puts the two together.
    #[must_use]
    pub const fn new(tokens: RevokedTokens, expires_at: Timestamp) -> Self {
        Self { tokens, expires_at }
    }
}

/// Which access tokens are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevokedTokens {
    /// Those of a session that has ended.
    OfSession(SessionId),
    /// Those that the user got before a change, whose sessions go on.
    OfUser {
        /// The user.
        user: UserId,
        /// Of tokens that name no epoch, later ones are good.
        issued_before: Timestamp,
        /// Tokens of this epoch are good, and later ones. Without it the time decides alone.
        epoch: Option<TokenEpoch>,
    },
    /// All that were issued before a time.
    All {
        /// Later ones are good.
        issued_before: Timestamp,
    },
}
