//! Who makes a request.

use crate::{Role, SessionId, Timestamp, UserId};

/// The caller, as a verified access token tells it.
///
/// It says what was true when the token was issued. What must be true now, such as the right to
/// register users, is read from the store: see [`AuthService::require_superuser`].
///
/// [`AuthService::require_superuser`]: crate::AuthService::require_superuser
#[derive(Clone, Debug, PartialEq, Eq)]
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
        }
    }

    /// Whether the token carries the role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held.as_str() == role)
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
