//! Hashes of other systems, for users who were imported: verified, never made.
//!
//! A password is verified as it was typed and not in its NFC, since other systems hash it so.

mod bcrypt;
mod ceilings;
mod pbkdf2;
mod scrypt;

use subtle::Choice;

use self::bcrypt::Bcrypt;
use self::pbkdf2::Pbkdf2;
use self::scrypt::Scrypt;
use super::HashError;
use super::params::Ceilings;
use super::phc::Argon2Hash;
use super::stored::Unusable;

pub use self::ceilings::ForeignCeilings;

/// The longest string that is looked at, in bytes; Django's column has room for 128 characters.
const MAX_STRING_BYTES: usize = 512;
/// The shortest output, in bytes: a short one is matched by chance, and an empty one by anything.
const MIN_OUTPUT_BYTES: usize = 16;
/// The longest output, in bytes.
const MAX_OUTPUT_BYTES: usize = 64;

/// A hash of another system that can be verified, at a cost within the ceilings.
pub(super) enum ForeignHash {
    Argon2(Argon2Hash),
    Pbkdf2(Pbkdf2),
    Scrypt(Scrypt),
    Bcrypt(Bcrypt),
}

impl ForeignHash {
    /// Reads a string of this scheme, which is what it begins with.
    pub(super) fn parse(scheme: &str, string: &str, ceilings: Ceilings) -> Result<Self, Unusable> {
        if string.len() > MAX_STRING_BYTES {
            return Err(Unusable::Malformed);
        }
        let limits = ceilings.foreign;
        match scheme {
            "pbkdf2_sha256" | "pbkdf2_sha1" => {
                Pbkdf2::parse_django(string, limits).map(Self::Pbkdf2)
            }
            "$pbkdf2" | "$pbkdf2-sha1" | "$pbkdf2-sha256" | "$pbkdf2-sha512" => {
                Pbkdf2::parse_phc(string, limits).map(Self::Pbkdf2)
            }
            "scrypt" => Scrypt::parse_django(string, limits).map(Self::Scrypt),
            "$scrypt" => Scrypt::parse_phc(string, limits).map(Self::Scrypt),
            "$2a" | "$2b" | "$2y" => Bcrypt::parse(string, limits).map(Self::Bcrypt),
            "bcrypt" | "bcrypt_sha256" => Bcrypt::parse_django(string, limits).map(Self::Bcrypt),
            "argon2" => {
                let (_, rest) = string.split_at(scheme.len());
                let hash = Argon2Hash::parse(rest, ceilings.argon2)?;
                // Peppers are this library's own.
                match hash.params.keyid() {
                    [] => Ok(Self::Argon2(hash)),
                    _ => Err(Unusable::Pepper),
                }
            }
            _ => Err(Unusable::Algorithm),
        }
    }

    /// Whether the hash is of this password; Argon2 is computed by the caller, who has its memory.
    ///
    /// A password with a NUL never matches, although it costs the same: bcrypt may end there, and
    /// PBKDF2 does not tell a password from the same with a NUL behind it. Forms take none.
    pub(super) fn is_of(
        &self,
        password: &str,
        argon2: impl FnOnce(&Argon2Hash) -> Result<Choice, HashError>,
    ) -> Result<Choice, HashError> {
        let is_equal = match self {
            Self::Argon2(hash) => argon2(hash)?,
            Self::Pbkdf2(hash) => hash.is_of(password),
            Self::Scrypt(hash) => hash.is_of(password)?,
            Self::Bcrypt(hash) => hash.is_of(password)?,
        };
        let has_nul = password.bytes().any(|byte| byte == 0);
        Ok(is_equal & !Choice::from(u8::from(has_nul)))
    }
}

/// Splits a string at each `$` into exactly so many fields.
fn fields<const COUNT: usize>(string: &str) -> Result<[&str; COUNT], Unusable> {
    let fields: Vec<_> = string.splitn(COUNT + 1, '$').collect();
    fields.try_into().map_err(|_| Unusable::Malformed)
}

/// Reads a number of digits only, without zeros before it.
fn number(text: &str) -> Result<u32, Unusable> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    match text.parse() {
        Ok(number) if is_plain => Ok(number),
        _ => Err(Unusable::Malformed),
    }
}

#[cfg(test)]
mod tests;
