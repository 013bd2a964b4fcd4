//! Argon2 by `argon2-rust`, with the vector instructions that the processor has.

use std::sync::OnceLock;

use argon2::password_hash::phc::Salt;
use argon2::{Algorithm, Params, Version};
use argon2_rust::params::{Memory as MemoryCost, TagLen};
use argon2_rust::{Argon2, Error, Hasher};
use tracing::{debug, error};
use zeroize::Zeroizing;

use super::HashError;
use super::compute::compute_portably;
use super::memory::Memory;
use super::phc::Argon2Hash;
use super::recipe::OUTPUT_BYTES;

/// A hashing thread's memory in the hands of `argon2-rust`, which wipes it after each hash.
pub(super) struct Simd {
    hasher: Hasher,
    /// The most blocks that are kept, of 1 KiB each.
    keep: usize,
}

impl Simd {
    /// Makes one without memory, if this machine can be trusted with it.
    pub(super) fn new(keep: usize) -> Option<Self> {
        is_trusted().then(|| Self::untried(keep))
    }

    fn untried(keep: usize) -> Self {
        // Replaced before each hash.
        let argon2 = Argon2::new(
            argon2_rust::Algorithm::Argon2id,
            argon2_rust::Version::V0x13,
            argon2_rust::Params::DEFAULT,
        );
        Self {
            hasher: argon2.hasher(),
            keep,
        }
    }

    /// Computes the output of the hash.
    pub(super) fn compute(
        &mut self,
        hash: &Argon2Hash,
        secret: &[u8],
        password: &[u8],
        output: &mut [u8],
    ) -> Result<(), Error> {
        let argon2 = argon2(hash, output.len())?;
        let (salt, data) = (&hash.salt, hash.params.data());
        // More than is kept is fetched for this once.
        if hash.params.block_count() > self.keep {
            return argon2.hash_into_with_ad(password, salt, secret, data, output);
        }
        self.hasher.set_argon2(argon2);
        let hasher = &mut self.hasher;
        hasher.hash_into_with_ad(password, salt, secret, data, output)
    }

    /// Gives the memory back.
    pub(super) fn release(&mut self) {
        self.hasher.clear();
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.hasher.reserved_blocks()
    }
}

/// The hash's algorithm, version and parameters, in the words of `argon2-rust`.
fn argon2(hash: &Argon2Hash, output_bytes: usize) -> Result<Argon2, Error> {
    let algorithm = match hash.algorithm {
        Algorithm::Argon2d => argon2_rust::Algorithm::Argon2d,
        Algorithm::Argon2i => argon2_rust::Algorithm::Argon2i,
        Algorithm::Argon2id => argon2_rust::Algorithm::Argon2id,
    };
    let version = match hash.version {
        Version::V0x10 => argon2_rust::Version::V0x10,
        Version::V0x13 => argon2_rust::Version::V0x13,
    };
    let params = argon2_rust::Params::builder()
        .memory(MemoryCost::kib(u64::from(hash.params.m_cost())))
        .passes(hash.params.t_cost())
        .lanes(hash.params.p_cost())
        // Of the pool's threads each computes one hash.
        .threads(1)
        .tag_len(TagLen::bytes(output_bytes as u64))
        .build()?;
    Ok(Argon2::new(algorithm, version, params))
}

/// Whether `argon2-rust` computes on this machine what `argon2` computes; tried once in a process.
///
/// Nobody has audited it, and which of its code runs depends on the processor.
fn is_trusted() -> bool {
    static IS_TRUSTED: OnceLock<bool> = OnceLock::new();
    *IS_TRUSTED.get_or_init(|| {
        // Elsewhere it declares mmap with an offset of the wrong size.
        let is_trusted = cfg!(target_pointer_width = "64") && agrees().unwrap_or(false);
        let backend = argon2_rust::detected_backend().name();
        if is_trusted {
            debug!(backend, "passwords are hashed by argon2-rust");
        } else {
            error!(
                backend,
                "argon2-rust is not used: it does not agree with argon2 on this machine"
            );
        }
        is_trusted
    })
}

