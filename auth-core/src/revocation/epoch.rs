use std::fmt;

/// Counts the changes of what a user's access tokens say: the first tokens are of epoch 0.
///
/// A token names the epoch of the user's row that it was made from. So whether it was made before
/// or after a change needs no clock: tokens of an earlier epoch are refused, and those of the
/// current one are good at once, at every node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenEpoch(u32);

impl TokenEpoch {
    /// The epoch of a new user's tokens.
    pub const FIRST: Self = Self(0);

    /// Wraps a number read from a database or a token.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The epoch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for TokenEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
