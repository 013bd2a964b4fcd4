//! Stored hashes: of which kind they are, and why one cannot be used.

use super::PasswordHash;
#[cfg(feature = "foreign-hashes")]
use super::foreign::ForeignHash;
use super::params::Ceilings;
use super::phc::Argon2Hash;

/// A stored hash that can be verified, at a cost within the ceilings.
pub(super) enum StoredHash {
    /// One as this library writes them, of whatever parameters.
    Argon2(Argon2Hash),
    /// One of another system.
    #[cfg(feature = "foreign-hashes")]
    Foreign(ForeignHash),
}

impl StoredHash {
    /// Reads a stored string.
    pub(super) fn parse(stored: &PasswordHash, ceilings: Ceilings) -> Result<Self, Unusable> {
        let string = stored.as_stored();
        if string.starts_with(NO_PASSWORD) {
            return Err(Unusable::NoPassword);
        }
        match scheme(string).ok_or(Unusable::Malformed)? {
            "$argon2id" | "$argon2i" | "$argon2d" => {
                Argon2Hash::parse(string, ceilings.argon2).map(Self::Argon2)
            }
            #[cfg(feature = "foreign-hashes")]
            scheme => ForeignHash::parse(scheme, string, ceilings).map(Self::Foreign),
            #[cfg(not(feature = "foreign-hashes"))]
            _ => Err(Unusable::Algorithm),
        }
    }

    /// The hash, if it is one as this library writes them.
    pub(super) const fn own(&self) -> Option<&Argon2Hash> {
        match self {
            Self::Argon2(hash) => Some(hash),
            #[cfg(feature = "foreign-hashes")]
            Self::Foreign(_) => None,
        }
    }
}

/// What Django's `set_unusable_password` begins its strings with.
const NO_PASSWORD: char = '!';

/// What stands before the second `$` of `$2b$...`, or the first of `scrypt$...`.
fn scheme(string: &str) -> Option<&str> {
    let end = string.get(1..)?.find('$')?;
    string.get(..=end)
}

/// Why a stored string cannot be verified; the words are for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("malformed")]
    Malformed,
    #[error("of an unknown algorithm")]
    Algorithm,
    #[error("costlier than the ceilings allow")]
    Cost,
    #[error("made with an unknown pepper")]
    Pepper,
    #[error("marked as no password")]
    NoPassword,
}
