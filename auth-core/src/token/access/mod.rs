//! Access tokens: signed JWTs of the type `at+jwt` (RFC 9068).

mod cache;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};

use self::cache::TokenCache;
use super::claims::{Claims, Parsed, parse_object};
use super::jws::{KeySet, MAX_PAYLOAD_BYTES, MAX_TOKEN_BYTES, TokenType};
use super::keys::RandomnessUnavailable;
use super::verifying_keys::{Jwks, VerifyingKeys};
use crate::claims::{ClaimsError, ExtraClaims};
use crate::revocation::{Revocations, TokenEpoch};
use crate::secret::secret_string;
use crate::{AuthError, Clock, Principal, SessionId, Timestamp, UserId, jitter};

secret_string! {
    /// An access token: a JWT of the type `at+jwt` (RFC 9068).
    pub AccessToken
}

/// For whom tokens are made, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct TokenScope {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) client_id: String,
}

/// Issues access tokens.
#[derive(Clone)]
pub(crate) struct AccessTokenIssuer {
    keys: VerifyingKeys,
    scope: TokenScope,
    lifetime: Duration,
}

#[derive(Serialize)]
struct IssuedClaims<'a> {
    iss: &'a str,
    sub: uuid::Uuid,
    aud: &'a str,
    client_id: &'a str,
    iat: i64,
    exp: i64,
    jti: &'a str,
    sid: uuid::Uuid,
    roles: &'a [&'a str],
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

impl AccessTokenIssuer {
    /// Signs with the one of the keys that can.
    pub(crate) const fn new(keys: VerifyingKeys, scope: TokenScope, lifetime: Duration) -> Self {
        Self {
            keys,
            scope,
            lifetime,
        }
    }

    /// The longest that a token lives.
    pub(crate) const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    pub(crate) fn issue(
        &self,
        subject: TokenOwner,
        roles: &[&str],
        extra: &ExtraClaims,
        now: Timestamp,
    ) -> Result<AccessToken, AuthError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|_| AuthError::Internal(Box::new(RandomnessUnavailable)))?;
        let [first, second, ..] = random;
        let claims = IssuedClaims {
            iss: &self.scope.issuer,
            sub: subject.user.as_uuid(),
            aud: &self.scope.audience,
            client_id: &self.scope.client_id,
            iat: now.unix_seconds(),
            exp: (now + jitter::shorten(self.lifetime, [first, second])).unix_seconds(),
            jti: &token_id(random, subject.epoch),
            sid: subject.session.as_uuid(),
            roles,
            extra: extra.members(),
        };
        let claims = serde_json::to_vec(&claims).map_err(|e| AuthError::Internal(Box::new(e)))?;
        let keys = self.keys.current();
        let (key, header) = keys
            .signing()
            .ok_or_else(|| AuthError::Internal(Box::new(NoSigningKey)))?;
        let mut token = format!("{header}.");
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = key
            .sign(token.as_bytes())
            .map_err(|e| AuthError::Internal(Box::new(e)))?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        if token.len() > MAX_TOKEN_BYTES {
            return Err(ClaimsError::TooLong(token.len()).into());
        }
        Ok(AccessToken::new(token))
    }
}

/// Whose token it is, and as of which of the user's [epochs](TokenEpoch).
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenOwner {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    pub(crate) epoch: Option<TokenEpoch>,
}

/// How many characters of an id are random: 128 bits.
const RANDOM_CHARS: usize = 22;

/// The id of a token: random characters, a dot, and the epoch. To others it is any string.
fn token_id(random: [u8; 16], epoch: Option<TokenEpoch>) -> String {
    let random = URL_SAFE_NO_PAD.encode(random);
    match epoch {
        Some(epoch) => format!("{random}.{epoch}"),
        None => random,
    }
}

/// The epoch that the id of a token of ours names.
fn epoch_of(token_id: &str) -> Option<TokenEpoch> {
    let (random, epoch) = token_id.split_once('.')?;
    let epoch = epoch.parse().ok().map(TokenEpoch::new);
    epoch.filter(|_| random.len() == RANDOM_CHARS)
}

impl fmt::Debug for AccessTokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokenIssuer")
            .field("scope", &self.scope)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// The keys that the issuer was given can only verify.
