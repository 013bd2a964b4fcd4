//! What can be wrong with a new password.

/// A rule of the [`PasswordPolicy`](super::PasswordPolicy) that a password breaks.
///
/// The messages are for the person who chose the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordProblem {
    /// Too few characters.
    #[error("must have at least {min_chars} characters")]
    TooShort {
        /// How many it needs.
        min_chars: usize,
    },
    /// More than [`Password::MAX_BYTES`](super::Password::MAX_BYTES).
    #[error("must have at most 1024 bytes")]
    TooLong,
    /// A line end, a tab, U+0000 or another control character.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// On the list of common passwords, as it is, repeated or followed by digits.
    #[error("is too common")]
    Common,
    /// Little else than the username, the e-mail address or a name of the service.
    #[error("is too similar to the username, the e-mail address or the name of the service")]
    Predictable,
    /// In the set of breached passwords.
    #[error("has appeared in a data breach")]
    Breached,
    /// The set of breached passwords gave no answer.
    #[error("cannot be checked now, try again later")]
    Unchecked,
}
