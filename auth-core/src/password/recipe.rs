//! How passwords become hashes: the computation, without the threads.

use argon2::password_hash::phc::Salt;
use argon2::{Algorithm, ParamsBuilder, Version};
use subtle::{Choice, ConstantTimeEq};
use tracing::{debug, warn};
use zeroize::Zeroizing;

use super::compute::compute;
use super::hasher::Verification;
use super::memory::Memory;
use super::params::{Argon2Params, Ceilings};
use super::pepper::{Pepper, PepperKeys};
use super::phc::Argon2Hash;
use super::stored::{StoredHash, Unusable};
use super::{HashError, PasswordHash};

/// The length of new salts.
const SALT_BYTES: usize = 16;
/// The length of new outputs.
pub(super) const OUTPUT_BYTES: usize = 32;

/// What new hashes are made of, and what stored ones may be made of.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) params: Argon2Params,
    pub(super) ceilings: Ceilings,
    pub(super) peppers: PepperKeys,
}

impl Recipe {
    /// Reads a stored string, or writes into the log why that cannot be done.
    pub(super) fn read(&self, stored: &PasswordHash) -> Option<StoredHash> {
        let read = StoredHash::parse(stored, self.ceilings).and_then(|hash| {
            if let Some(own) = hash.own() {
                self.pepper_of(own)?;
            }
            Ok(hash)
        });
        match read {
            Ok(hash) => Some(hash),
            // On purpose, so that nobody needs to be warned.
            Err(Unusable::NoPassword) => {
                debug!("the user has no password");
                None
            }
            Err(reason) => {
                warn!(%reason, "a stored password hash is not usable");
                None
            }
        }
    }

    /// Hashes a password.
    pub(super) fn hash(
        &self,
        memory: &mut Memory,
        password: &str,
    ) -> Result<PasswordHash, HashError> {
        let salt = draw_salt(getrandom::fill)?;
        let mut hash = self.blank(&salt)?;
        hash.output = self.compute(memory, password, &hash)?;
        hash.write().map_err(HashError::failed)
    }

    /// Verifies a password; without a hash to verify it against, at the cost of a current one.
    ///
    /// A hash that was made at less cost than today's costs a current one as well, so that the time never
    /// tells a user who has not logged in since the cost was raised from nobody (S4.2). So does one of
    /// another system, whose cost cannot be compared. Right or wrong makes no difference: a
    /// deactivated user is answered alike.
    pub(super) fn verify(
        &self,
        memory: &mut Memory,
        password: &str,
        stored: Option<StoredHash>,
    ) -> Result<Verification, HashError> {
        let is_usable = stored.is_some();
        let hash = match stored {
            Some(hash) => hash,
            None => StoredHash::Argon2(self.blank(&[0; SALT_BYTES])?),
        };
        let is_equal = bool::from(match &hash {
            StoredHash::Argon2(hash) => self.is_of(memory, password, hash)?,
            #[cfg(feature = "foreign-hashes")]
            StoredHash::Foreign(hash) => {
                hash.is_of(password, |hash| self.is_of(memory, password, hash))?
            }
        });
        if !self.costs_enough(&hash) {
            let current = self.blank(&[0; SALT_BYTES])?;
            std::hint::black_box(self.compute(memory, password, &current)?);
        }
        Ok(match is_usable & is_equal {
            false => Verification::Mismatch,
            true if hash.own().is_some_and(|hash| self.is_current(hash)) => Verification::Match,
            true => Verification::MatchOutdated,
        })
    }

    /// A hash as this recipe makes them, its output not yet computed.
    fn blank(&self, salt: &[u8]) -> Result<Argon2Hash, HashError> {
        let mut params = ParamsBuilder::new();
        params
            .m_cost(self.params.memory_kib())
            .t_cost(self.params.passes())
            .p_cost(self.params.lanes())
            .output_len(OUTPUT_BYTES);
        if let Some(pepper) = self.peppers.current() {
            let id = pepper.id().as_bytes();
            params.keyid(id.try_into().map_err(HashError::failed)?);
        }
        Ok(Argon2Hash {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            params: params.build().map_err(HashError::failed)?,
            salt: Salt::new(salt).map_err(HashError::failed)?,
            output: Zeroizing::new(vec![0; OUTPUT_BYTES]),
        })
    }

    fn is_of(
        &self,
        memory: &mut Memory,
        password: &str,
        hash: &Argon2Hash,
    ) -> Result<Choice, HashError> {
        let output = self.compute(memory, password, hash)?;
        Ok(output.ct_eq(&hash.output))
    }

