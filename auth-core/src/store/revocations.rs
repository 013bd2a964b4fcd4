use std::fmt;

use async_trait::async_trait;

use super::{ClockReading, StoreError};
use crate::revocation::{Revocation, TokenEpoch};
use crate::{RevocationReason, SessionId, Timestamp};

/// What verifiers must refuse before it expires.
///
/// It is recorded by the methods that end sessions, in their transactions.
#[async_trait]
pub trait RevocationStore: fmt::Debug + Send + Sync + 'static {
    /// Begins to follow what is revoked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn follow_revocations(&self) -> Result<Box<dyn RevocationFeed>, StoreError>;

    /// Removes up to `limit` revocations that had expired before a time; returns how many.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn remove_revocations(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}

/// Revocations as they are recorded.
#[async_trait]
pub trait RevocationFeed: fmt::Debug + Send {
    /// Waits for news.
    ///
    /// The first news come at once and hold everything that has not been removed. After that there
    /// are news when something was revoked, and complete ones every second at the latest. The
    /// future may be dropped and asked for again; nothing is lost by that.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if something may have been missed: follow again from the beginning.
    async fn next(&mut self) -> Result<RevocationNews, StoreError>;
}

/// What a [`RevocationFeed`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevocationNews {
    /// What is revoked; some of it may have been told before.
    pub revocations: Vec<Revocation>,
    /// Whether everything has been told that was committed before these news were asked for.
    pub is_complete: bool,
    /// What the database's clock showed, if it was asked.
    pub clock_reading: Option<ClockReading>,
}

impl RevocationNews {
    /// Tells of these, and that no others were committed before they were asked for.
    #[must_use]
    pub const fn complete(revocations: Vec<Revocation>) -> Self {
        Self {
            revocations,
            is_complete: true,
            clock_reading: None,
        }
    }

    /// Tells of these, beside which others may have been committed.
    #[must_use]
    pub const fn partial(revocations: Vec<Revocation>) -> Self {
        Self {
            revocations,
            is_complete: false,
            clock_reading: None,
        }
    }

    /// Adds what the database's clock showed, by which the node corrects its own.
    #[must_use]
    pub const fn with_clock_reading(mut self, reading: ClockReading) -> Self {
        self.clock_reading = Some(reading);
        self
    }
}

/// What an act has taken back, for the node that did it to refuse at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revoked {
    /// The sessions that the act has ended.
    pub sessions: Vec<SessionId>,
    /// How many of them were live at the time of the act.
    pub live: u64,
    /// The user's epoch by now, where the access tokens of the earlier ones are refused.
    pub epoch: Option<TokenEpoch>,
}

impl Revoked {
    /// Makes it of the sessions that have ended, and how many of them were live.
    #[must_use]
    pub const fn of_sessions(sessions: Vec<SessionId>, live: u64) -> Self {
        Self {
            sessions,
            live,
            epoch: None,
        }
    }
}

/// How sessions end before their time.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Ending {
    /// Why.
    pub reason: RevocationReason,
    /// Where not single sessions' tokens are refused: those issued before this time.
    pub issued_before: Timestamp,
    /// How long verifiers must refuse the tokens.
    pub remembered_until: Timestamp,
}

impl Ending {
    /// Puts the three together.
    #[must_use]
    pub const fn new(
        reason: RevocationReason,
        issued_before: Timestamp,
        remembered_until: Timestamp,
    ) -> Self {
        Self {
            reason,
            issued_before,
            remembered_until,
        }
    }
}
