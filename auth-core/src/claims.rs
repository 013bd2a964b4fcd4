//! The host's own claims: a hook adds them to access tokens, and the callers' bring them back.
//!
//! ```
//! use std::sync::Arc;
//!
//! use auth_core::EngineBuilder;
//! use auth_core::claims::{ClaimsError, ExtraClaims, TokenSubject};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Membership {
//!     tenant: String,
//! }
//!
//! async fn membership(subject: TokenSubject) -> Result<ExtraClaims, ClaimsError> {
//!     // Here, ask your database.
//!     let tenant = format!("tenant of {}", subject.user_id);
//!     ExtraClaims::new(&Membership { tenant })
//! }
//!
//! fn with_memberships(builder: EngineBuilder) -> EngineBuilder {
//!     builder.with_claims_hook(Arc::new(membership))
//! }
//!
//! fn tenant_of(caller: &auth_core::Principal) -> Option<String> {
//!     Some(caller.claims::<Membership>().ok()?.tenant)
//! }
//! ```
//!
//! The engine asks the hook that its [builder](crate::EngineBuilder::with_claims_hook) was given
//! before each login and at each refresh.
//!
//! # Names
//!
//! What the token says of itself cannot be said by the host: a claim with one of these names is
//! refused ([`ClaimsError::Reserved`]), never written over ours. Other names stay the host's: of
//! later versions, one may reserve a name that is
//! [registered](https://www.iana.org/assignments/jwt/jwt.xhtml) today, but no other.
//!
//! | names | what they are |
//! |---|---|
//! | `iss`, `sub`, `aud`, `exp`, `nbf`, `iat`, `jti` | the registered claims (RFC 7519 section 4.1) |
//! | `sid`, `client_id`, `roles` | the others of our tokens (RFC 9068 section 2.2) |
//! | `scope`, `scp`, `authorization_details` | what the client may do (RFC 8693, RFC 9396) |
//! | `act`, `may_act`, `cnf` | for whom, and with which key (RFC 8693, RFC 7800) |
//! | `acr`, `amr`, `auth_time`, `azp`, `nonce` | how the user logged in (RFC 9068, OpenID Connect) |

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::token::{self, MAX_TOKEN_BYTES};
use crate::{Roles, SessionId, SessionOwner, UserId};

/// Tells what the host adds to an access token.
///
/// It is called before each login is answered, after the password was found right, and at each
/// refresh; no connection to the database is held meanwhile. The request waits for it, so that a
/// hook that asks somebody limits how long. If it fails, the request does, and no token is issued:
/// a login leaves no session, and a refresh can be tried again with the same token.
///
/// Any async function or closure of a [`TokenSubject`] will do; see the [module](self).
///
/// Whoever has the token reads the claims: they are signed, not secret. They stay as they are
/// until the token is refreshed.
#[async_trait]
pub trait ClaimsHook: Send + Sync + 'static {
    /// Makes the claims for a token of this user.
    ///
    /// # Errors
    ///
    /// - [`ClaimsError::Unavailable`] if another try may succeed: the client is answered with 503;
    /// - any other [`ClaimsError`] if somebody has to look into it: the client is answered with
    ///   500, and the log says why.
    async fn claims(&self, subject: TokenSubject) -> Result<ExtraClaims, ClaimsError>;
}

#[async_trait]
impl<F, Fut> ClaimsHook for F
where
    F: Fn(TokenSubject) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<ExtraClaims, ClaimsError>> + Send + 'static,
{
    async fn claims(&self, subject: TokenSubject) -> Result<ExtraClaims, ClaimsError> {
        self(subject).await
    }
}

/// The hook of an engine.
#[derive(Clone)]
pub(crate) struct SharedHook(pub(crate) Arc<dyn ClaimsHook>);

impl fmt::Debug for SharedHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedHook")
    }
}

/// For whom a token will be issued, as the store says at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenSubject {
    /// The user, the token's `sub`.
    pub user_id: UserId,
    /// The session, the token's `sid`. At a login it has not begun yet.
    pub session_id: SessionId,
    /// The roles the user has been given.
    pub roles: Roles,
    /// Whether the user is a superuser.
    pub is_superuser: bool,
    /// Whether the user's address is verified.
    pub email_verified: bool,
}