    fn compute(
        &self,
        memory: &mut Memory,
        password: &str,
        hash: &Argon2Hash,
    ) -> Result<Zeroizing<Vec<u8>>, HashError> {
        let pepper = self.pepper_of(hash).map_err(HashError::failed)?;
        let secret = pepper.map_or(&[][..], Pepper::key);
        let mut output = Zeroizing::new(vec![0; hash.output.len()]);
        compute(memory, hash, secret, password.as_bytes(), &mut output)?;
        Ok(output)
    }

    fn pepper_of(&self, hash: &Argon2Hash) -> Result<Option<&Pepper>, Unusable> {
        match hash.params.keyid() {
            [] => Ok(None),
            id => self.peppers.find(id).map(Some).ok_or(Unusable::Pepper),
        }
    }

    /// Whether a verification fills as much memory, as often, as with the current parameters.
    fn costs_enough(&self, hash: &StoredHash) -> bool {
        let cost = |memory_kib, passes| u64::from(memory_kib) * u64::from(passes);
        let current = cost(self.params.memory_kib(), self.params.passes());
        hash.own()
            .is_some_and(|hash| cost(hash.params.m_cost(), hash.params.t_cost()) >= current)
    }

    fn is_current(&self, hash: &Argon2Hash) -> bool {
        let (params, current_pepper) = (&hash.params, self.peppers.current());
        hash.algorithm == Algorithm::Argon2id
            && hash.version == Version::V0x13
            && params.m_cost() == self.params.memory_kib()
            && params.t_cost() == self.params.passes()
            && params.p_cost() == self.params.lanes()
            && params.keyid() == current_pepper.map_or("", Pepper::id).as_bytes()
            && hash.salt.len() >= SALT_BYTES
            && hash.output.len() == OUTPUT_BYTES
    }
}

/// Draws a salt from the operating system's generator; the source is a parameter for the test.
fn draw_salt<E>(
    fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
) -> Result<[u8; SALT_BYTES], HashError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut salt = [0; SALT_BYTES];
    fill(&mut salt).map_err(HashError::failed)?;
    Ok(salt)
}

#[cfg(test)]
mod tests {
    use super::super::test_support::Log;
    use super::*;

    const PASSWORD: &str = "correct horse battery staple";

    fn pepper(id: &str, byte: u8) -> Pepper {
        Pepper::new(id, [byte; 32]).unwrap()
    }

    fn recipe(peppers: PepperKeys) -> Recipe {
        Recipe {
            params: Argon2Params::insecure_for_tests(),
            ceilings: Ceilings::default(),
            peppers,
        }
    }

    fn plain() -> Recipe {
        recipe(PepperKeys::default())
    }

    fn memory() -> Memory {
        Memory::new(32)
    }

    fn hash(recipe: &Recipe) -> PasswordHash {
        recipe.hash(&mut memory(), PASSWORD).unwrap()
    }

    /// Verifies a password; whatever computes, the outcome is the same.
    fn verify(recipe: &Recipe, password: &str, hash: &PasswordHash) -> Verification {
        let outcome = |mut memory| {
            let stored = recipe.read(hash);
            recipe.verify(&mut memory, password, stored).unwrap()
        };
        let portable = outcome(memory());
        #[cfg(feature = "simd-argon2")]
        assert_eq!(outcome(memory().with_simd()), portable);
        portable
    }

    #[test]
    fn s1_1_a_hash_is_argon2id_with_16_bytes_of_salt_and_32_of_output() {
        let default = Recipe {
            params: Argon2Params::default(),
            ..plain()
        };
        let stored = hash(&default);
        let fields: Vec<_> = stored.as_stored().split('$').collect();
        assert_eq!(fields[..4], ["", "argon2id", "v=19", "m=19456,t=2,p=1"]);
        assert_eq!((fields[4].len(), fields[5].len()), (22, 43));
        assert_eq!(verify(&default, PASSWORD, &stored), Verification::Match);
    }

    #[test]
    fn s1_1_no_two_hashes_have_one_salt() {
        let recipe = plain();
        let salts: std::collections::HashSet<_> = (0..100)
            .map(|_| {
                hash(&recipe)
                    .as_stored()
                    .split('$')
                    .nth(4)
                    .map(str::to_owned)
            })
            .collect();
        assert_eq!(salts.len(), 100);
    }

    #[test]
    fn s1_6_without_random_numbers_there_is_no_hash() {
        let failure = draw_salt(|_| Err("no entropy"));
        assert!(matches!(failure, Err(HashError::Failed(_))));
    }

