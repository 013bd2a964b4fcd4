//! Keys as JSON (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters,
    EllipticCurveKeyType, Jwk, KeyOperations, OctetKeyPairParameters, OctetKeyPairType,
    PublicKeyUse, RSAKeyParameters, RSAKeyType,
};
use serde::Deserialize as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Algorithm, KeyError, PublicKey};

/// What only the owner of a private or secret key has (RFC 7518 sections 6.2.2, 6.3.2 and 6.4).
const SECRET_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

pub(super) fn of_ed25519(x: &[u8]) -> AlgorithmParameters {
    AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
        key_type: OctetKeyPairType::OctetKeyPair,
        curve: EllipticCurve::Ed25519,
        x: URL_SAFE_NO_PAD.encode(x),
    })
}

pub(super) fn of_p256(x: &[u8], y: &[u8]) -> AlgorithmParameters {
    AlgorithmParameters::EllipticCurve(EllipticCurveKeyParameters {
        key_type: EllipticCurveKeyType::EC,
        curve: EllipticCurve::P256,
        x: URL_SAFE_NO_PAD.encode(x),
        y: URL_SAFE_NO_PAD.encode(y),
    })
}

pub(super) fn of_rsa(n: &[u8], e: &[u8]) -> AlgorithmParameters {
    AlgorithmParameters::RSA(RSAKeyParameters {
        key_type: RSAKeyType::RSA,
        n: URL_SAFE_NO_PAD.encode(n),
        e: URL_SAFE_NO_PAD.encode(e),
    })
}

/// The thumbprint of RFC 7638, with SHA-256. Not the library's own: that one asks the
/// process-wide provider for the hash.
pub(super) fn thumbprint(members: &AlgorithmParameters) -> String {
    let members = json!(members);
    // Sorted here: whether the maps of serde_json are depends on the features of the program.
    let sorted: BTreeMap<_, _> = members.as_object().into_iter().flatten().collect();
    let json = serde_json::to_string(&sorted).expect("strings can be written as JSON");
    URL_SAFE_NO_PAD.encode(Sha256::digest(json))
}

/// The key as published: for signatures, by this algorithm, under this id.
pub(super) fn published(algorithm: Algorithm, id: &str, members: &AlgorithmParameters) -> Jwk {
    let common = CommonParameters {
        public_key_use: Some(PublicKeyUse::Signature),
        key_algorithm: algorithm.as_str().parse().ok(),
        key_id: Some(id.to_owned()),
        ..CommonParameters::default()
    };
    Jwk {
        common,
        algorithm: members.clone(),
    }
}

/// Reads a public key.
pub(crate) fn read_jwk(value: &Value) -> Result<PublicKey, KeyError> {
    if SECRET_MEMBERS
        .iter()
        .any(|member| value.get(member).is_some())
    {
        return Err(KeyError::NotPublic);
    }
    let jwk = Jwk::deserialize(value).map_err(|_| KeyError::NotJwk)?;
    let id = jwk.common.key_id.as_deref();
    let key = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            PublicKey::from_raw(Algorithm::EdDsa, &decode(&key.x)?, id)
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            PublicKey::from_p256(&decode(&key.x)?, &decode(&key.y)?, id)
        }
        AlgorithmParameters::RSA(key) => {
            PublicKey::from_rsa(&decode(&key.n)?, &decode(&key.e)?, id)
        }
        _ => return Err(KeyError::Unusable),
    }?;
    check_purpose(&jwk, key.algorithm())?;
    Ok(key)
}

/// Reads a secret for HS256, with its id.
pub(crate) fn read_secret_jwk(
    value: &Value,
) -> Result<(Option<String>, Zeroizing<Vec<u8>>), KeyError> {
    let jwk = Jwk::deserialize(value).map_err(|_| KeyError::NotJwk)?;
    let AlgorithmParameters::OctetKey(key) = &jwk.algorithm else {
        return Err(KeyError::Unusable);
    };
    check_purpose(&jwk, Algorithm::Hs256)?;
    let secret = Zeroizing::new(decode(&key.value)?);
    Ok((jwk.common.key_id, secret))
}

fn decode(member: &str) -> Result<Vec<u8>, KeyError> {
    URL_SAFE_NO_PAD
        .decode(member)
        .map_err(|_| KeyError::Unusable)
}

/// Refuses a key that is meant for something else (RFC 7517 sections 4.2 to 4.4).
fn check_purpose(jwk: &Jwk, algorithm: Algorithm) -> Result<(), KeyError> {
    let common = &jwk.common;
    let verifies = common
        .public_key_use
        .as_ref()
        .is_none_or(|usage| *usage == PublicKeyUse::Signature)
        && common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify))
        && common
            .key_algorithm
            .is_none_or(|named| algorithm.as_str().parse() == Ok(named));
    if verifies {
        Ok(())
    } else {
        Err(KeyError::OtherPurpose)
    }
}
