use std::fmt;
use std::time::Duration;

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
    /// Records an enrollment at its [place among](Enrollee::place_among) the others of its address,
    /// with the mail and the event. The mail and the event are recorded even if there is no place
    /// for the enrollment. Calls at the same time leave no more enrollments than the same calls one
    /// after the other.
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

    /// Finds the enrollments of an address, the newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn find_enrollments_of(&self, email: &EmailAddress) -> Result<Vec<Enrollee>, StoreError>;

    /// Creates the user and the event, forgets the password hash of the enrollment and removes the
    /// other enrollments of its address; returns whether it did. Of many calls, one does.
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

/// Stands for a client network that signs up with an address, without showing either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignUpSource(Uuid);

impl SignUpSource {
    /// Wraps a source read from a database.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The source as a UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
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
    /// How many sign-ups of one address may be pending.
    pub const MAX_SIGN_UPS: usize = 5;

    /// How long a sign-up keeps its place while others sign up with the address.
    pub const KEEPS_PLACE_FOR: Duration = Duration::from_secs(60 * 60);

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

    /// Whether it may still be completed.
    #[must_use]
    pub fn is_pending(&self, now: Timestamp) -> bool {
        self.completed_at.is_none() && self.expires_at > now
    }

    /// Where a new enrollment belongs among those that the store has of its address.
    ///
    /// The rule is here, so that all stores decide alike; the store must see to it that nobody else
    /// changes the others meanwhile. An invitation replaces the earlier one. A sign-up replaces the
    /// earlier one of its source. If there is none, it is kept next to the others, as long as there
    /// are fewer than [`MAX_SIGN_UPS`](Self::MAX_SIGN_UPS). After that, it replaces one that is not
    /// pending, or else the oldest. If the oldest was begun less than
    /// [`KEEPS_PLACE_FOR`](Self::KEEPS_PLACE_FOR) ago, there is no place: strangers cannot push out
    /// what somebody has just signed up for.
    pub fn place_among(&self, others: &[Self]) -> Placement {
        let source = self.origin.source();
        if let Some(same) = others.iter().find(|other| other.origin.source() == source) {
            return Placement::InPlaceOf(same.id);
        }
        let sign_ups = || {
            others
                .iter()
                .filter(|other| other.origin.source().is_some())
        };
        if source.is_none() || sign_ups().count() < Self::MAX_SIGN_UPS {
            return Placement::Beside;
        }
        let now = self.begun_at;
        if let Some(done) = sign_ups().find(|other| !other.is_pending(now)) {
            return Placement::InPlaceOf(done.id);
        }
        let oldest = sign_ups().min_by_key(|other| other.begun_at);
        let oldest = oldest.filter(|oldest| oldest.begun_at + Self::KEEPS_PLACE_FOR <= now);
        oldest.map_or(Placement::Nowhere, |oldest| Placement::InPlaceOf(oldest.id))
    }
}

/// Where a new enrollment belongs among the others of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a store follows all of them")]
pub enum Placement {
    /// Next to the others.
    Beside,
    /// In place of this one, which is removed.
    InPlaceOf(EnrollmentId),
    /// Nowhere: it is not kept.
    Nowhere,
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
        /// From which client the sign-up came.
        source: SignUpSource,
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
                ..
            } => Some((username, password_hash)),
            Self::Invitation { .. } => None,
        }
    }

    /// The source of a sign-up; an invitation has none.
    #[must_use]
    pub const fn source(&self) -> Option<SignUpSource> {
        match self {
            Self::SignUp { source, .. } => Some(*source),
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