impl TokenSubject {
    /// Makes a subject without privileges whose address is not verified, for tests of a hook.
    #[must_use]
    pub fn new(user_id: UserId, session_id: SessionId) -> Self {
        Self::of(&SessionOwner::new(user_id), session_id)
    }

    pub(crate) fn of(owner: &SessionOwner, session_id: SessionId) -> Self {
        Self {
            user_id: owner.id,
            session_id,
            roles: owner.roles.clone(),
            is_superuser: owner.is_superuser,
            email_verified: owner.email_verified,
        }
    }
}

/// What a host adds to a token: the members of a JSON object.
///
/// `Debug` shows the names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExtraClaims(Map<String, Value>);

impl ExtraClaims {
    /// Takes the fields of a struct, or the entries of a map.
    ///
    /// # Errors
    ///
    /// - [`ClaimsError::NoObject`] if the value is written as anything but a JSON object;
    /// - [`ClaimsError::Reserved`] if a claim has one of the [reserved names](self#names).
    pub fn new<T: Serialize + ?Sized>(claims: &T) -> Result<Self, ClaimsError> {
        let claims =
            serde_json::to_value(claims).map_err(|error| ClaimsError::Failed(error.into()))?;
        let Value::Object(claims) = claims else {
            return Err(ClaimsError::NoObject);
        };
        match claims.keys().find(|name| token::is_reserved(name)) {
            Some(name) => Err(ClaimsError::Reserved(name.clone())),
            None => Ok(Self(claims)),
        }
    }

    pub(crate) fn to_json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    pub(crate) const fn members(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl fmt::Debug for ExtraClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExtraClaims")?;
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why there are no claims for a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// Who knows them does not answer; another try may succeed.
    #[error("the claims are not available now")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// They cannot be made.
    #[error("the claims cannot be made")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
    /// They are no JSON object.
    #[error("the claims are no JSON object")]
    NoObject,
    /// A claim has a [reserved name](self#names).
    #[error("the claim `{0}` is not the host's to make")]
    Reserved(String),
    /// With them the token would be longer than verifiers take.
    #[error("the access token would have {0} bytes, and verifiers take {max}", max = MAX_TOKEN_BYTES)]
    TooLong(usize),
}

impl ClaimsError {
    /// Wraps the failure of somebody who may answer another time, a database for instance.
    pub fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(error.into())
    }

    /// Wraps a failure that no other try will mend.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }
}

/// The token does not carry the claims that were asked for, or carries one twice.
#[derive(Debug, thiserror::Error)]
#[error("the token's claims cannot be read as what was asked for")]
pub struct UnreadableClaims(#[source] serde_json::Error);

impl UnreadableClaims {
    pub(crate) const fn new(error: serde_json::Error) -> Self {
        Self(error)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_that_is_ours_to_make_is_refused() {
        for name in [
            "iss",
            "sub",
            "aud",
            "exp",
            "nbf",
            "iat",
            "jti",
            "sid",
            "client_id",
            "roles",
            "scope",
            "scp",
            "authorization_details",
            "act",
            "may_act",
            "cnf",
            "acr",
            "amr",
            "auth_time",
            "azp",
            "nonce",
        ] {
            let refused = ExtraClaims::new(&json!({ "tenant": "acme", name: "x" }));
            assert!(
                matches!(&refused, Err(ClaimsError::Reserved(it)) if it == name),
                "{name}: {refused:?}"
            );
        }
        for name in [
            "ISS",
            "tenant",
            "email",
            "groups",
            "https://example.org/sub",
        ] {
            assert!(ExtraClaims::new(&json!({ name: 1 })).is_ok(), "{name}");
        }
    }

    #[test]
    fn claims_are_an_object() {
        for value in [json!(null), json!(1), json!("x"), json!([["a", 1]])] {
            let refused = ExtraClaims::new(&value);
            assert!(matches!(refused, Err(ClaimsError::NoObject)), "{value}");
        }
        let unwritable = ExtraClaims::new(&std::collections::BTreeMap::from([((1, 2), 3)]));
        assert!(matches!(unwritable, Err(ClaimsError::Failed(_))));
    }

    #[test]
    fn s14_2_debug_shows_names_and_no_values() {
        let claims = ExtraClaims::new(&json!({"tenant": "acme", "plan": "gold"})).unwrap();
        assert_eq!(format!("{claims:?}"), r#"ExtraClaims{"plan", "tenant"}"#);
    }
}
