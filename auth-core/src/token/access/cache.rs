//! Tokens that were verified lately, whose signatures need not be checked again.

use std::fmt;
use std::hash::BuildHasher as _;
use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};

use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use rapidhash::quality::RandomState;

use super::{AccessToken, VerifiedClaims};
use crate::token::jws::{KeySet, MAX_TOKEN_BYTES};

/// A bounded number of verified tokens.
///
/// Nobody waits for a lock here: where one is held, a token is not found, or not kept.
pub(super) struct TokenCache {
    capacity: NonZeroUsize,
    /// By the whole hash of a token, so that hardly ever another one is compared with it.
    tokens: Cache<u64, Arc<CachedToken>, UnitWeighter, RandomState>,
    /// Keyed at random.
    hasher: RandomState,
}

pub(super) struct CachedToken {
    token: AccessToken,
    /// The keys that it was verified with. While this lives, no other set gets their address.
    keys: Weak<KeySet>,
    pub(super) claims: VerifiedClaims,
}

impl TokenCache {
    pub(super) fn new(capacity: NonZeroUsize) -> Self {
        let hasher = RandomState::new();
        let most = u64::try_from(capacity.get()).unwrap_or(u64::MAX);
        let tokens = Cache::with(
            capacity.get(),
            most,
            UnitWeighter,
            hasher,
            DefaultLifecycle::default(),
        );
        // Its shards are of one size, which it rounds up. Each holds 32 or more, or there is only one.
        let shards = u64::try_from(tokens.num_shards()).unwrap_or(u64::MAX);
        tokens.set_capacity(most - most % shards);
        Self {
            capacity,
            tokens,
            hasher,
        }
    }

    /// Finds a token that was verified with these very keys.
    pub(super) fn get(&self, token: &str, keys: &Arc<KeySet>) -> Option<Arc<CachedToken>> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let hash = self.hasher.hash_one(token);
        let cached = self.tokens.try_get(&hash).ok()??;
        let is_known = cached.keys.as_ptr() == Arc::as_ptr(keys) && cached.is(token);
        is_known.then_some(cached)
    }

    /// Keeps a token that was verified with these keys.
    pub(super) fn insert(&self, token: &str, keys: &Arc<KeySet>, claims: VerifiedClaims) {
        let hash = self.hasher.hash_one(token);
        let cached = CachedToken {
            token: AccessToken::new(token),
            keys: Arc::downgrade(keys),
            claims,
        };
        // What was left out comes again.
        let _ = self.tokens.try_insert(hash, Arc::new(cached));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl CachedToken {
    /// Compares in a time that does not tell how much of the token is right.
    ///
    /// By hand, since `subtle` looks at each byte alone: that takes 1.6 times as long as the HMAC that
    /// a hit must undercut. Against a compiler that stops early after all, the keyed hash stands: a
    /// guess whose hash does not fit is not compared.
    fn is(&self, token: &str) -> bool {
        let (ours, theirs) = (self.token.expose().as_bytes(), token.as_bytes());
        let pairs = ours.iter().zip(theirs);
        let difference = pairs.fold(0, |found, (ours, theirs)| found | (ours ^ theirs));
        ours.len() == theirs.len() && difference == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::Algorithm;
    use crate::{Principal, SessionId, Timestamp, UserId};

    #[test]
    fn s6_13_a_token_with_the_hash_of_another_is_not_taken_for_it() {
        let cache = TokenCache::new(NonZeroUsize::MIN);
        let keys = Arc::new(KeySet::new(Algorithm::Hs256, Vec::new(), None));
        let at = Timestamp::UNIX_EPOCH;
        let claims = VerifiedClaims {
            principal: Principal::new(UserId::generate(), SessionId::generate(), at, at),
            not_before: at,
        };
        cache.insert("a.token.of-ours", &keys, claims);
        let cached = cache.get("a.token.of-ours", &keys).unwrap();
        for other in [
            "",
            "b.token.of-ours",
            "a.token.of-our",
            "a.token.of-ours-",
            "a.token.of-ourt",
        ] {
            let hash = cache.hasher.hash_one(other);
            cache.tokens.insert(hash, Arc::clone(&cached));
            assert!(cache.get(other, &keys).is_none(), "{other}");
        }
    }
}
