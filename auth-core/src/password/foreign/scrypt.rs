//! scrypt (RFC 7914).

use argon2::password_hash::phc;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use scrypt::{Params, scrypt};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{ForeignCeilings, MAX_OUTPUT_BYTES, MIN_OUTPUT_BYTES, fields, number};
use crate::password::HashError;
use crate::password::stored::Unusable;

pub(in crate::password) struct Scrypt {
    params: Params,
    memory: usize,
    salt: Box<[u8]>,
    output: Zeroizing<Vec<u8>>,
}

impl Scrypt {
    /// Reads `scrypt$16384$salt$8$5$output`: `N`, the salt as it stands there, `r` and `p`.
    pub(super) fn parse_django(string: &str, limits: ForeignCeilings) -> Result<Self, Unusable> {
        let [_, n, salt, r, p, output] = fields(string)?;
        let n = number(n)?;
        let log_n = n.checked_ilog2().filter(|_| n.is_power_of_two());
        let log_n = log_n.ok_or(Unusable::Malformed)?;
        let output = STANDARD.decode(output).map_err(|_| Unusable::Malformed)?;
        let salt = salt.as_bytes();
        Self::new(log_n, number(r)?, number(p)?, salt, &output, limits)
    }

    /// Reads `$scrypt$ln=14,r=8,p=5$salt$output`, a PHC string.
    pub(super) fn parse_phc(string: &str, limits: ForeignCeilings) -> Result<Self, Unusable> {
        let parsed = phc::PasswordHash::new(string).map_err(|_| Unusable::Malformed)?;
        if parsed.version.is_some() || parsed.params.iter().count() != 3 {
            return Err(Unusable::Malformed);
        }
        let param = |name| parsed.params.get_decimal(name).ok_or(Unusable::Malformed);
        let (Some(salt), Some(output)) = (&parsed.salt, &parsed.hash) else {
            return Err(Unusable::Malformed);
        };
        let (log_n, r, p) = (param("ln")?, param("r")?, param("p")?);
        Self::new(log_n, r, p, salt, output.as_bytes(), limits)
    }

    fn new(
        log_n: u32,
        r: u32,
        p: u32,
        salt: &[u8],
        output: &[u8],
        limits: ForeignCeilings,
    ) -> Result<Self, Unusable> {
        let output = Zeroizing::new(output.to_vec());
        // The library multiplies r and p without a look at what comes of it.
        let is_valid = log_n > 0 && r > 0 && p > 0 && r.checked_mul(p).is_some();
        if !is_valid
            || salt.is_empty()
            || !(MIN_OUTPUT_BYTES..=MAX_OUTPUT_BYTES).contains(&output.len())
        {
            return Err(Unusable::Malformed);
        }
        let n = 1_u128.checked_shl(log_n).ok_or(Unusable::Cost)?;
        let (block, p_wide) = (128 * u128::from(r), u128::from(p));
        let memory = block.saturating_mul(n.saturating_add(p_wide + 1));
        let work = block.saturating_mul(n).saturating_mul(p_wide);
        if memory > 1024 * u128::from(limits.scrypt_memory_kib)
            || work > 1024 * u128::from(limits.scrypt_work_kib)
        {
            return Err(Unusable::Cost);
        }
        let log_n = u8::try_from(log_n).map_err(|_| Unusable::Cost)?;
        Ok(Self {
            params: Params::new(log_n, r, p).map_err(|_| Unusable::Malformed)?,
            memory: usize::try_from(memory).map_err(|_| Unusable::Cost)?,
            salt: salt.into(),
            output,
        })
    }

    pub(super) fn is_of(&self, password: &str) -> Result<Choice, HashError> {
        // The library would end the process if there were no memory; so it is asked for before. The
        // compiler may take a request that nobody sees for granted.
        let mut probe = Vec::<u8>::new();
        probe
            .try_reserve_exact(self.memory)
            .map_err(HashError::failed)?;
        drop(std::hint::black_box(probe));
        let mut output = Zeroizing::new(vec![0; self.output.len()]);
        let password = password.as_bytes();
        scrypt(password, &self.salt, &self.params, &mut output).map_err(HashError::failed)?;
        Ok(output.ct_eq(&self.output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_3_memory_that_does_not_exist_is_an_error_and_no_abort() {
        let string = "$scrypt$ln=1,r=1,p=1$c2FsdHNhbHQ$AAECAwQFBgcICQoLDA0ODw";
        let mut hash = Scrypt::parse_phc(string, ForeignCeilings::default())
            .ok()
            .unwrap();
        assert!(hash.is_of("any").is_ok());
        hash.memory = usize::MAX;
        assert!(hash.is_of("any").is_err());
    }

    #[test]
    fn s1_3_parameters_that_overflow_are_refused_whatever_the_ceilings() {
        let limits = ForeignCeilings::default()
            .with_scrypt_memory_kib(u32::MAX)
            .with_scrypt_work_kib(u32::MAX);
        let string = "$scrypt$ln=1,r=131072,p=131072$c2FsdHNhbHQ$AAECAwQFBgcICQoLDA0ODw";
        let refused = Scrypt::parse_phc(string, limits).err();
        assert_eq!(refused, Some(Unusable::Malformed));
    }
}
