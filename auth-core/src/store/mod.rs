//! What a database must do.
//!
//! Each method is one atomic act, named in the words of the domain, and durable when it returns.
//! PostgreSQL ([`PostgresStore`]) and SQLite ([`SqliteStore`]) come with the crate; for another
//! database implement [`Store`] and prove it with the [conformance suite](crate::testing).
#![cfg_attr(not(feature = "postgres"), doc = "\n[`PostgresStore`]: crate#features")]
#![cfg_attr(not(feature = "sqlite"), doc = "\n[`SqliteStore`]: crate#features")]

mod accounts;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod batch;
mod clock_reading;
mod email_changes;
mod enrollments;
mod events;
mod housekeeping;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod operator;
#[cfg(feature = "postgres")]
mod postgres;
mod revocations;
mod rotation;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod run_to_end;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod stored;
mod throttle;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod transaction;
mod user_filter;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

pub use self::accounts::{AccountChange, AccountStore, PasswordReplacement};
pub use self::clock_reading::ClockReading;
pub use self::email_changes::{
    EmailChange, EmailChangeId, EmailChangeStore, EmailChangeUndo, NewEmailChange,
};
pub use self::enrollments::{
    Enrollee, EnrollmentId, EnrollmentOrigin, EnrollmentStore, Placement, SignUpSource,
};
pub use self::events::{EventFilter, EventStore};
pub use self::housekeeping::HousekeepingStore;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::operator::{MailState, OwedMail};
#[cfg(all(feature = "fuzzing", feature = "postgres"))]
pub(crate) use self::postgres::notification_again;
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresStore, RevocationDelivery};
pub use self::revocations::{Ending, RevocationFeed, RevocationNews, RevocationStore, Revoked};
pub use self::rotation::SessionRotation;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;
pub use self::throttle::{
    Admission, LoginSettlement, ThrottleKey, ThrottleStore, TryBudget, TryRecord,
};
pub use self::user_filter::{UserFilter, UserSearch};
use crate::audit::AuditEvent;
use crate::mail::MailKind;
use crate::{
    EmailAddress, Generation, PasswordHash, Session, SessionId, Timestamp, User, UserId, Username,
};

/// Everything the [`Engine`](crate::Engine) needs of a database.
#[async_trait]
pub trait Store:
    UserStore
    + AccountStore
    + EmailChangeStore
    + EnrollmentStore
    + SessionStore
    + RevocationStore
    + ThrottleStore
    + OutboxStore
    + EventStore
    + HousekeepingStore
{
    /// Tries whether the database answers and takes writes. Anybody may ask: of many calls at once,
    /// one writes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if it does not.
    async fn check(&self) -> Result<(), StoreError>;

    /// Reads the database's clock, by which all nodes go. Returns `None`, as it does by default, if
    /// they need none: all nodes are on the database's machine, or their clocks are known to agree.
    ///
    /// The feed of revocations returns such a reading with its news
    /// ([`RevocationNews::with_clock_reading`]).
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn read_clock(&self) -> Result<Option<ClockReading>, StoreError> {
        Ok(None)
    }

    /// Whether the store can still work by itself, however the database is: if it has lost its
    /// connections for good, the process is to be restarted.
    fn is_alive(&self) -> bool {
        true
    }
}

/// Users.
#[async_trait]
pub trait UserStore: fmt::Debug + Send + Sync + 'static {
    /// Creates the user, the mail if there is one, and the event: all or nothing.
    ///
    /// Uniqueness of the canonical username and of the e-mail address's key is decided by the
    /// database, not by a read before the write.
    ///
    /// # Errors
    ///
    /// - [`StoreError::UsernameTaken`], also if another user has the skeleton;
    /// - [`StoreError::EmailTaken`], also while the address is
    ///   [reserved](EmailChangeStore::confirm_email_change) at the event's time;
    /// - [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn create_user(
        &self,
        user: &NewUser,
        mail: Option<&NewMail>,
        event: &AuditEvent,
    ) -> Result<(), StoreError>;

    /// Creates the user, as a superuser, unless there is one already; of two at once, one creates.
    ///
    /// Returns whether it created the user; only then is there an event.
    ///
    /// # Errors
    ///
    /// As for [`create_user`](Self::create_user).
    async fn create_first_superuser(
        &self,
        user: &NewUser,
        event: &AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Finds the user with the canonical username, and the password hash.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn find_credentials(
        &self,
        username: &Username,
    ) -> Result<Option<(User, PasswordHash)>, StoreError>;

    /// Finds the user with the address, and the password hash.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn find_credentials_by_email(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, PasswordHash)>, StoreError>;

    /// Finds a user.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn find_user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// Lists users, in the order of the filter's keys, compared byte by byte.
    ///
    /// A page costs the same wherever it begins: an index leads to it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn list_users(&self, filter: &UserFilter) -> Result<Vec<User>, StoreError>;

    /// Gives skeletons to users who have none, up to `limit` of them in the order of their ids, after
    /// this one: each as
    /// [`UsernamePolicy::skeleton`](crate::UsernamePolicy::skeleton) makes it of the username. Returns the last that it
    /// looked at, and `None` if there was none to look at.
    ///
    /// A user whose skeleton another has already is left without.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn fill_username_skeletons(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Option<UserId>, StoreError>;

    /// Replaces the password hash if it is still `current`; returns whether it was.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn replace_password_hash(
        &self,
        id: UserId,
        current: &PasswordHash,
        replacement: &PasswordHash,
    ) -> Result<bool, StoreError>;

    /// Begins a new verification of the address, which ends every earlier one.
    ///
    /// Returns who has the address and the verification's generation, one more than the last; or
    /// `None` if no active user with an unverified address has it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn begin_email_verification(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, Generation)>, StoreError>;

    /// Finds the verification of the address that was begun last, without beginning another one:
    /// returns what [`begin_email_verification`](Self::begin_email_verification) returned then.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn find_email_verification(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, Generation)>, StoreError>;

    /// Marks the address as verified at the event's time, if it is still the user's and the
    /// verification is the last; only then is there an event.
    ///
    /// An address that is verified already is [`AlreadyConfirmed`], by whichever verification.
    ///
    /// [`AlreadyConfirmed`]: EmailConfirmation::AlreadyConfirmed
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn confirm_email(
        &self,
        id: UserId,
        email: &EmailAddress,
        verification: Generation,
        event: &AuditEvent,
    ) -> Result<EmailConfirmation, StoreError>;
}