    /// Made with argon2-cffi 25.1, which wraps the reference implementation.
    #[test]
    fn hashes_of_the_reference_implementation_are_verified() {
        for (stored, outcome) in [
            (
                "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$gYJZtjEAJqjg26xdLmknq8/bB7MiWPrE9hsYuA+SkIU",
                Verification::Match,
            ),
            (
                "$argon2id$v=19$m=1024,t=3,p=4$AAECAwQFBgcICQoLDA0ODw$AKJWSd3f4iLMxeJ0xuAYJDdnVESfcRgtRQhKAg87Xhk",
                Verification::MatchOutdated,
            ),
            (
                "$argon2i$v=19$m=256,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$yWNSXoQ+H3I6DvlC1lgn0yui2Cpro/apNSc2kNmH3OE",
                Verification::MatchOutdated,
            ),
            (
                "$argon2d$v=19$m=256,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$SF7xcbnMYbNETuVcw6X2+9qGb3m59Q/dHv5TZg3tq7E",
                Verification::MatchOutdated,
            ),
            (
                "$argon2i$m=256,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$x9AOn6Jzz+F3giBYLi2VhT1H1yAse4J8UkorzBAmp08",
                Verification::MatchOutdated,
            ),
            (
                "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$ERNvCBi29vikzzsuEI2bUQ",
                Verification::MatchOutdated,
            ),
        ] {
            let recipe = Recipe {
                params: Argon2Params::default(),
                ..plain()
            };
            let stored = PasswordHash::from_stored(stored);
            assert_eq!(
                verify(&recipe, PASSWORD, &stored),
                outcome,
                "{}",
                stored.as_stored()
            );
            assert_eq!(
                verify(&recipe, "correct horse battery stapler", &stored),
                Verification::Mismatch
            );
        }
    }

    /// The output is the reference implementation's for the secret `20 21 .. 3f`.
    #[test]
    fn s1_4_a_pepper_is_the_secret_input_of_argon2() {
        let key: Vec<u8> = (32..64).collect();
        let keys = PepperKeys::default().with_current(Pepper::new("2026", key).unwrap());
        let stored = PasswordHash::from_stored(
            "$argon2id$v=19$m=64,t=1,p=1,keyid=MjAyNg$AAECAwQFBgcICQoLDA0ODw$ooe3ufFwP4jEvu8lNMYLf6z+CWN3SvlDAbV0mPM5iWc",
        );
        let recipe = recipe(keys);
        assert_eq!(
            verify(&recipe, PASSWORD, &stored),
            Verification::MatchOutdated
        );
    }

    #[test]
    fn s1_2_a_hash_of_other_parameters_is_outdated() {
        let old = hash(&plain());
        let raised = Recipe {
            params: Argon2Params::default(),
            ..plain()
        };
        assert_eq!(verify(&raised, PASSWORD, &old), Verification::MatchOutdated);
        assert_eq!(verify(&raised, "wrong", &old), Verification::Mismatch);
    }

    #[test]
    fn s1_4_a_pepper_is_turned_on_rotated_and_off_without_locking_anybody_out() {
        let none = plain();
        let first = recipe(PepperKeys::default().with_current(pepper("a", 1)));
        let second = recipe(
            PepperKeys::default()
                .with_current(pepper("b", 2))
                .add_fallback(pepper("a", 1)),
        );
        let off = recipe(PepperKeys::default().add_fallback(pepper("b", 2)));
        for (before, after) in [(&none, &first), (&first, &second), (&second, &off)] {
            let old = hash(before);
            assert_eq!(verify(before, PASSWORD, &old), Verification::Match);
            assert_eq!(verify(after, PASSWORD, &old), Verification::MatchOutdated);
            assert_eq!(verify(after, "wrong", &old), Verification::Mismatch);
            let new = hash(after);
            assert_eq!(verify(after, PASSWORD, &new), Verification::Match);
        }
    }

    #[test]
    fn s1_4_the_hash_depends_on_the_key_and_not_on_its_id_alone() {
        let ours = recipe(PepperKeys::default().with_current(pepper("a", 1)));
        let theirs = recipe(PepperKeys::default().with_current(pepper("a", 2)));
        assert_eq!(
            verify(&theirs, PASSWORD, &hash(&ours)),
            Verification::Mismatch
        );
    }

    #[test]
    fn s1_4_a_hash_with_an_unknown_pepper_does_not_match() {
        let peppered = recipe(PepperKeys::default().with_current(pepper("a", 1)));
        assert_eq!(
            verify(&plain(), PASSWORD, &hash(&peppered)),
            Verification::Mismatch
        );
    }

    #[test]
    fn s4_2_no_usable_hash_costs_one_computation_with_the_current_parameters() {
        let recipe = plain();
        let unknown_pepper = self::recipe(PepperKeys::default().with_current(pepper("a", 1)));
        for stored in [
            None,
            Some(PasswordHash::from_stored("!")),
            Some(PasswordHash::from_stored("pbkdf2_sha256$1000$salt$hash")),
            Some(hash(&unknown_pepper)),
        ] {
            let mut memory = memory();
            let stored = stored.and_then(|stored| recipe.read(&stored));
            let outcome = recipe.verify(&mut memory, PASSWORD, stored).unwrap();
            assert_eq!(outcome, Verification::Mismatch);
            assert_eq!(memory.filled(), 32);
        }
    }

