//! Verifying a compact JWS (RFC 7515) with a set of keys: what access tokens and others share.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;

use super::claims::{Header, parse_object};
use super::jwt_keys::{JwtKeys, Material, SigningKey, VerifyingKey};
use super::verifying_keys::Jwks;
use crate::signature::Algorithm;

/// Longer tokens are refused before anything of them is decoded.
pub(crate) const MAX_TOKEN_BYTES: usize = 4096;
pub(super) const MAX_PAYLOAD_BYTES: usize = MAX_TOKEN_BYTES / 4 * 3;
const MAX_KEY_ID_BYTES: usize = 128;
/// The signature of the longest RSA key.
const MAX_SIGNATURE_BYTES: usize = 1024;

const ACCESS_TOKEN: &str = "at+jwt";

/// What the header must call the token.
#[derive(Clone, Copy)]
pub(super) enum TokenType {
    /// `at+jwt` (RFC 9068).
    AccessToken,
    /// Anything, or nothing.
    Any,
}

/// Why a token is refused.
pub(super) enum Refusal {
    /// It is well-formed but names a key that is not in the set.
    UnknownKey,
    Invalid,
}

/// Keys of one algorithm, ready to verify.
pub(super) struct KeySet {
    algorithm: Algorithm,
    keys: Vec<ReadyKey>,
    signing: Option<SigningKey>,
    jwks: Jwks,
}

struct ReadyKey {
    key: VerifyingKey,
    /// The header of the access tokens that our issuer signs with it: such a header needs no
    /// parsing.
    issued_header: String,
}

impl KeySet {
    pub(super) fn new(
        algorithm: Algorithm,
        keys: Vec<VerifyingKey>,
        signing: Option<SigningKey>,
    ) -> Self {
        // A secret is named only where there is a choice; S6.1, S6.6.
        let named = algorithm != Algorithm::Hs256 || keys.len() > 1;
        let jwks = Jwks::of(&keys);
        let keys = keys.into_iter().map(|key| ReadyKey {
            issued_header: issued_header(algorithm, named.then_some(&key.id)),
            key,
        });
        Self {
            algorithm,
            keys: keys.collect(),
            signing,
            jwks,
        }
    }

    pub(super) fn of_ring(ring: &JwtKeys) -> Self {
        let (keys, signing) = (ring.verifying().to_vec(), ring.signing().clone());
        Self::new(ring.algorithm(), keys, Some(signing))
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn key_ids(&self) -> Vec<String> {
        self.keys.iter().map(|ready| ready.key.id.clone()).collect()
    }

    pub(super) const fn jwks(&self) -> &Jwks {
        &self.jwks
    }

    /// The key that signs, with the header of its tokens.
    pub(super) fn signing(&self) -> Option<(&SigningKey, &str)> {
        let first = self.keys.first()?;
        Some((self.signing.as_ref()?, &first.issued_header))
    }

    /// Finds the key that a token with this header must be signed with.
    fn key_for(&self, header: &str, token_type: TokenType) -> Result<&VerifyingKey, Refusal> {
        let issued = self.keys.iter().find(|key| key.issued_header == header);
        if let Some(issued) = issued {
            return Ok(&issued.key);
        }
        let json = URL_SAFE_NO_PAD.decode(header);
        let json = json.map_err(|_| Refusal::Invalid)?;
        let header: Header<'_> = parse_object(&json).ok_or(Refusal::Invalid)?.object;
        if header.alg != self.algorithm.as_str() || !token_type.admits(header.typ.as_deref()) {
            return Err(Refusal::Invalid);
        }
        match (header.kid.as_deref(), self.keys.as_slice()) {
            (None, [only]) => Ok(&only.key),
            (Some(id), keys) if id.len() <= MAX_KEY_ID_BYTES => {
                let named = keys.iter().find(|ready| ready.key.id == id);
                named.map(|ready| &ready.key).ok_or(Refusal::UnknownKey)
            }
            _ => Err(Refusal::Invalid),
        }
    }
}

impl TokenType {
    fn admits(self, typ: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::AccessToken => typ.is_some_and(|typ| {
                typ.eq_ignore_ascii_case(ACCESS_TOKEN)
                    || typ.eq_ignore_ascii_case("application/at+jwt")
            }),
        }
    }
}

/// Our header.
fn issued_header(algorithm: Algorithm, key_id: Option<&String>) -> String {
    let algorithm = algorithm.as_str().parse();
    let algorithm = algorithm.expect("the library knows the algorithms that we have");
    let mut header = jsonwebtoken::Header::new(algorithm);
    header.typ = Some(ACCESS_TOKEN.to_owned());
    header.kid = key_id.cloned();
    let json = serde_json::to_vec(&header).expect("a header of strings can be written as JSON");
    URL_SAFE_NO_PAD.encode(json)
}

/// Checks header and signature, and gives what is signed.
pub(super) fn verified_payload<'b>(
    set: &KeySet,
    token: &str,
    token_type: TokenType,
    buffer: &'b mut [u8; MAX_PAYLOAD_BYTES],
) -> Result<&'b [u8], Refusal> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Refusal::Invalid);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Invalid)?;
    let (header, payload) = signed.split_once('.').ok_or(Refusal::Invalid)?;
    let key = set.key_for(header, token_type)?;
    verify_signature(key, signed, signature).ok_or(Refusal::Invalid)?;
    let length = URL_SAFE_NO_PAD.decode_slice(payload, buffer);
    let length = length.map_err(|_| Refusal::Invalid)?;
    buffer.get(..length).ok_or(Refusal::Invalid)
}

fn verify_signature(key: &VerifyingKey, signed: &str, signature: &str) -> Option<()> {
    match &key.material {
        Material::Secret(mac) => {
            let mut bytes = [0; 32];
            let length = URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes).ok()?;
            mac.clone()
                .chain_update(signed.as_bytes())
                .verify_slice(bytes.get(..length)?)
                .ok()
        }
        Material::Public(key) => {
            let mut bytes = [0; MAX_SIGNATURE_BYTES];
            let length = URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes).ok()?;
            key.verify(signed.as_bytes(), bytes.get(..length)?)
                .then_some(())
        }
    }
}
