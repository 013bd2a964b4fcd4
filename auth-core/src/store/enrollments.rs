use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{NewMail, NewUser, StoreError};
use crate::audit::AuditEvent;
use crate::{EmailAddress, PasswordHash, Timestamp, UserId, Username};

/// Enrollments: accounts to come, begun by signing up or by an invitation, and completed at the
/// address.
///
/// An enrollment is no user: nobody logs in with it, and it reserves neither a name nor an address.
#[async_trait]
pub trait EnrollmentStore: fmt::Debug + Send + Sync + 'static {
    /// Notes an enrollment, in place of any other of its address, with the mail and the event.
    ///
    /// It asks nothing about users, so that it costs the same whether or not one has the address.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn begin_enrollment(
        &self,
        enrollment: &Enrollee,
        mail: &NewMail,
        event: &AuditEvent,
    ) -> Result<(), StoreError>;

    /// Finds an enrollment.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn find_enrollment(&self, id: EnrollmentId) -> Result<Option<Enrollee>, StoreError>;

    /// Finds the enrollment of an address.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn find_enrollment_of(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<Enrollee>, StoreError>;

    /// Creates the user and the event, and forgets the password hash of the enrollment; returns
    /// whether it did. It does so once.
    ///
    /// # Errors
    ///
    /// - [`StoreError::UsernameTaken`], [`StoreError::EmailTaken`] as for
    ///   [`create_user`](super::UserStore::create_user): the enrollment stays as it is;
    /// - [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn complete_enrollment(
        &self,
        id: EnrollmentId,
        user: &NewUser,
        event: &AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Removes up to `limit` enrollments that expire before a time, completed or not; returns how
    /// many.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn remove_enrollments(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}

/// Identifies an enrollment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EnrollmentId(Uuid);

impl EnrollmentId {
    /// Makes a fresh id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Wraps an id read from a database or a link.
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

impl fmt::Display for EnrollmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who is to become a user.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Enrollee {
    /// The enrollment's id.
    pub id: EnrollmentId,
    /// The address, where the enrollment is completed.
    pub email: EmailAddress,
    /// How it was begun.
    pub origin: EnrollmentOrigin,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// From when on nobody needs it any more.
    pub expires_at: Timestamp,
    /// When it was completed.
    pub completed_at: Option<Timestamp>,
}

impl Enrollee {
    /// Makes the record of an enrollment that begins.
    #[must_use]
    pub const fn new(
        id: EnrollmentId,
        email: EmailAddress,
        origin: EnrollmentOrigin,
        begun_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            id,
            email,
            origin,
            begun_at,
            expires_at,
            completed_at: None,
        }
    }
}

/// How an enrollment was begun.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EnrollmentOrigin {
    /// Somebody signed up.
    SignUp {
        /// The name to log in with.
        username: Username,
        /// The hash of the password; an unusable one when the enrollment is completed.
        password_hash: PasswordHash,
    },
    /// An administrator invited the address.
    Invitation {
        /// The superuser; `None` for the operator.
        by: Option<UserId>,
    },
}

impl EnrollmentOrigin {
    /// The name and the hash that came with a sign-up.
    #[must_use]
    pub const fn credentials(&self) -> Option<(&Username, &PasswordHash)> {
        match self {
            Self::SignUp {
                username,
                password_hash,
            } => Some((username, password_hash)),
            Self::Invitation { .. } => None,
        }
    }

    /// The superuser who invited.
    #[must_use]
    pub const fn invited_by(&self) -> Option<UserId> {
        match self {
            Self::SignUp { .. } => None,
            Self::Invitation { by } => *by,
        }
    }
}
