//! Sessions: what a login makes and a logout ends.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::revocation::TokenEpoch;
use crate::{Roles, RotationKey, Timestamp, UserId};

/// Identifies a session: 122 random bits, which nobody can guess.
///
/// ```
/// use auth_core::SessionId;
///
/// let id = SessionId::generate();
/// assert_eq!(id.to_string().parse(), Ok(id));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Uuid);

impl SessionId {
    /// Makes a fresh random id (UUID version 4).
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::new_v4())
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

impl FromStr for SessionId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.0)
    }
}

/// Counts the refresh tokens that a session has had: the first is 0.
///
/// Of a session's tokens only the one with the current generation is good; see
/// [refresh token rotation](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u32);

impl Generation {
    /// The generation of a new session's token.
    pub const FIRST: Self = Self(0);

    /// Wraps a number read from a database or a token.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The generation after this one, if the counter has not run out.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            // The databases keep the number in a signed 32-bit column.
            Some(number) if number <= i32::MAX as u32 => Some(Self(number)),
            _ => None,
        }
    }
}

/// A session together with what decides whether its owner may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session {
    /// The id, the `sid` of the session's access tokens.
    pub id: SessionId,
    /// Who logged in.
    pub owner: SessionOwner,
    /// The generation of the refresh token issued last.
    pub generation: Generation,
    /// When the user logged in.
    pub created_at: Timestamp,
    /// When the session ends whatever happens.
    pub expires_at: Timestamp,
    /// When the refresh token was last rotated.
    pub rotated_at: Option<Timestamp>,
    /// Whose the last rotation is, if its client sent a key.
    pub rotation_key: Option<RotationKey>,
    /// When a use of the session was last noted; see [`last_used_at`](Self::last_used_at).
    pub used_at: Option<Timestamp>,
    /// When the session was ended before its time.
    pub revoked_at: Option<Timestamp>,
    /// From which address the user logged in, if it is known.
    pub client: Option<IpAddr>,
}

impl Session {
    /// Makes the record of a session that has just begun.
    #[must_use]
    pub const fn new(
        id: SessionId,
        owner: SessionOwner,
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            id,
            owner,
            generation: Generation::FIRST,
            created_at,
            expires_at,
            rotated_at: None,
            rotation_key: None,
            used_at: None,
            revoked_at: None,
            client: None,
        }
    }

    /// Whether the session can be used at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at && self.owner.is_active
    }

    /// When the session was last used, as far as it was noted: each rotation is, and where an
    /// idle lifetime is set, of the other refreshes one an hour.
    #[must_use]
    pub fn last_used_at(&self) -> Timestamp {
        self.used_at.unwrap_or(self.created_at)
    }
}

/// What a session's use depends on of its user, read together with the session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionOwner {
    /// The user.
    pub id: UserId,
    /// Whether the user may log in.
    pub is_active: bool,
    /// Whether the user may register others.
    pub is_superuser: bool,
    /// The user's roles.
    pub roles: Roles,
    /// The epoch of the access tokens that are made of this.
    pub token_epoch: TokenEpoch,
    /// Whether the user's address is verified.
    pub email_verified: bool,
}

impl SessionOwner {
    /// Makes an active owner without privileges whose address is not verified.
    #[must_use]
    pub fn new(id: UserId) -> Self {
        Self {
            id,
            is_active: true,
            is_superuser: false,
            roles: Roles::default(),
            token_epoch: TokenEpoch::FIRST,
            email_verified: false,
        }
    }
}

/// Why a session was ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevocationReason {
    /// The user logged out.
    Logout,
    /// A refresh token was used again that had been replaced.
    ReuseDetected,
    /// An administrator ended it.
    Administrative,
    /// The user was deactivated.
    Deactivated,
    /// The user's password was changed.
    PasswordChanged,
    /// The user began more sessions than one may have, and this was the oldest.
    SessionLimit,
}

impl RevocationReason {
    /// The stable name that a store keeps.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::ReuseDetected => "reuse_detected",
            Self::Administrative => "administrative",
            Self::Deactivated => "deactivated",
            Self::PasswordChanged => "password_changed",
            Self::SessionLimit => "session_limit",
        }
    }
}