/// Compares the outputs for each algorithm and version: of two passes, over lanes that refer to each
/// other and whose segments are longer than a block of addresses.
fn agrees() -> Result<bool, HashError> {
    const PASSES: u32 = 2;
    const LANES: u32 = 2;
    const MEMORY_KIB: u32 = 4 * LANES * 160;
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(OUTPUT_BYTES));
    let params = params.map_err(HashError::failed)?;
    let (mut simd, mut memory) = (Simd::untried(0), Memory::new(0));
    for algorithm in [Algorithm::Argon2d, Algorithm::Argon2i, Algorithm::Argon2id] {
        for version in [Version::V0x10, Version::V0x13] {
            let hash = Argon2Hash {
                algorithm,
                version,
                params: params.clone(),
                salt: Salt::new(b"the salt is known").map_err(HashError::failed)?,
                output: Zeroizing::default(),
            };
            let (mut ours, mut judges) = ([0; OUTPUT_BYTES], [0; OUTPUT_BYTES]);
            let (secret, password) = (
                b"the secret too".as_slice(),
                b"as is the password".as_slice(),
            );
            simd.compute(&hash, secret, password, &mut ours)
                .map_err(HashError::failed)?;
            compute_portably(&mut memory, &hash, secret, password, &mut judges)?;
            if ours != judges {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use argon2::{AssociatedData, ParamsBuilder};
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    use super::*;

    /// A hash whose output is not yet computed.
    fn blank(
        (algorithm, version): (Algorithm, Version),
        (memory_kib, passes, lanes): (u32, u32, u32),
        salt: &[u8],
        data: &[u8],
    ) -> Argon2Hash {
        let params = ParamsBuilder::new()
            .m_cost(memory_kib)
            .t_cost(passes)
            .p_cost(lanes)
            .data(AssociatedData::new(data).unwrap())
            .build()
            .unwrap();
        Argon2Hash {
            algorithm,
            version,
            params,
            salt: Salt::new(salt).unwrap(),
            output: Zeroizing::default(),
        }
    }

    fn id(memory_kib: u32) -> Argon2Hash {
        let kind = (Algorithm::Argon2id, Version::V0x13);
        blank(kind, (memory_kib, 1, 1), &[7; 16], &[])
    }

    fn by_simd(simd: &mut Simd, hash: &Argon2Hash, secret: &[u8], password: &[u8]) -> [u8; 32] {
        let mut output = [0; 32];
        simd.compute(hash, secret, password, &mut output).unwrap();
        output
    }

    fn by_the_judge(hash: &Argon2Hash, secret: &[u8], password: &[u8]) -> [u8; 32] {
        let (mut memory, mut output) = (Memory::new(0), [0; 32]);
        compute_portably(&mut memory, hash, secret, password, &mut output).unwrap();
        output
    }

    #[test]
    fn this_machine_is_trusted() {
        assert!(Simd::new(32).is_some());
    }

    /// RFC 9106 sections 5.1, 5.2 and 5.3.
    #[test]
    fn the_vectors_of_rfc_9106_are_computed() {
        for (algorithm, expected) in [
            (
                Algorithm::Argon2d,
                "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb",
            ),
            (
                Algorithm::Argon2i,
                "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8",
            ),
            (
                Algorithm::Argon2id,
                "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659",
            ),
        ] {
            let hash = blank((algorithm, Version::V0x13), (32, 3, 4), &[2; 16], &[4; 12]);
            let (secret, password) = ([3; 8], [1; 32]);
            let hex = |output: [u8; 32]| {
                let digits = output.iter().map(|byte| format!("{byte:02x}"));
                digits.collect::<String>()
            };
            let output = by_simd(&mut Simd::untried(32), &hash, &secret, &password);
            assert_eq!(hex(output), expected);
            assert_eq!(hex(by_the_judge(&hash, &secret, &password)), expected);
        }
    }

    fn bytes(length: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), length)
    }

    /// Of a hash: memory in KiB, passes and lanes; segments about as long as none, one and two
    /// blocks of addresses are, with something left over.
    fn costs() -> impl Strategy<Value = (u32, u32, u32)> {
        let segments = prop_oneof![2..12_u32, 120..140_u32, 250..270_u32];
        (1..=16_u32, segments, 0..64_u32, 1..=4_u32).prop_map(|(lanes, segment, rest, passes)| {
            let memory_kib = 4 * lanes * segment + rest % (4 * lanes);
            (memory_kib, passes, lanes)
        })
    }

    /// Everything that the string of a stored hash can ask for, with and without a pepper; the same
    /// memory serves case after case, as in a thread of the pool.
    #[test]
    fn what_is_computed_is_what_argon2_computes() {
        let kinds = (
            prop::sample::select(vec![
                Algorithm::Argon2d,
                Algorithm::Argon2i,
                Algorithm::Argon2id,
            ]),
            prop::sample::select(vec![Version::V0x10, Version::V0x13]),
        );
        let secrets = prop_oneof![Just(Vec::new()), bytes(32..=100)];
        let inputs = (bytes(8..=48), bytes(0..=32), secrets, bytes(0..=1024));
        let simd = RefCell::new(Simd::untried(4096));
        let mut runner = TestRunner::default();
        let outcome = runner.run(
            &(kinds, costs(), inputs, 10..=64_usize),
            |(kind, cost, (salt, data, secret, password), length)| {
                let hash = blank(kind, cost, &salt, &data);
                let (mut output, mut expected) = (vec![0; length], vec![0; length]);
                let simd = &mut *simd.borrow_mut();
                simd.compute(&hash, &secret, &password, &mut output)
                    .unwrap();
                let memory = &mut Memory::new(0);
                compute_portably(memory, &hash, &secret, &password, &mut expected).unwrap();
                prop_assert_eq!(output, expected);
                Ok(())
            },
        );
        outcome.unwrap();
    }

    #[test]
    fn the_largest_costs_are_computed_alike() {
        let kind = (Algorithm::Argon2id, Version::V0x13);
        for cost in [
            (19456, 2, 1),
            (47104, 1, 1),
            (65536, 3, 4),
            (256 * 1024, 1, 16),
        ] {
            let hash = blank(kind, cost, &[9; 16], &[]);
            let output = by_simd(&mut Simd::untried(usize::MAX), &hash, &[], b"password");
            assert_eq!(output, by_the_judge(&hash, &[], b"password"), "{cost:?}");
        }
    }

    #[test]
    fn memory_is_kept_from_hash_to_hash_and_given_back_when_it_is_released() {
        let mut simd = Simd::untried(64);
        assert_eq!(simd.kept(), 0);
        for memory_kib in [64, 32, 64] {
            by_simd(&mut simd, &id(memory_kib), &[], b"password");
            assert_eq!(simd.kept(), 64);
        }
        simd.release();
        assert_eq!(simd.kept(), 0);
    }

    #[test]
    fn s1_3_a_costlier_hash_gets_more_memory_that_is_not_kept() {
        let mut simd = Simd::untried(64);
        let output = by_simd(&mut simd, &id(68), &[], b"password");
        assert_eq!(output, by_the_judge(&id(68), &[], b"password"));
        assert_eq!(simd.kept(), 0);
    }
}