/// Sessions.
#[async_trait]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Begins a session, if the user is active and the password hash is still the one that was
    /// checked; returns which others ended for it, if it did. Only then is there an event.
    ///
    /// The user then has at most [`at_most`](NewSession::at_most) live sessions, also after many
    /// logins at once: of the others, those that began first end as of
    /// [`SessionLimit`](crate::RevocationReason::SessionLimit).
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn create_session(
        &self,
        session: &NewSession,
        checked: &PasswordHash,
        event: &AuditEvent,
    ) -> Result<Option<Revoked>, StoreError>;

    /// Finds a session, with what its use depends on of its user.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn find_session(&self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// Lists the user's sessions that are live at `now`, those that began last first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn list_sessions(
        &self,
        user: UserId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError>;

    /// Moves a session on by one generation, if it is at the one to start from, live at the time,
    /// used lately enough, and its user active. Notes the use and the key.
    ///
    /// Returns the session as it is afterwards, or `None` if it was not moved. Of two calls at
    /// once from the same generation, one moves it. A revocation that has been acknowledged is
    /// seen.
    ///
    /// The only act that need not be durable when it returns: a crash of the database may lose it,
    /// and [`follow_session`](Self::follow_session) makes up for that. A later act that is durable
    /// makes it durable, too: no crash keeps a revocation and loses a rotation before it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn rotate_session(
        &self,
        rotation: &SessionRotation,
    ) -> Result<Option<Session>, StoreError>;

    /// Moves a session on to a generation that is ahead of it, if it is at the one to start from,
    /// live at the time, used lately enough, and its user active; with the event, only then.
    ///
    /// A token of ours that is ahead of its session proves that the database has lost rotations.
    /// Returns the session as it is afterwards, or `None` if it was not moved.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn follow_session(
        &self,
        rotation: &SessionRotation,
        to: Generation,
        event: &AuditEvent,
    ) -> Result<Option<Session>, StoreError>;

    /// Notes that the session is used at `now`, if it is live then and no use after `unused_since`
    /// is noted: of many calls at once, one writes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn touch_session(
        &self,
        id: SessionId,
        now: Timestamp,
        unused_since: Timestamp,
    ) -> Result<(), StoreError>;

    /// Ends a session for ever; returns whose it was, if it was live at the event's time. Only
    /// then is there an event, which concerns that user.
    ///
    /// An expired session is marked too, since another node's clock may run behind. The
    /// revocation of its access tokens is recorded in both cases.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn revoke_session(
        &self,
        id: SessionId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Option<UserId>, StoreError>;

    /// Ends every session of the user but one, if one is excepted; returns which, and how many of
    /// them were live at the event's time. The revocations of their access tokens are recorded.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn revoke_user_sessions(
        &self,
        user: UserId,
        except: Option<SessionId>,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Revoked, StoreError>;

    /// Ends every session of every user; returns how many of them were live at the event's time.
    ///
    /// One revocation is recorded for all of their access tokens.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn revoke_all_sessions(
        &self,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<u64, StoreError>;

    /// Ends every session that began before a time; returns how many of them were live at the
    /// event's time.
    ///
    /// One revocation is recorded, for the access tokens of all sessions: those of sessions that
    /// go on are refreshed once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn revoke_sessions_begun_before(
        &self,
        begun_before: Timestamp,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<u64, StoreError>;
}

