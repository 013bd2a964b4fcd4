use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{IdempotencyKey, SessionId};

/// Whose a rotation is: the hash of a session and of the [`IdempotencyKey`] that came with the
/// refresh.
///
/// Who presents the key again may have the rotation's answer again. A key is worth nothing
/// without the refresh token that it came with, so that a plain hash protects it well enough, and
/// needs no secret that could be replaced in the meantime. Compared in constant time.
#[derive(Clone, Copy)]
pub struct RotationKey([u8; 32]);

impl RotationKey {
    /// Hashes a key for a session: equal keys of two sessions look different.
    #[must_use]
    pub fn new(session: SessionId, key: &IdempotencyKey) -> Self {
        let hash = Sha256::new()
            .chain_update(session.as_uuid().as_bytes())
            .chain_update(key.as_str());
        Self(hash.finalize().into())
    }

    /// Wraps a hash read from a database.
    #[must_use]
    pub const fn from_stored(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The hash, as a store keeps it.
    #[must_use]
    pub const fn as_stored(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for RotationKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for RotationKey {}

impl fmt::Debug for RotationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RotationKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_bound_to_its_session() {
        let [one, other] = ["one", "other"].map(|text| IdempotencyKey::parse(text).unwrap());
        let session = SessionId::generate();
        let key = RotationKey::new(session, &one);
        assert_eq!(key, RotationKey::new(session, &one));
        assert_eq!(key, RotationKey::from_stored(*key.as_stored()));
        assert_ne!(key, RotationKey::new(session, &other));
        assert_ne!(key, RotationKey::new(SessionId::generate(), &one));
    }
}
