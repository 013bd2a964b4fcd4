//! What the links carry that make an account, or change its password or address.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::keys::SecretKeys;
use super::opaque::Sealer;
use crate::secret::secret_string;
use crate::{EmailAddress, PasswordHash, Timestamp, UserId};

secret_string! {
    /// What the link in a mail carries: a prefix that names its purpose, and base64url.
    pub(crate) LinkToken
}

const VERSION: u8 = 1;

/// Makes the tokens that let a user choose another password.
///
/// A token is bound to the address that it was mailed to and to the password hash that it may
/// replace: with either it dies.
#[derive(Clone, Debug)]
pub(crate) struct PasswordResetTokens {
    sealer: Sealer,
}

/// What a token for another password says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PasswordResetClaim {
    pub(crate) user: UserId,
    pub(crate) expires_at: Timestamp,
    replaced: [u8; 32],
}

impl PasswordResetClaim {
    pub(crate) fn may_replace(&self, hash: &PasswordHash, address: &EmailAddress) -> bool {
        self.replaced.ct_eq(&replaced(hash, address)).into()
    }
}

impl PasswordResetTokens {
    pub(crate) fn new(keys: &SecretKeys) -> Self {
        Self {
            sealer: Sealer::new(keys, "auth password reset v1", "apt_"),
        }
    }

    pub(crate) fn issue(
        &self,
        user: UserId,
        hash: &PasswordHash,
        address: &EmailAddress,
        expires_at: Timestamp,
    ) -> LinkToken {
        let mut payload = Vec::with_capacity(57);
        payload.push(VERSION);
        payload.extend_from_slice(user.as_uuid().as_bytes());
        payload.extend_from_slice(&expires_at.unix_seconds().to_be_bytes());
        payload.extend_from_slice(&replaced(hash, address));
        LinkToken::new(self.sealer.seal(&payload))
    }

    /// Reads a token that we have made, and nothing of any other string.
    pub(crate) fn open(&self, token: &str) -> Option<PasswordResetClaim> {
        let payload: [u8; 57] = self.sealer.open(token)?;
        let (version, rest) = payload.split_first_chunk::<1>()?;
        let (user, rest) = rest.split_first_chunk::<16>()?;
        let (expires_at, rest) = rest.split_first_chunk::<8>()?;
        (*version == [VERSION]).then_some(PasswordResetClaim {
            user: UserId::from_uuid(Uuid::from_bytes(*user)),
            expires_at: Timestamp::from_unix_seconds(i64::from_be_bytes(*expires_at)),
            replaced: *rest.first_chunk()?,
        })
    }
}

/// Stands for a hash and an address in a token, which shows neither.
fn replaced(hash: &PasswordHash, address: &EmailAddress) -> [u8; 32] {
    Sha256::new()
        .chain_update(Sha256::digest(address.key()))
        .chain_update(hash.as_stored())
        .finalize()
        .into()
}

/// Makes the tokens of what a database keeps until its link is used: each purpose has its own.
#[derive(Clone, Debug)]
pub(crate) struct RecordTokens {
    sealer: Sealer,
}

/// What a token about something that a database keeps says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordClaim {
    pub(crate) id: Uuid,
    pub(crate) expires_at: Timestamp,
}

impl RecordTokens {
    /// What the tokens that complete a sign-up begin with.
    pub(crate) const SIGN_UP: &str = "ast_";

    /// Those that confirm a change of address.
    pub(crate) fn for_email_change(keys: &SecretKeys) -> Self {
        Self::new(keys, "auth e-mail change v1", "aet_")
    }

    /// Those that undo a change of address.
    pub(crate) fn for_email_undo(keys: &SecretKeys) -> Self {
        Self::new(keys, "auth e-mail change undo v1", "aut_")
    }

    /// Those that complete what was signed up for.
    pub(crate) fn for_sign_up(keys: &SecretKeys) -> Self {
        Self::new(keys, "auth sign-up v1", Self::SIGN_UP)
    }

    /// Those that let the invited choose name and password.
    pub(crate) fn for_invitation(keys: &SecretKeys) -> Self {
        Self::new(keys, "auth invitation v1", "ait_")
    }

    fn new(keys: &SecretKeys, purpose: &str, prefix: &'static str) -> Self {
        let sealer = Sealer::new(keys, purpose, prefix);
        Self { sealer }
    }

    pub(crate) fn issue(&self, id: Uuid, expires_at: Timestamp) -> LinkToken {
        let mut payload = Vec::with_capacity(25);
        payload.push(VERSION);
        payload.extend_from_slice(id.as_bytes());
        payload.extend_from_slice(&expires_at.unix_seconds().to_be_bytes());
        LinkToken::new(self.sealer.seal(&payload))
    }

    /// Reads a token that we have made for this purpose, and nothing of any other string.
    pub(crate) fn open(&self, token: &str) -> Option<RecordClaim> {
        let payload: [u8; 25] = self.sealer.open(token)?;
        let (version, rest) = payload.split_first_chunk::<1>()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        (*version == [VERSION]).then_some(RecordClaim {
            id: Uuid::from_bytes(*id),
            expires_at: Timestamp::from_unix_seconds(i64::from_be_bytes(*rest.first_chunk()?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;

    fn keys() -> SecretKeys {
        SecretKeys::new(SecretKey::parse("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0").unwrap())
    }

    fn address(text: &str) -> EmailAddress {
        text.parse().unwrap()
    }

    const SOON: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

    #[test]
    fn s8_1_a_reset_is_bound_to_user_password_address_and_time() {
        let (user, hash) = (UserId::generate(), PasswordHash::from_stored("$hash"));
        let alice = address("alice@example.org");
        let tokens = PasswordResetTokens::new(&keys());
        let token = tokens.issue(user, &hash, &alice, SOON);
        let claim = tokens.open(token.expose()).unwrap();
        assert_eq!((claim.user, claim.expires_at), (user, SOON));
        assert!(claim.may_replace(&hash, &address("Alice@EXAMPLE.org")));
        assert!(!claim.may_replace(&hash, &address("mallory@example.org")));
        assert!(!claim.may_replace(&PasswordHash::from_stored("$other"), &alice));
    }

    #[test]
    fn s8_1_a_link_is_good_for_one_purpose_and_in_one_spelling() {
        let id = Uuid::now_v7();
        let purposes = [
            ("aet_", RecordTokens::for_email_change(&keys())),
            ("aut_", RecordTokens::for_email_undo(&keys())),
            ("ast_", RecordTokens::for_sign_up(&keys())),
            ("ait_", RecordTokens::for_invitation(&keys())),
        ];
        let expected = Some(RecordClaim {
            id,
            expires_at: SOON,
        });
        for (prefix, tokens) in &purposes {
            let token = tokens.issue(id, SOON);
            for (other, others) in &purposes {
                let renamed = token.expose().replace(prefix, other);
                let is_same = prefix == other;
                assert_eq!(others.open(&renamed), expected.filter(|_| is_same));
            }
            for position in 0..token.expose().len() {
                let mut changed: Vec<char> = token.expose().chars().collect();
                changed[position] = if changed[position] == 'A' { 'B' } else { 'A' };
                let changed: String = changed.into_iter().collect();
                assert_eq!(tokens.open(&changed), None, "{changed}");
            }
        }
    }
}
