//! Who makes a request.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::claims::{ExtraClaims, UnreadableClaims};
use crate::revocation::TokenEpoch;
use crate::token::other_members;
use crate::{Role, SessionId, Timestamp, UserId};

/// The caller, as a verified access token tells it.
///
/// It says what was true when the token was issued. What must be true now, such as the right to
/// register users, is read from the store: see [`AuthService::require_superuser`].
///
/// [`AuthService::require_superuser`]: crate::AuthService::require_superuser
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Principal {
    /// The user, the token's `sub`.
    pub user_id: UserId,
    /// The session, the token's `sid`.
    pub session_id: SessionId,
    /// The user's roles when the token was issued.
    pub roles: Vec<Role>,
    /// When the token was issued.
    pub issued_at: Timestamp,
    /// When the token expires.
    pub expires_at: Timestamp,
    /// A JSON object that has the host's claims among its members, if there are any.
    pub(crate) other_claims: Option<Arc<str>>,
    /// The user's epoch that the token was made in, if it names one.
    pub(crate) token_epoch: Option<TokenEpoch>,
}

impl Principal {
    /// Makes a principal without roles.
    #[must_use]
    pub const fn new(
        user_id: UserId,
        session_id: SessionId,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            user_id,
            session_id,
            roles: Vec::new(),
            issued_at,
            expires_at,
            other_claims: None,
            token_epoch: None,
        }
    }

    /// Gives the principal these roles, in place of those of before.
    #[must_use]
    pub fn with_roles<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.roles = names.into_iter().map(Role::from_stored).collect();
        self
    }

    /// Adds claims of the host, in place of those of before: for tests, and for hosts that find
    /// out by other means who calls.
    #[must_use]
    pub fn with_claims(mut self, claims: &ExtraClaims) -> Self {
        self.other_claims = Some(claims.to_json().into());
        self
    }

    /// Reads the claims that a [hook](crate::claims::ClaimsHook) of the host, or another issuer,
    /// has added to the token. Ours are not among them.
    ///
    /// # Errors
    ///
    /// [`UnreadableClaims`] if the token does not carry what `T` needs, or an object in it has a
    /// member twice.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, UnreadableClaims> {
        let members = match &self.other_claims {
            Some(json) => other_members(json),
            None => Ok(Map::new()),
        };
        members
            .and_then(|members| T::deserialize(Value::Object(members)))
            .map_err(UnreadableClaims::new)
    }

    /// Whether the token carries the role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held.as_str() == role)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("user_id", &self.user_id)
            .field("session_id", &self.session_id)
            .field("roles", &self.roles)
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Proof that the caller was a superuser when the store was asked, a moment ago.
///
/// [`AuthService::register`] wants it, so that nobody forgets to ask.
///
/// [`AuthService::register`]: crate::AuthService::register
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superuser(UserId);

impl Superuser {
    /// Asserts that the user is a superuser, without asking the store.
    ///
    /// For implementations of [`AuthService`](crate::AuthService), which have just asked, and for
    /// hosts that decide by other means who may register users.
    #[must_use]
    pub const fn assume(user_id: UserId) -> Self {
        Self(user_id)
    }

    /// The superuser.
    #[must_use]
    pub const fn user_id(&self) -> UserId {
        self.0
    }
}
