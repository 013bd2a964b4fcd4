//! Argon2 itself.

use argon2::Argon2;

use super::HashError;
use super::memory::Memory;
use super::phc::Argon2Hash;

/// Computes the output that the hash should have, if the password is its password; an empty secret
/// is none.
///
/// With the feature `simd-argon2` by `argon2-rust`, unless it is not trusted here or declines.
pub(super) fn compute(
    memory: &mut Memory,
    hash: &Argon2Hash,
    secret: &[u8],
    password: &[u8],
    output: &mut [u8],
) -> Result<(), HashError> {
    #[cfg(feature = "simd-argon2")]
    if let Some(simd) = memory.simd()
        && simd.compute(hash, secret, password, output).is_ok()
    {
        return Ok(());
    }
    compute_portably(memory, hash, secret, password, output)
}

/// Computes it by `argon2`, which is the judge.
pub(super) fn compute_portably(
    memory: &mut Memory,
    hash: &Argon2Hash,
    secret: &[u8],
    password: &[u8],
    output: &mut [u8],
) -> Result<(), HashError> {
    let (algorithm, version, params) = (hash.algorithm, hash.version, hash.params.clone());
    let blocks = params.block_count();
    let argon2 =
        Argon2::new_with_secret(secret, algorithm, version, params).map_err(HashError::failed)?;
    memory
        .lend(blocks, |blocks| {
            argon2.hash_password_into_with_memory(password, &hash.salt, output, blocks)
        })
        .map_err(HashError::failed)?
        .map_err(HashError::failed)
}
