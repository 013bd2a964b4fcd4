//! Users and their identifiers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::revocation::TokenEpoch;
use crate::{EmailAddress, Roles, Timestamp, Username};

/// Identifies a user for ever: an id is never given to a second user.
///
/// ```
/// use auth_core::UserId;
///
/// let id = UserId::generate();
/// assert_eq!(id.to_string().parse(), Ok(id));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(Uuid);

impl UserId {
    /// Makes a fresh id (UUID version 7, so that rows are appended in the order of their making).
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Wraps an id read from a database or a token.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id as a UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl FromStr for UserId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserId({})", self.0)
    }
}

/// A registered user, without the password hash.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The id, the `sub` of the user's access tokens.
    pub id: UserId,
    /// The name, as it was typed.
    pub username: Username,
    /// The address, as it was typed.
    pub email: EmailAddress,
    /// When the user proved to read mail at the address.
    pub email_verified_at: Option<Timestamp>,
    /// Whether the user may log in.
    pub is_active: bool,
    /// Whether the user may register others.
    pub is_superuser: bool,
    /// The roles that the user's access tokens carry, besides that of a superuser.
    pub roles: Roles,
    /// How often what the access tokens say has changed; a store counts it.
    pub token_epoch: TokenEpoch,
    /// When the user was registered.
    pub created_at: Timestamp,
}

impl User {
    /// Makes the record of a user who is active, not verified and not privileged.
    #[must_use]
    pub fn new(id: UserId, username: Username, email: EmailAddress, created_at: Timestamp) -> Self {
        Self {
            id,
            username,
            email,
            email_verified_at: None,
            is_active: true,
            is_superuser: false,
            roles: Roles::default(),
            token_epoch: TokenEpoch::FIRST,
            created_at,
        }
    }
}
