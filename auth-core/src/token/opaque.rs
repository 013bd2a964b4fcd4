//! What the opaque tokens have in common: a prefix, a payload of fixed size, a MAC.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use zeroize::Zeroizing;

use super::keys::{HmacSha256, SecretKeys};

const MAC_BYTES: usize = 32;

/// Seals payloads for one purpose, and opens what it has sealed.
///
/// The key is derived from the secret with the purpose as its label, so that a token of one
/// purpose never opens for another.
#[derive(Clone)]
pub(super) struct Sealer {
    prefix: &'static str,
    current: HmacSha256,
    fallbacks: Vec<HmacSha256>,
}

impl Sealer {
    pub(super) fn new(keys: &SecretKeys, purpose: &str, prefix: &'static str) -> Self {
        Self {
            prefix,
            current: keys.current().derive(purpose),
            fallbacks: keys
                .fallbacks()
                .iter()
                .map(|key| key.derive(purpose))
                .collect(),
        }
    }

    pub(super) fn seal(&self, payload: &[u8]) -> String {
        let mac = self
            .current
            .clone()
            .chain_update(payload)
            .finalize()
            .into_bytes();
        let mut sealed = Zeroizing::new(Vec::with_capacity(payload.len() + MAC_BYTES));
        sealed.extend_from_slice(payload);
        sealed.extend_from_slice(&mac);
        let mut token = String::with_capacity(self.prefix.len() + sealed.len().div_ceil(3) * 4);
        token.push_str(self.prefix);
        URL_SAFE_NO_PAD.encode_string(sealed.as_slice(), &mut token);
        token
    }

    /// Gives the payload of a token that this sealer has made, and nothing for any other string.
    pub(super) fn open<const N: usize>(&self, token: &str) -> Option<[u8; N]> {
        // The longest token has 89 bytes; a longer string cannot be one.
        let mut sealed = Zeroizing::new([0; 96]);
        let encoded = token.strip_prefix(self.prefix)?;
        let length = URL_SAFE_NO_PAD
            .decode_slice(encoded, sealed.as_mut_slice())
            .ok()?;
        let (payload, mac) = sealed.get(..length)?.split_first_chunk::<N>()?;
        let is_ours = std::iter::once(&self.current)
            .chain(&self.fallbacks)
            .any(|key| key.clone().chain_update(payload).verify_slice(mac).is_ok());
        is_ours.then_some(*payload)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