#[derive(Debug, thiserror::Error)]
#[error("no key signs")]
struct NoSigningKey;

/// Verifies access tokens: a plain value, cheap to clone, without I/O and without waiting.
///
/// The algorithm is the key's, never the token's. Checked are the signature, the type, issuer,
/// audience and times, as RFC 9068 section 4 and RFC 8725 ask for.
#[derive(Clone)]
pub struct AccessTokenVerifier {
    shared: Arc<Shared>,
    leeway: Duration,
    revocations: Option<Revocations>,
    cache: Option<Arc<TokenCache>>,
}

struct Shared {
    keys: VerifyingKeys,
    issuer: String,
    audience: String,
    clock: Arc<dyn Clock>,
}

/// What a token says that is ours and well signed, and that only time can make bad.
#[derive(Clone)]
struct VerifiedClaims {
    principal: Principal,
    not_before: Timestamp,
}

impl AccessTokenVerifier {
    /// How far apart clocks may be by default.
    pub const LEEWAY: Duration = Duration::from_secs(5);

    /// How far apart clocks may be at most. With a leeway, a token is accepted for that much longer
    /// after it has expired.
    pub const MAX_LEEWAY: Duration = Duration::from_secs(60);

    /// Makes a verifier of the tokens that `issuer` issues for `audience`. Where the two differ and
    /// are given the other way round, it refuses them all.
    ///
    /// An [`Engine`](crate::Engine) gives one that fits
    /// ([`access_token_verifier`](crate::Engine::access_token_verifier)); this is for services
    /// that verify only. The keys are a ring, `&JwtKeys`, or `&VerifyingKeys`, which can be
    /// replaced while the verifier is in use.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use auth_core::{AccessTokenVerifier, AuthError, JwtKeys, SecretKey, SystemClock};
    ///
    /// let secret = SecretKey::parse("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0")?;
    /// let verifier = AccessTokenVerifier::new(
    ///     &JwtKeys::hs256(secret),
    ///     "https://auth.example.org",
    ///     "https://auth.example.org",
    ///     Arc::new(SystemClock),
    /// );
    /// assert!(matches!(verifier.verify("a.b.c"), Err(AuthError::TokenInvalid)));
    /// # Ok::<(), auth_core::WeakKey>(())
    /// ```
    #[must_use]
    pub fn new(
        keys: impl Into<VerifyingKeys>,
        issuer: impl Into<String>,
        audience: impl Into<String>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                keys: keys.into(),
                issuer: issuer.into(),
                audience: audience.into(),
                clock,
            }),
            leeway: Self::LEEWAY,
            revocations: None,
            cache: None,
        }
    }

    /// How far apart the clocks of the issuer and of this verifier may be (default 5 seconds, at most
    /// a minute).
    ///
    /// # Errors
    ///
    /// [`LeewayTooLong`] beyond [`MAX_LEEWAY`](Self::MAX_LEEWAY).
    pub fn with_leeway(mut self, leeway: Duration) -> Result<Self, LeewayTooLong> {
        if leeway > Self::MAX_LEEWAY {
            return Err(LeewayTooLong);
        }
        self.leeway = leeway;
        Ok(self)
    }

    /// Refuses the tokens that are revoked, as soon as this set knows it.
    #[must_use]
    pub fn with_revocations(mut self, revocations: Revocations) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Remembers up to `capacity` verified tokens, and does not check their signatures again; clones
    /// share them (default: none are remembered).
    ///
    /// It pays where tokens are signed with EdDSA, ES256 or RS256 and each comes with many requests.
    /// A token that is remembered is refused as soon as any other: its times and the
    /// [revocations](Self::with_revocations) are checked each time, and under other keys it is
    /// verified anew. What was refused is never remembered; what has expired since stays until
    /// others need its room.
    ///
    /// Each takes its own length and about 300 bytes, so that 10,000 usual ones take 8 MB; with the
    /// longest of 4 KiB, full of the host's claims, they would take 75 MB. The tokens themselves are
    /// kept, in memory only, and wiped when others take their place.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use std::num::NonZeroUsize;
    /// # use auth_core::{AccessTokenVerifier, SystemClock, VerifyingKeys};
    /// # use auth_core::signature::Algorithm;
    ///
    /// # let keys = VerifyingKeys::for_algorithm(Algorithm::EdDsa);
    /// # let issuer = "https://auth.example.org";
    /// let verifier = AccessTokenVerifier::new(&keys, issuer, issuer, Arc::new(SystemClock));
    /// let capacity = NonZeroUsize::new(10_000).expect("10,000 is not zero");
    /// let verifier = verifier.with_token_cache(capacity);
    /// ```
    #[must_use]
    pub fn with_token_cache(mut self, capacity: NonZeroUsize) -> Self {
        self.cache = Some(Arc::new(TokenCache::new(capacity)));
        self
    }

    /// Verifies a token and tells whose it is.
    ///
    /// # Errors
    ///
    /// - [`AuthError::TokenExpired`] if nothing else is wrong with it, or what it says of the user
    ///   may not be true any more;
    /// - [`AuthError::TokenRevoked`] if its session has ended;
    /// - [`AuthError::Storage`] as the [revocations](Self::with_revocations) say;
    /// - [`AuthError::TokenInvalid`] in every other case.
    pub fn verify(&self, token: &str) -> Result<Principal, AuthError> {
        // The same keys throughout: a token must not be remembered under others.
        let keys = self.shared.keys.current();
        if let Some(cache) = &self.cache
            && let Some(cached) = cache.get(token, &keys)
        {
            self.check_now(&cached.claims)?;
            return Ok(cached.claims.principal.clone());
        }
        let claims = self.shared.verified_claims(token, &keys);
        let claims = claims.ok_or(AuthError::TokenInvalid)?;
        self.check_now(&claims)?;
        if let Some(cache) = &self.cache {
            cache.insert(token, &keys, claims.clone());
        }
        Ok(claims.principal)
    }

    /// Checks what may be otherwise at each request.
    fn check_now(&self, claims: &VerifiedClaims) -> Result<(), AuthError> {
        let shared = &*self.shared;
        let now = shared.clock.now();
        if claims.not_before > now + self.leeway {
            return Err(AuthError::TokenInvalid);
        }
        if now >= claims.principal.expires_at + self.leeway {
            return Err(AuthError::TokenExpired);
        }
        match &self.revocations {
            Some(revocations) => revocations.check(&claims.principal),
            None => Ok(()),
        }
    }

    /// The public keys as a JSON Web Key Set (RFC 7517): none with HS256, which has only secrets.
    #[must_use]
    pub fn jwks(&self) -> Jwks {
        self.shared.keys.jwks()
    }
}

