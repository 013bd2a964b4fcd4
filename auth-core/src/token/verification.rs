//! Verification tokens: what a link in a mail carries.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::keys::SecretKeys;
use super::opaque::Sealer;
use crate::secret::secret_string;
use crate::{EmailAddress, Generation, Timestamp, UserId};

secret_string! {
    /// A verification token: `avt_` and base64url.
    pub(crate) VerificationToken
}

const VERSION: u8 = 1;

/// Makes the tokens that prove to have read a mail.
///
/// A token is bound to the user, the address, the purpose (by its key) and a time, and to the
/// generation of the verification, which the store counts up for each new mail.
#[derive(Clone, Debug)]
pub(crate) struct VerificationTokens {
    sealer: Sealer,
}

/// What a verification token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VerificationClaim {
    pub(crate) user: UserId,
    pub(crate) generation: Generation,
    pub(crate) expires_at: Timestamp,
    address_digest: [u8; 16],
}

impl VerificationClaim {
    pub(crate) fn is_for(&self, address: &EmailAddress) -> bool {
        self.address_digest.ct_eq(&digest(address)).into()
    }
}

impl VerificationTokens {
    pub(crate) fn new(keys: &SecretKeys) -> Self {
        Self {
            sealer: Sealer::new(keys, "auth e-mail verification v1", "avt_"),
        }
    }

    pub(crate) fn issue(
        &self,
        user: UserId,
        email: &EmailAddress,
        generation: Generation,
        expires_at: Timestamp,
    ) -> VerificationToken {
        let mut payload = Vec::with_capacity(45);
        payload.push(VERSION);
        payload.extend_from_slice(user.as_uuid().as_bytes());
        payload.extend_from_slice(&generation.number().to_be_bytes());
        payload.extend_from_slice(&expires_at.unix_seconds().to_be_bytes());
        payload.extend_from_slice(&digest(email));
        VerificationToken::new(self.sealer.seal(&payload))
    }

    /// Reads a token that we have made, and nothing of any other string.
    pub(crate) fn open(&self, token: &str) -> Option<VerificationClaim> {
        let payload: [u8; 45] = self.sealer.open(token)?;
        let (version, rest) = payload.split_first_chunk::<1>()?;
        let (user, rest) = rest.split_first_chunk::<16>()?;
        let (generation, rest) = rest.split_first_chunk::<4>()?;
        let (expires_at, rest) = rest.split_first_chunk::<8>()?;
        (*version == [VERSION]).then_some(VerificationClaim {
            user: UserId::from_uuid(Uuid::from_bytes(*user)),
            generation: Generation::new(u32::from_be_bytes(*generation)),
            expires_at: Timestamp::from_unix_seconds(i64::from_be_bytes(*expires_at)),
            address_digest: *rest.first_chunk()?,
        })
    }
}

/// Stands for the address in the token, so that a link in a log shows nobody's address.
fn digest(address: &EmailAddress) -> [u8; 16] {
    let mut digest = [0; 16];
    let whole = Sha256::digest(address.key().as_bytes());
    digest
        .iter_mut()
        .zip(whole)
        .for_each(|(kept, byte)| *kept = byte);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;
    use crate::token::RefreshTokens;

    fn keys() -> SecretKeys {
        SecretKeys::new(SecretKey::parse("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0").unwrap())
    }

    fn token() -> (UserId, EmailAddress, VerificationToken) {
        let user = UserId::generate();
        let address: EmailAddress = "Alice@example.org".parse().unwrap();
        let expires_at = Timestamp::from_unix_seconds(1_700_000_000);
        let tokens = VerificationTokens::new(&keys());
        let token = tokens.issue(user, &address, Generation::new(3), expires_at);
        (user, address, token)
    }

    #[test]
    fn s8_1_a_token_is_bound_to_user_address_generation_and_time() {
        let (user, address, token) = token();
        let claim = VerificationTokens::new(&keys())
            .open(token.expose())
            .unwrap();
        assert_eq!(claim.user, user);
        assert_eq!(claim.generation, Generation::new(3));
        assert_eq!(
            claim.expires_at,
            Timestamp::from_unix_seconds(1_700_000_000)
        );
        assert!(claim.is_for(&address));
        assert!(claim.is_for(&"alice@EXAMPLE.org".parse().unwrap()));
        assert!(!claim.is_for(&"mallory@example.org".parse().unwrap()));
    }

    #[test]
    fn s8_1_every_change_of_one_character_is_refused() {
        let (_, _, token) = token();
        let tokens = VerificationTokens::new(&keys());
        for position in 0..token.expose().len() {
            let mut changed: Vec<char> = token.expose().chars().collect();
            changed[position] = if changed[position] == 'A' { 'B' } else { 'A' };
            let changed: String = changed.into_iter().collect();
            assert_eq!(tokens.open(&changed), None, "{changed}");
        }
    }

    #[test]
    fn s6_8_tokens_of_one_purpose_are_refused_for_the_other() {
        let (_, _, token) = token();
        let as_refresh = token.expose().replace("avt_", "art_");
        assert!(RefreshTokens::new(&keys()).open(&as_refresh).is_none());
        let refresh =
            RefreshTokens::new(&keys()).derive(crate::SessionId::generate(), Generation::FIRST);
        let as_verification = refresh.expose().replace("art_", "avt_");
        assert!(
            VerificationTokens::new(&keys())
                .open(&as_verification)
                .is_none()
        );
    }
}
