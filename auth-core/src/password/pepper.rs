//! Peppers: keys that hashes depend on and that the database does not hold.

use std::fmt;

use zeroize::Zeroizing;

/// A key that new hashes depend on, kept outside of the database.
///
/// It goes into Argon2 as its secret input (RFC 9106 section 3.1, `K`); its id stands beside the
/// hash, as the parameter `keyid` of the PHC string. Who steals the database alone cannot guess
/// passwords; who loses the key has lost all passwords.
#[derive(Clone)]
pub struct Pepper {
    id: Box<str>,
    key: Zeroizing<Vec<u8>>,
}

impl Pepper {
    /// The longest id, in bytes: what the format of the hashes has room for.
    pub const MAX_ID_BYTES: usize = 8;
    /// The shortest key, in bytes.
    pub const MIN_KEY_BYTES: usize = 32;

    /// Takes a key and the name it is known by.
    ///
    /// # Errors
    ///
    /// - [`PepperError::Id`] if the id is not 1 to 8 of ASCII letters, digits, `-` and `_`;
    /// - [`PepperError::Key`] if the key has fewer than 32 bytes.
    pub fn new(id: &str, key: impl Into<Vec<u8>>) -> Result<Self, PepperError> {
        let key = Zeroizing::new(key.into());
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if id.is_empty() || id.len() > Self::MAX_ID_BYTES || !id.bytes().all(allowed) {
            return Err(PepperError::Id);
        }
        if key.len() < Self::MIN_KEY_BYTES {
            return Err(PepperError::Key);
        }
        Ok(Self { id: id.into(), key })
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pepper")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why a string is no pepper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PepperError {
    /// The id has a form that a stored hash cannot carry.
    #[error("the id of a pepper must have 1 to 8 of ASCII letters, digits, - and _")]
    Id,
    /// The key can be guessed.
    #[error("the key of a pepper must have at least 32 bytes")]
    Key,
}

/// The pepper of new hashes, and those that earlier hashes may still need.
///
/// Without any, which is the default, hashes depend on the database alone. To turn a pepper on,
/// make it the current one; to rotate it, make the old one a fallback; to turn it off, leave it
/// as a fallback and have no current one. Nobody is locked out: a hash made with another
/// pepper than the current one, or with none, is verified as
/// [`MatchOutdated`](super::Verification::MatchOutdated), and so replaced at the next login.
///
/// ```
/// use auth_core::PasswordHasher;
/// use auth_core::password::{Pepper, PepperKeys};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (old, new) = ([1; 32], [2; 32]);
/// let peppers = PepperKeys::default()
///     .with_current(Pepper::new("2027", new)?)
///     .add_fallback(Pepper::new("2026", old)?);
/// let hasher = PasswordHasher::builder().with_peppers(peppers).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct PepperKeys {
    current: Option<Pepper>,
    fallbacks: Vec<Pepper>,
}

impl PepperKeys {
    /// Makes new hashes depend on this key.
    #[must_use]
    pub fn with_current(mut self, pepper: Pepper) -> Self {
        self.current = Some(pepper);
        self
    }

    /// Adds a key that hashes were made with before.
    #[must_use]
    pub fn add_fallback(mut self, pepper: Pepper) -> Self {
        self.fallbacks.push(pepper);
        self
    }

    pub(super) const fn current(&self) -> Option<&Pepper> {
        self.current.as_ref()
    }

    pub(super) fn find(&self, id: &[u8]) -> Option<&Pepper> {
        self.all().find(|pepper| pepper.id.as_bytes() == id)
    }

    pub(super) fn repeated_id(&self) -> Option<&str> {
        self.all()
            .enumerate()
            .find(|(index, pepper)| self.all().take(*index).any(|other| other.id == pepper.id))
            .map(|(_, pepper)| pepper.id())
    }

    fn all(&self) -> impl Iterator<Item = &Pepper> {
        self.current.iter().chain(&self.fallbacks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_4_a_pepper_has_a_short_id_and_a_long_key() {
        assert!(Pepper::new("2026-A_1", [7; 32]).is_ok());
        for id in ["", "123456789", "a b", "ä", "a$b", "a,b"] {
            assert_eq!(Pepper::new(id, [7; 32]).err(), Some(PepperError::Id));
        }
        assert_eq!(Pepper::new("a", [7; 31]).err(), Some(PepperError::Key));
    }

    #[test]
    fn s13_3_debug_shows_the_id_but_not_the_key() {
        let pepper = Pepper::new("2026", *b"canarycanarycanarycanarycanary!!").unwrap();
        let keys = PepperKeys::default().with_current(pepper);
        let shown = format!("{keys:?} {keys:#?}");
        assert!(shown.contains("2026"));
        assert!(
            !shown.contains("canary") && !shown.contains("99, 97"),
            "{shown}"
        );
    }
}
