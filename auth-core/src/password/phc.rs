//! Hashes of Argon2, read and written as PHC strings.

use argon2::password_hash::phc;
use argon2::{Algorithm, Params, Version};
use zeroize::Zeroizing;

use super::PasswordHash;
use super::params::Argon2Ceilings;
use super::stored::Unusable;

/// A hash of Argon2 that can be verified, at a cost within the ceilings.
///
/// The lengths of salt and output are limited by the `phc` crate: 8 to 48 and 10 to 64 bytes.
pub(super) struct Argon2Hash {
    pub(super) algorithm: Algorithm,
    pub(super) version: Version,
    pub(super) params: Params,
    pub(super) salt: phc::Salt,
    pub(super) output: Zeroizing<Vec<u8>>,
}

impl Argon2Hash {
    /// Reads a PHC string.
    pub(super) fn parse(string: &str, ceilings: Argon2Ceilings) -> Result<Self, Unusable> {
        let parsed = phc::PasswordHash::new(string).map_err(|_| Unusable::Malformed)?;
        let algorithm = Algorithm::new(parsed.algorithm).map_err(|_| Unusable::Algorithm)?;
        // The reference implementation writes no version into the strings of the first one.
        let version = parsed.version.unwrap_or(Version::V0x10.into());
        let version = Version::try_from(version).map_err(|_| Unusable::Algorithm)?;
        if ["m", "t", "p"]
            .iter()
            .any(|name| parsed.params.get(*name).is_none())
        {
            return Err(Unusable::Malformed);
        }
        let params = Params::try_from(&parsed).map_err(|_| Unusable::Malformed)?;
        if params.m_cost() > ceilings.memory_kib
            || params.t_cost() > ceilings.passes
            || params.p_cost() > ceilings.lanes
        {
            return Err(Unusable::Cost);
        }
        let (Some(salt), Some(output)) = (parsed.salt, parsed.hash) else {
            return Err(Unusable::Malformed);
        };
        Ok(Self {
            algorithm,
            version,
            params,
            salt,
            output: Zeroizing::new(output.as_bytes().to_vec()),
        })
    }

    /// Writes the string to store.
    pub(super) fn write(&self) -> Result<PasswordHash, argon2::password_hash::Error> {
        let output = phc::Output::new(&self.output)?;
        let (algorithm, version) = (self.algorithm, u32::from(self.version));
        let (params, salt) = (&self.params, &self.salt);
        let string = format!("${algorithm}$v={version}${params}${salt}${output}");
        Ok(PasswordHash::from_stored(string))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: &str = "AAECAwQFBgcICQoLDA0ODw";
    const OUTPUT: &str = "gYJZtjEAJqjg26xdLmknq8/b7BmiWPrE9hsYuA+SkIU";

    fn parse(string: &str) -> Result<Argon2Hash, Unusable> {
        Argon2Hash::parse(string, Argon2Ceilings::new(1024, 4, 4))
    }

    #[test]
    fn what_was_read_is_written_as_it_was() {
        for params in ["m=1024,t=4,p=4", "m=32,t=1,p=1,keyid=MjAyNg"] {
            let string = format!("$argon2id$v=19${params}${SALT}${OUTPUT}");
            let written = parse(&string).ok().unwrap().write().unwrap();
            assert_eq!(written.as_stored(), string);
        }
    }

    #[test]
    fn a_string_without_a_version_is_of_the_first_version() {
        let string = format!("$argon2i$m=32,t=1,p=1${SALT}${OUTPUT}");
        assert_eq!(parse(&string).ok().unwrap().version, Version::V0x10);
    }

    #[test]
    fn s1_3_what_is_no_hash_is_refused() {
        let long = "A".repeat(1 << 20);
        for (string, reason) in [
            (String::new(), Unusable::Malformed),
            ("!".into(), Unusable::Malformed),
            ("plain text".into(), Unusable::Malformed),
            ("$".into(), Unusable::Malformed),
            ("$argon2id".into(), Unusable::Malformed),
            (
                format!("$argon2id$v=19$m=32,t=1,p=1${SALT}"),
                Unusable::Malformed,
            ),
            (
                format!("$argon2id$v=19${SALT}${OUTPUT}"),
                Unusable::Malformed,
            ),
            (
                format!("$argon2id$v=19$m=32,t=1${SALT}${OUTPUT}"),
                Unusable::Malformed,
            ),
            (
                format!("$argon2id$v=19$m=7,t=1,p=1${SALT}${OUTPUT}"),
                Unusable::Malformed,
            ),
            (
                format!("$argon2id$v=19$m=32,t=0,p=1${SALT}${OUTPUT}"),
                Unusable::Malformed,
            ),
            (
                format!("$argon2id$v=19$m=32,t=1,p=0${SALT}${OUTPUT}"),
                Unusable::Malformed,
            ),
            (
                format!("$argon2id$v=19$m=-1,t=1,p=1${SALT}${OUTPUT}"),
                Unusable::Malformed,
            ),
            (
                format!("$argon2id$v=19$m=32,t=1,p=1$AAECAwQ${OUTPUT}"),
                Unusable::Malformed,
            ),
            (
                format!("$argon2id$v=19$m=32,t=1,p=1${SALT}$AAECAwQ"),
                Unusable::Malformed,
            ),
            (
                format!("$argon2id$v=19$m=32,t=1,p=1${SALT}${OUTPUT}$x"),
                Unusable::Malformed,
            ),
            (
                format!("$argon2id$v=19$m=32,t=1,p=1${SALT}${OUTPUT}="),
                Unusable::Malformed,
            ),
            (
                format!("$argon2id$v=19$m=32,t=1,p=1${SALT}${long}"),
                Unusable::Malformed,
            ),
            (
                format!("$argon2id$v=19$m=32,t=1,p=1${long}${OUTPUT}"),
                Unusable::Malformed,
            ),
            (
                format!("$argon2id$v=99$m=32,t=1,p=1${SALT}${OUTPUT}"),
                Unusable::Algorithm,
            ),
            (
                format!("$scrypt$ln=1,r=8,p=1${SALT}${OUTPUT}"),
                Unusable::Algorithm,
            ),
        ] {
            assert_eq!(parse(&string).err(), Some(reason), "{string:.99}");
        }
    }

    #[test]
    fn s1_3_what_costs_more_than_the_ceilings_is_refused() {
        assert!(parse(&format!("$argon2id$v=19$m=1024,t=4,p=4${SALT}${OUTPUT}")).is_ok());
        for params in [
            "m=1025,t=1,p=1",
            "m=32,t=5,p=1",
            "m=1024,t=1,p=5",
            "m=4294967295,t=4294967295,p=16777215",
        ] {
            let string = format!("$argon2id$v=19${params}${SALT}${OUTPUT}");
            assert_eq!(parse(&string).err(), Some(Unusable::Cost), "{params}");
        }
    }

    proptest! {
        #[test]
        fn s1_3_no_string_panics(
            string in "(\\$?argon2(id|i|d)?)?(\\$v=[0-9]{0,9})?(\\$[mtp]=[0-9]{0,11},?){0,3}\\PC{0,80}"
        ) {
            let _ = parse(&string);
        }
    }
}