    #[test]
    fn s4_2_an_outdated_hash_never_costs_less_than_a_current_one() {
        let old = plain();
        let stored = hash(&old);
        let raised = Recipe {
            params: Argon2Params::default(),
            ..plain()
        };
        let current = 19_456;
        for password in [PASSWORD, "wrong"] {
            let mut memory = Memory::new(current);
            let stored = raised.read(&stored);
            let _ = raised.verify(&mut memory, password, stored).unwrap();
            assert_eq!(memory.filled(), current, "{password}");
        }
        // One that costs more than a current one costs nothing beside.
        let costly = hash(&raised);
        let mut memory = Memory::new(32);
        let stored = old.read(&costly);
        let _ = old.verify(&mut memory, "wrong", stored).unwrap();
        assert_eq!(
            memory.filled(),
            0,
            "the block of another size is fetched for it alone"
        );
    }

    #[cfg(feature = "foreign-hashes")]
    #[test]
    fn s4_2_a_hash_of_another_system_never_costs_less_than_a_current_one() {
        let recipe = plain();
        let stored = "pbkdf2_sha256$1000$seasalt$eqzXM4cI1KNAYzK5NLsX7Y1chtNYi51YpnxDdpDx8Lg=";
        let mut memory = memory();
        let stored = recipe.read(&PasswordHash::from_stored(stored));
        assert!(stored.is_some());
        let _ = recipe.verify(&mut memory, "wrong", stored).unwrap();
        assert_eq!(memory.filled(), 32);
    }

    #[test]
    fn s1_3_an_unusable_hash_is_logged_without_a_character_of_it() {
        let recipe = plain();
        let good = hash(&recipe);
        for (stored, reason) in [
            ("canary".to_owned(), "malformed"),
            (
                "$canary$AAECAwQFBgcICQoLDA0ODw".to_owned(),
                "unknown algorithm",
            ),
            (good.as_stored().replace("m=32", "m=999999"), "ceilings"),
            (
                good.as_stored().replace("p=1", "p=1,keyid=Y2FuYXJ5"),
                "unknown pepper",
            ),
        ] {
            let (log, _guard) = Log::capture();
            assert!(
                recipe
                    .read(&PasswordHash::from_stored(stored.as_str()))
                    .is_none()
            );
            let text = log.text();
            assert!(text.contains("WARN") && text.contains(reason), "{text}");
            let secrets = ["canary", "Y2FuYXJ5", "999999", "AAECAwQF"];
            assert!(
                !secrets.iter().any(|secret| text.contains(secret)),
                "{text}"
            );
        }
        let (log, _guard) = Log::capture();
        assert!(recipe.read(&good).is_some());
        assert_eq!(log.text(), "");
        assert!(recipe.read(&PasswordHash::from_stored("!canary")).is_none());
        assert!(
            !log.text().contains("WARN"),
            "who has no password on purpose"
        );
    }

    #[test]
    fn s2_4_no_byte_of_a_password_is_ignored() {
        let recipe = plain();
        let long = "x".repeat(200);
        let stored = recipe.hash(&mut memory(), &long).unwrap();
        assert_eq!(verify(&recipe, &long, &stored), Verification::Match);
        for position in [0, 72, 99, 199] {
            let mut changed = long.clone();
            changed.replace_range(position..=position, "y");
            assert_eq!(verify(&recipe, &changed, &stored), Verification::Mismatch);
        }
        for changed in [
            &long[1..],
            &long[..199],
            &format!("{long} "),
            &format!(" {long}"),
        ] {
            assert_eq!(verify(&recipe, changed, &stored), Verification::Mismatch);
        }
    }

    #[test]
    fn s2_5_a_password_is_not_cut_at_a_nul() {
        let recipe = plain();
        let stored = recipe.hash(&mut memory(), "before\0after").unwrap();
        assert_eq!(
            verify(&recipe, "before\0after", &stored),
            Verification::Match
        );
        for changed in ["before", "before\0", "before\0other"] {
            assert_eq!(verify(&recipe, changed, &stored), Verification::Mismatch);
        }
    }

    #[test]
    fn s1_5_the_output_is_compared_as_a_whole() {
        let recipe = plain();
        let stored = hash(&recipe);
        let read = || Argon2Hash::parse(stored.as_stored(), recipe.ceilings.argon2);
        for index in 0..OUTPUT_BYTES {
            let mut tampered = read().ok().unwrap();
            tampered.output[index] ^= 1;
            let tampered = tampered.write().unwrap();
            assert_eq!(verify(&recipe, PASSWORD, &tampered), Verification::Mismatch);
        }
    }
}