/// The outbox: mails that are owed.
///
/// It holds whom to write to and why, never a text or a link, so that a reader of the database
/// can use nothing in it.
#[async_trait]
pub trait OutboxStore: fmt::Debug + Send + Sync + 'static {
    /// Adds a mail, unless one of the same kind about the same thing already waits for the same
    /// address.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn enqueue_mail(&self, mail: &NewMail) -> Result<(), StoreError>;

    /// Takes the mail that has waited longest and is due, and hides it for `lease`.
    ///
    /// Two workers never get the same mail while the lease runs; after it the mail is due again,
    /// so that a crash loses nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn claim_mail(
        &self,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<ClaimedMail>, StoreError>;

    /// Removes a mail that was sent or is owed no longer, unless another worker has it by now.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn complete_mail(&self, mail: &ClaimedMail) -> Result<(), StoreError>;

    /// Puts a mail back until `due`, unless another worker has it by now; `reason` is for the operator.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn postpone_mail(
        &self,
        mail: &ClaimedMail,
        due: Timestamp,
        reason: &str,
    ) -> Result<(), StoreError>;

    /// Gives a mail up, unless another worker has it by now: it is never claimed again, nor does
    /// it stand in the way of a new one, but stays for the operator with its `reason`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn abandon_mail(
        &self,
        mail: &ClaimedMail,
        now: Timestamp,
        reason: &str,
    ) -> Result<(), StoreError>;
}

/// A user to be created.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewUser {
    /// The record.
    pub user: User,
    /// The hash of the password.
    pub password_hash: PasswordHash,
    /// What the username looks like, which no other user's may then
    /// ([`UsernamePolicy::skeleton`](crate::UsernamePolicy::skeleton)); `None` if that does not matter.
    pub username_skeleton: Option<String>,
}

impl NewUser {
    /// Puts the record and the hash together.
    #[must_use]
    pub const fn new(user: User, password_hash: PasswordHash) -> Self {
        Self {
            user,
            password_hash,
            username_skeleton: None,
        }
    }

    /// Gives the username a skeleton, which no other user may have.
    #[must_use]
    pub fn with_username_skeleton(mut self, skeleton: Option<String>) -> Self {
        self.username_skeleton = skeleton;
        self
    }
}

/// A session to be begun.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewSession {
    /// The id.
    pub id: SessionId,
    /// Who logs in.
    pub user_id: UserId,
    /// When.
    pub created_at: Timestamp,
    /// When the session ends whatever happens.
    pub expires_at: Timestamp,
    /// How long the access tokens of sessions beyond the bound must be refused.
    pub remembered_until: Timestamp,
    /// What the login changes of what is counted.
    pub settlement: LoginSettlement,
    /// How many live sessions the user may have, this one included.
    pub at_most: NonZeroU32,
    /// From which address the user logs in, if it is known.
    pub client: Option<IpAddr>,
}

impl NewSession {
    /// Makes a session with a fresh id, beside any number of others.
    #[must_use]
    pub fn new(user_id: UserId, created_at: Timestamp, expires_at: Timestamp) -> Self {
        Self {
            id: SessionId::generate(),
            user_id,
            created_at,
            expires_at,
            remembered_until: expires_at,
            settlement: LoginSettlement::default(),
            at_most: NonZeroU32::MAX,
            client: None,
        }
    }
}

/// How [`UserStore::confirm_email`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum EmailConfirmation {
    /// The address is verified now.
    Confirmed,
    /// The address was verified before.
    AlreadyConfirmed,
    /// A newer verification, another address or no such user.
    Superseded,
}

/// A mail that is owed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewMail {
    /// The id.
    pub id: Uuid,
    /// Why we write.
    pub kind: MailKind,
    /// To whom.
    pub to: EmailAddress,
    /// What it is about, where the address does not say it.
    pub about: Option<Uuid>,
    /// From when on it may be sent.
    pub due: Timestamp,
}

impl NewMail {
    /// Makes a mail that is due at once.
    #[must_use]
    pub fn new(kind: MailKind, to: EmailAddress, now: Timestamp) -> Self {
        Self {
            id: Uuid::now_v7(),
            kind,
            to,
            about: None,
            due: now,
        }
    }

    /// Makes it a mail about the thing with this id.
    #[must_use]
    pub const fn about(mut self, id: Uuid) -> Self {
        self.about = Some(id);
        self
    }
}

/// A mail that a worker has taken.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClaimedMail {
    /// The id.
    pub id: Uuid,
    /// Why we write.
    pub kind: MailKind,
    /// To whom.
    pub to: EmailAddress,
    /// What it is about, where the address does not say it.
    pub about: Option<Uuid>,
    /// How often it has been claimed, this time included; with the id it names this claim.
    pub attempt: u32,
}

impl ClaimedMail {
    /// Makes the record of a claim.
    #[must_use]
    pub const fn new(id: Uuid, kind: MailKind, to: EmailAddress, attempt: u32) -> Self {
        Self {
            id,
            kind,
            to,
            about: None,
            attempt,
        }
    }
}

/// Why a store could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another user has the canonical username.
    #[error("the username is taken")]
    UsernameTaken,
    /// Another user has the e-mail address, or can still have it back.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Nobody could administer any more.
    #[error("this is the last active superuser")]
    LastSuperuser,
    /// Rows of the host's own tables refer to the user, and forbid that it is deleted.
    #[error("other tables refer to the user")]
    UserInUse(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database cannot be reached, or is too busy, or is stopping: try again later.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database answered with what must not happen: a bug, or a damaged row.
    #[error("the database failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
