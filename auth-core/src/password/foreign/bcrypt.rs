//! bcrypt, of the password or of its digest.

use bcrypt::HashParts;
use sha2::{Digest, Sha256};
use subtle::Choice;
use zeroize::Zeroizing;

use super::{ForeignCeilings, number};
use crate::password::HashError;
use crate::password::stored::Unusable;

pub(in crate::password) struct Bcrypt {
    input: Input,
    string: Zeroizing<Box<str>>,
}

/// What is hashed.
#[derive(Clone, Copy)]
enum Input {
    /// The first 72 bytes of the password: bcrypt has room for no more.
    Password,
    /// Its SHA-256 in lower-case hexadecimal digits, so that every byte counts.
    Digest,
}

impl Bcrypt {
    const MIN_COST: u32 = 4;

    /// Reads `$2b$12$...`, and `2a` and `2y`, which are the same to whoever has not had the bugs that
    /// they tell apart. `2x` marks hashes that were made with one.
    pub(super) fn parse(string: &str, limits: ForeignCeilings) -> Result<Self, Unusable> {
        Self::new(Input::Password, string, limits)
    }

    /// Reads `bcrypt$$2b$12$...` and `bcrypt_sha256$$2b$12$...`.
    pub(super) fn parse_django(string: &str, limits: ForeignCeilings) -> Result<Self, Unusable> {
        let (input, string) = match string.split_once('$') {
            Some(("bcrypt", rest)) => (Input::Password, rest),
            Some(("bcrypt_sha256", rest)) => (Input::Digest, rest),
            _ => return Err(Unusable::Algorithm),
        };
        Self::new(input, string, limits)
    }

    fn new(input: Input, string: &str, limits: ForeignCeilings) -> Result<Self, Unusable> {
        let rest = ["$2a$", "$2b$", "$2y$"]
            .iter()
            .find_map(|version| string.strip_prefix(version))
            .ok_or(Unusable::Algorithm)?;
        let digits = rest.get(..2).ok_or(Unusable::Malformed)?;
        let cost = number(digits.strip_prefix('0').unwrap_or(digits))?;
        if cost < Self::MIN_COST || string.parse::<HashParts>().is_err() {
            return Err(Unusable::Malformed);
        }
        if cost > limits.bcrypt_cost {
            return Err(Unusable::Cost);
        }
        let string = Zeroizing::new(string.into());
        Ok(Self { input, string })
    }

    pub(super) fn is_of(&self, password: &str) -> Result<Choice, HashError> {
        let is_equal = match self.input {
            Input::Password => bcrypt::verify(password, &self.string),
            Input::Digest => {
                let digest = Sha256::digest(password);
                let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
                let digits = Zeroizing::new(digits.collect::<String>());
                bcrypt::verify(digits.as_bytes(), &self.string)
            }
        };
        let is_equal = is_equal.map_err(HashError::failed)?;
        Ok(Choice::from(u8::from(is_equal)))
    }
}
