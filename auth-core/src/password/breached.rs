//! A set of passwords that are known to attackers, looked up elsewhere.

use std::fmt;

use async_trait::async_trait;

use super::Password;

/// Knows which passwords have been in a data breach.
///
/// The [policy](super::PasswordPolicy) asks it last, and only about passwords that break no other
/// rule. A downloaded list may stand behind it (`BreachedPasswordFile`, with the feature
/// `breached-passwords`), or a service that is asked by k-anonymity; the latter should give up
/// after a second or two, since a registration waits for it.
#[async_trait]
pub trait BreachedPasswords: fmt::Debug + Send + Sync + 'static {
    /// Whether the password, given in its NFC form, is known.
    ///
    /// # Errors
    ///
    /// What stands in the way of an answer. It is logged, so it must not hold the password nor
    /// anything that it could be found by.
    async fn contains(
        &self,
        password: &Password,
    ) -> Result<bool, Box<dyn std::error::Error + Send + Sync>>;
}

/// What happens to a password when [`BreachedPasswords`] gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnCheckFailure {
    /// It is accepted, as if it were unknown.
    Accept,
    /// It is refused, with the advice to try again later.
    Refuse,
}