/// The clock leeway is longer than [`AccessTokenVerifier::MAX_LEEWAY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock leeway must not be longer than 60 seconds")]
pub struct LeewayTooLong;

impl fmt::Debug for AccessTokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokenVerifier")
            .field("issuer", &self.shared.issuer)
            .field("audience", &self.shared.audience)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Checks everything but the times.
    fn verified_claims(&self, token: &str, keys: &KeySet) -> Option<VerifiedClaims> {
        let buffer = &mut [0; MAX_PAYLOAD_BYTES];
        let payload = self
            .keys
            .verified_payload(keys, token, TokenType::AccessToken, buffer)?;
        let Parsed { object, has_others } = parse_object(payload)?;
        let mut claims = self.checked(object)?;
        if has_others {
            claims.principal.other_claims = Some(std::str::from_utf8(payload).ok()?.into());
        }
        Some(claims)
    }

    fn checked(&self, claims: Claims<'_>) -> Option<VerifiedClaims> {
        let for_us = claims.iss == self.issuer && claims.aud.contains(&self.audience);
        if !for_us || claims.jti.is_empty() {
            return None;
        }
        let issued_at = claims.iat.timestamp();
        let mut principal = Principal::new(
            UserId::from_uuid(claims.sub),
            SessionId::from_uuid(claims.sid),
            issued_at,
            claims.exp.timestamp(),
        );
        principal.roles = claims.roles.0;
        principal.token_epoch = epoch_of(&claims.jti);
        let not_before = claims.nbf.map_or(issued_at, |nbf| nbf.timestamp());
        Some(VerifiedClaims {
            principal,
            not_before: not_before.max(issued_at),
        })
    }
}

#[cfg(test)]
mod asymmetric_tests;
#[cfg(test)]
mod cache_tests;
#[cfg(test)]
mod tests;
