//! Passwords: what they may be, and how they are hashed.

use std::fmt;

use zeroize::Zeroizing;

use crate::secret::secret_string;

secret_string! {
    /// A password, as it was typed; wiped when dropped, never shown.
    pub Password
}

/// A stored password hash: a PHC string, or the string of a system whose users were imported.
#[derive(Clone)]
pub struct PasswordHash(Zeroizing<String>);

impl PasswordHash {
    /// Wraps a string read from a database; whether it is a hash shows when it is used.
    #[must_use]
    pub fn from_stored(stored: impl Into<String>) -> Self {
        Self(Zeroizing::new(stored.into()))
    }

    /// The string to store.
    #[must_use]
    pub fn as_stored(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash([redacted])")
    }
}
