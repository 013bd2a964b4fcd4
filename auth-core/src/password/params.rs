//! What a hash costs.

use std::fmt;
use std::str::FromStr;

/// The cost of new password hashes: Argon2id with this memory, these passes, these lanes.
///
/// The default is `m=19456,t=2,p=1`. Nothing weaker than one of the equivalent settings of the
/// [OWASP cheat sheet] is accepted: 47104 KiB with 1 pass, 19456 with 2, 12288 with 3, 9216 with
/// 4, or 7168 with 5.
///
/// ```
/// use auth_core::Argon2Params;
///
/// let params: Argon2Params = "m=47104,t=1,p=1".parse()?;
/// assert_eq!(params.memory_kib(), 47104);
/// assert!("m=19456,t=1,p=1".parse::<Argon2Params>().is_err());
/// # Ok::<(), auth_core::password::Argon2ParamsError>(())
/// ```
///
/// [OWASP cheat sheet]: https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Argon2Params {
    /// The most memory that can be asked for: 1 GiB.
    pub const MAX_MEMORY_KIB: u32 = 1024 * 1024;
    /// The most passes that can be asked for.
    pub const MAX_PASSES: u32 = 64;
    /// The most lanes that can be asked for.
    pub const MAX_LANES: u32 = 64;

    /// Memory in KiB and passes of equal strength, by OWASP.
    const EQUIVALENTS: [(u32, u32); 5] = [(47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5)];

    /// Takes memory (`m`, in KiB), passes (`t`) and lanes (`p`).
    ///
    /// The lanes of one hash are computed one after the other: more of them cost nobody more.
    ///
    /// # Errors
    ///
    /// - [`Argon2ParamsError::TooWeak`] below what OWASP recommends;
    /// - [`Argon2ParamsError::TooStrong`] above the ceilings of this type.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, Argon2ParamsError> {
        let strong_enough = lanes >= 1
            && Self::EQUIVALENTS
                .iter()
                .any(|&(m, t)| memory_kib >= m && passes >= t);
        if !strong_enough {
            return Err(Argon2ParamsError::TooWeak);
        }
        if memory_kib > Self::MAX_MEMORY_KIB || passes > Self::MAX_PASSES || lanes > Self::MAX_LANES
        {
            return Err(Argon2ParamsError::TooStrong);
        }
        Ok(Self {
            memory_kib,
            passes,
            lanes,
        })
    }

    /// Parameters that protect nothing, so that a test does not spend its time on hashing.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub const fn insecure_for_tests() -> Self {
        Self {
            memory_kib: 32,
            passes: 1,
            lanes: 1,
        }
    }

    /// The memory, in KiB.
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// The passes over the memory.
    #[must_use]
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// The lanes.
    #[must_use]
    pub const fn lanes(self) -> u32 {
        self.lanes
    }
}

impl Default for Argon2Params {
    fn default() -> Self {
        Self {
            memory_kib: 19456,
            passes: 2,
            lanes: 1,
        }
    }
}

/// Reads `m=19456,t=2,p=1`, in this order, as a stored hash writes it.
impl FromStr for Argon2Params {
    type Err = Argon2ParamsError;

    fn from_str(text: &str) -> Result<Self, Argon2ParamsError> {
        let mut fields = text.split(',');
        let mut field = |name: &str| {
            fields
                .next()
                .and_then(|field| field.strip_prefix(name)?.strip_prefix('='))
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .ok_or(Argon2ParamsError::Syntax)
        };
        let (memory_kib, passes, lanes) = (field("m")?, field("t")?, field("p")?);
        if fields.next().is_some() {
            return Err(Argon2ParamsError::Syntax);
        }
        Self::new(memory_kib, passes, lanes)
    }
}

impl fmt::Display for Argon2Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "m={},t={},p={}",
            self.memory_kib, self.passes, self.lanes
        )
    }
}

