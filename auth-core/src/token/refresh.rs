//! Refresh tokens: opaque, and derived from the session's row instead of stored in it.

use uuid::Uuid;

use super::keys::SecretKeys;
use super::opaque::Sealer;
use crate::secret::secret_string;
use crate::{Generation, SessionId};

secret_string! {
    /// A refresh token: `art_` and base64url.
    pub RefreshToken
}

const VERSION: u8 = 1;

/// Makes refresh tokens, and reads them back without asking the database.
#[derive(Clone, Debug)]
pub(crate) struct RefreshTokens {
    sealer: Sealer,
}

impl RefreshTokens {
    pub(crate) fn new(keys: &SecretKeys) -> Self {
        Self {
            sealer: Sealer::new(keys, "auth refresh token v1", "art_"),
        }
    }

    /// Derives the token of a session's generation: the same token every time.
    pub(crate) fn derive(&self, session: SessionId, generation: Generation) -> RefreshToken {
        let mut payload = [0; 21];
        let (version, rest) = payload.split_at_mut(1);
        let (id, number) = rest.split_at_mut(16);
        version.copy_from_slice(&[VERSION]);
        id.copy_from_slice(session.as_uuid().as_bytes());
        number.copy_from_slice(&generation.number().to_be_bytes());
        RefreshToken::new(self.sealer.seal(&payload))
    }

    /// Reads a token that we have made, and nothing of any other string.
    pub(crate) fn open(&self, token: &str) -> Option<(SessionId, Generation)> {
        let payload: [u8; 21] = self.sealer.open(token)?;
        let (version, rest) = payload.split_first_chunk::<1>()?;
        let (id, number) = rest.split_first_chunk::<16>()?;
        let number = number.first_chunk::<4>()?;
        (*version == [VERSION]).then(|| {
            (
                SessionId::from_uuid(Uuid::from_bytes(*id)),
                Generation::new(u32::from_be_bytes(*number)),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SecretKey;

    const OLD: &str = "kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0";
    const NEW: &str = "Zt5Rw8Qp2Ys7Vx4Uk9Bn3Mc6Lf1Jh0Dg";

    fn keys(secret: &str) -> SecretKeys {
        SecretKeys::new(SecretKey::parse(secret).unwrap())
    }

    #[test]
    fn the_same_generation_has_the_same_token_and_the_next_another() {
        let tokens = RefreshTokens::new(&keys(OLD));
        let session = SessionId::generate();
        let second = Generation::FIRST.next().unwrap();
        let first = tokens.derive(session, Generation::FIRST);
        assert_eq!(
            first.expose(),
            tokens.derive(session, Generation::FIRST).expose()
        );
        assert_ne!(first.expose(), tokens.derive(session, second).expose());
    }

    #[test]
    fn s7_1_every_change_of_one_character_is_refused() {
        let tokens = RefreshTokens::new(&keys(OLD));
        let token = tokens.derive(SessionId::generate(), Generation::FIRST);
        assert!(tokens.open(token.expose()).is_some());
        for position in 0..token.expose().len() {
            for replacement in ['A', 'Q', 'z', '9', '-', '_', '=', '.', ' ', '\0'] {
                let mut changed: Vec<char> = token.expose().chars().collect();
                if changed[position] == replacement {
                    continue;
                }
                changed[position] = replacement;
                let changed: String = changed.into_iter().collect();
                assert!(tokens.open(&changed).is_none(), "{changed}");
            }
        }
    }

    #[test]
    fn s7_1_a_token_cut_short_or_made_longer_is_refused() {
        let tokens = RefreshTokens::new(&keys(OLD));
        let token = tokens.derive(SessionId::generate(), Generation::FIRST);
        let token = token.expose();
        for end in 0..token.len() {
            assert!(tokens.open(&token[..end]).is_none());
        }
        for more in ["A", "AA", "AAAA", "=", "\n"] {
            assert!(tokens.open(&format!("{token}{more}")).is_none());
        }
        assert!(tokens.open(&"art_".repeat(100_000)).is_none());
    }

    #[test]
    fn s7_2_a_token_made_under_another_key_is_refused() {
        let forged =
            RefreshTokens::new(&keys(NEW)).derive(SessionId::generate(), Generation::FIRST);
        assert!(
            RefreshTokens::new(&keys(OLD))
                .open(forged.expose())
                .is_none()
        );
    }

    #[test]
    fn s13_4_tokens_of_an_earlier_key_are_accepted_until_it_is_retired() {
        let session = SessionId::generate();
        let token = RefreshTokens::new(&keys(OLD)).derive(session, Generation::FIRST);
        let rotated = keys(NEW).add_fallback(SecretKey::parse(OLD).unwrap());
        let opened = RefreshTokens::new(&rotated).open(token.expose());
        assert_eq!(opened, Some((session, Generation::FIRST)));
        assert_eq!(RefreshTokens::new(&keys(NEW)).open(token.expose()), None);
    }

    proptest! {
        #[test]
        fn a_token_reads_back_as_what_it_was_made_of(id: u128, number: u32) {
            let tokens = RefreshTokens::new(&keys(OLD));
            let session = SessionId::from_uuid(Uuid::from_u128(id));
            let generation = Generation::new(number);
            let token = tokens.derive(session, generation);
            prop_assert_eq!(tokens.open(token.expose()), Some((session, generation)));
        }

        #[test]
        fn s11_4_no_input_panics(token in any::<String>()) {
            let tokens = RefreshTokens::new(&keys(OLD));
            prop_assert_eq!(tokens.open(&token), None);
            prop_assert_eq!(tokens.open(&format!("art_{token}")), None);
        }
    }
}
