//! PBKDF2 (RFC 8018 section 5.2).

use base64::Engine;
use base64::alphabet::Alphabet;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, STANDARD, STANDARD_NO_PAD};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{ForeignCeilings, MAX_OUTPUT_BYTES, MIN_OUTPUT_BYTES, fields, number};
use crate::password::stored::Unusable;

/// The base64 of passlib.
const PASSLIB: GeneralPurpose = {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./";
    match Alphabet::new(digits) {
        Ok(alphabet) => GeneralPurpose::new(&alphabet, NO_PAD),
        Err(_) => panic!("64 different digits"),
    }
};

pub(in crate::password) struct Pbkdf2 {
    digest: Digest,
    iterations: u32,
    salt: Box<[u8]>,
    output: Zeroizing<Vec<u8>>,
}

#[derive(Clone, Copy)]
enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Pbkdf2 {
    /// Reads `pbkdf2_sha256$1000000$salt$output`; the salt is what stands there.
    pub(super) fn parse_django(string: &str, limits: ForeignCeilings) -> Result<Self, Unusable> {
        let [scheme, iterations, salt, output] = fields(string)?;
        let digest = match scheme {
            "pbkdf2_sha256" => Digest::Sha256,
            "pbkdf2_sha1" => Digest::Sha1,
            _ => return Err(Unusable::Algorithm),
        };
        let output = STANDARD.decode(output).map_err(|_| Unusable::Malformed)?;
        if output.len() != digest.bytes() {
            return Err(Unusable::Malformed);
        }
        Self::new(digest, number(iterations)?, salt.as_bytes(), output, limits)
    }

    /// Reads `$pbkdf2-sha256$i=1000000$salt$output`, a PHC string, or `$pbkdf2-sha256$1000000$...`,
    /// passlib's, which has dots in the place of `+`.
    pub(super) fn parse_phc(string: &str, limits: ForeignCeilings) -> Result<Self, Unusable> {
        let ["", scheme, params, salt, output] = fields(string)? else {
            return Err(Unusable::Malformed);
        };
        let digest = match scheme {
            "pbkdf2" | "pbkdf2-sha1" => Digest::Sha1,
            "pbkdf2-sha256" => Digest::Sha256,
            "pbkdf2-sha512" => Digest::Sha512,
            _ => return Err(Unusable::Algorithm),
        };
        let (params, base64) = match params.strip_prefix("i=") {
            Some(params) => (params, &STANDARD_NO_PAD),
            None => (params, &PASSLIB),
        };
        let (iterations, length) = match params.split_once(",l=") {
            Some((iterations, length)) => (iterations, Some(number(length)?)),
            None => (params, None),
        };
        let decode = |text| base64.decode(text).map_err(|_| Unusable::Malformed);
        let (salt, output) = (decode(salt)?, decode(output)?);
        if length.is_some_and(|length| usize::try_from(length) != Ok(output.len())) {
            return Err(Unusable::Malformed);
        }
        Self::new(digest, number(iterations)?, &salt, output, limits)
    }

    fn new(
        digest: Digest,
        iterations: u32,
        salt: &[u8],
        output: Vec<u8>,
        limits: ForeignCeilings,
    ) -> Result<Self, Unusable> {
        let output = Zeroizing::new(output);
        if salt.is_empty() || !(MIN_OUTPUT_BYTES..=MAX_OUTPUT_BYTES).contains(&output.len()) {
            return Err(Unusable::Malformed);
        }
        let blocks = u32::try_from(output.len().div_ceil(digest.bytes())).unwrap_or(u32::MAX);
        if iterations.saturating_mul(blocks) > limits.pbkdf2_iterations {
            return Err(Unusable::Cost);
        }
        Ok(Self {
            digest,
            iterations,
            salt: salt.into(),
            output,
        })
    }

    pub(super) fn is_of(&self, password: &str) -> Choice {
        let hash = match self.digest {
            Digest::Sha1 => pbkdf2_hmac::<Sha1>,
            Digest::Sha256 => pbkdf2_hmac::<Sha256>,
            Digest::Sha512 => pbkdf2_hmac::<Sha512>,
        };
        let mut output = Zeroizing::new(vec![0; self.output.len()]);
        hash(
            password.as_bytes(),
            &self.salt,
            self.iterations,
            &mut output,
        );
        output.ct_eq(&self.output)
    }
}

impl Digest {
    const fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}