/// Why parameters are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Argon2ParamsError {
    /// Not of the form `m=19456,t=2,p=1`.
    #[error("Argon2 parameters must have the form m=19456,t=2,p=1")]
    Syntax,
    /// Below what OWASP recommends.
    #[error(
        "Argon2 parameters are too weak: at least m=19456,t=2,p=1 or m=47104,t=1 or m=12288,t=3 \
         or m=9216,t=4 or m=7168,t=5"
    )]
    TooWeak,
    /// Above the ceilings of [`Argon2Params`].
    #[error("Argon2 parameters are too strong: at most m=1048576,t=64,p=64")]
    TooStrong,
}

/// The most that a *stored* hash may cost to verify.
///
/// Who can write a row of the database shall not be able to make the service allocate or compute
/// what the row asks for. The default, 256 MiB, 16 passes and 16 lanes, leaves room for the hashes
/// of other systems. What new hashes cost is always allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Ceilings {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

impl Argon2Ceilings {
    /// Takes memory (`m`, in KiB), passes (`t`) and lanes (`p`).
    #[must_use]
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Self {
        Self {
            memory_kib,
            passes,
            lanes,
        }
    }

    pub(super) fn raised_to(self, params: Argon2Params) -> Self {
        Self {
            memory_kib: self.memory_kib.max(params.memory_kib),
            passes: self.passes.max(params.passes),
            lanes: self.lanes.max(params.lanes),
        }
    }
}

impl Default for Argon2Ceilings {
    fn default() -> Self {
        Self::new(256 * 1024, 16, 16)
    }
}

/// What stored hashes of each kind may cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ceilings {
    pub(super) argon2: Argon2Ceilings,
    #[cfg(feature = "foreign-hashes")]
    pub(super) foreign: super::ForeignCeilings,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Argon2Params, Argon2ParamsError> {
        text.parse()
    }

    #[test]
    fn s1_1_the_default_is_the_recommendation_of_owasp() {
        assert_eq!(Argon2Params::default().to_string(), "m=19456,t=2,p=1");
        assert_eq!(parse("m=19456,t=2,p=1"), Ok(Argon2Params::default()));
    }

    #[test]
    fn s1_1_the_equivalent_settings_are_accepted_and_weaker_ones_are_refused() {
        for (m, t) in Argon2Params::EQUIVALENTS {
            assert!(Argon2Params::new(m, t, 1).is_ok());
            assert!(Argon2Params::new(m + 1, t + 1, 4).is_ok());
            let weaker = [(m - 1, t, 1), (m, t - 1, 1), (m, t, 0)];
            for (m, t, p) in weaker {
                assert_eq!(
                    Argon2Params::new(m, t, p),
                    Err(Argon2ParamsError::TooWeak),
                    "m={m},t={t},p={p}"
                );
            }
        }
    }

    #[test]
    fn s1_3_settings_above_the_ceilings_are_refused() {
        assert!(parse("m=1048576,t=64,p=64").is_ok());
        for text in [
            "m=1048577,t=2,p=1",
            "m=19456,t=65,p=1",
            "m=19456,t=2,p=65",
            "m=4294967295,t=4294967295,p=4294967295",
        ] {
            assert_eq!(parse(text), Err(Argon2ParamsError::TooStrong), "{text}");
        }
    }

    #[test]
    fn what_is_not_three_numbers_is_refused() {
        for text in [
            "",
            "m=19456",
            "m=19456,t=2",
            "m=19456,t=2,p=1,",
            "m=19456,t=2,p=1,keyid=AAAA",
            "t=2,m=19456,p=1",
            "m=19456, t=2, p=1",
            "m=+19456,t=2,p=1",
            "m=,t=2,p=1",
            "m=99999999999,t=2,p=1",
            "19456,2,1",
        ] {
            assert_eq!(parse(text), Err(Argon2ParamsError::Syntax), "{text:?}");
        }
    }
}
