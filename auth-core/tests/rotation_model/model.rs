//! What a session is, told a second time and as simply as can be.

use std::time::Duration;

use auth_core::Timestamp;

pub(crate) const GRACE: Duration = Duration::from_secs(10 * 60);
pub(crate) const IDLE: Duration = Duration::from_secs(6 * 3600);
pub(crate) const LIFETIME: Duration = Duration::from_secs(24 * 3600);
const NOTED_USE: Duration = Duration::from_secs(3600);

/// The session as it must be after the calls so far.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) generation: usize,
    pub(crate) key: Option<String>,
    pub(crate) rotated_at: Option<Timestamp>,
    pub(crate) used_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) revoked: bool,
}

/// A refresh as its client has sent it.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub(crate) generation: usize,
    pub(crate) key: Option<String>,
    pub(crate) at: Timestamp,
}

/// What a refresh must get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Branch {
    Rotated,
    Followed,
    RepeatedWithinTheGrace,
    RepeatedByItsKey,
    Contested,
    ReusedLostAnswer,
    ReusedByAnother,
    ReusedOldGeneration,
    Revoked,
    ReachedItsEnd,
    Idle,
}

impl Branch {
    pub(crate) const fn code(self) -> Option<&'static str> {
        match self {
            Self::Rotated
            | Self::Followed
            | Self::RepeatedWithinTheGrace
            | Self::RepeatedByItsKey => None,
            Self::Contested => Some("refresh_contested"),
            Self::ReachedItsEnd | Self::Idle => Some("token_expired"),
            Self::ReusedLostAnswer
            | Self::ReusedByAnother
            | Self::ReusedOldGeneration
            | Self::Revoked => Some("token_revoked"),
        }
    }
}

impl Model {
    pub(crate) fn new(begun: Timestamp, expires_at: Timestamp) -> Self {
        Self {
            generation: 0,
            key: None,
            rotated_at: None,
            used_at: begun,
            expires_at,
            revoked: false,
        }
    }

    fn end_of(&self, refresh: &Try) -> Option<Branch> {
        if self.revoked {
            Some(Branch::Revoked)
        } else if refresh.at >= self.expires_at {
            Some(Branch::ReachedItsEnd)
        } else if refresh.at.saturating_since(self.used_at) >= IDLE {
            Some(Branch::Idle)
        } else {
            None
        }
    }

    /// Rotates, if the token is the current one of a session that can go on.
    pub(crate) fn rotate(&mut self, refresh: &Try) -> Option<Branch> {
        if self.end_of(refresh).is_some() || refresh.generation != self.generation {
            return None;
        }
        self.generation += 1;
        self.key.clone_from(&refresh.key);
        self.rotated_at = Some(refresh.at);
        self.used_at = refresh.at;
        Some(Branch::Rotated)
    }

    /// Follows a token that is ahead, if the row is where it was read.
    pub(crate) fn follow(&mut self, refresh: &Try, from: usize) -> Option<Branch> {
        if self.end_of(refresh).is_some() || self.generation != from {
            return None;
        }
        self.generation = refresh.generation + 1;
        self.key.clone_from(&refresh.key);
        self.rotated_at = Some(refresh.at);
        self.used_at = refresh.at;
        Some(Branch::Followed)
    }

    /// Judges a refresh that did not rotate; of a token that is ahead, the row must follow first.
    pub(crate) fn judge(&self, refresh: &Try) -> Option<Branch> {
        if let Some(end) = self.end_of(refresh) {
            return Some(end);
        }
        if refresh.generation + 1 < self.generation {
            return Some(Branch::ReusedOldGeneration);
        }
        if refresh.generation + 1 > self.generation {
            return None;
        }
        let within = refresh.at.saturating_since(self.rotated_at?) < GRACE;
        Some(match &self.key {
            None if within => Branch::RepeatedWithinTheGrace,
            None => Branch::ReusedLostAnswer,
            bound if *bound == refresh.key && within => Branch::RepeatedWithinTheGrace,
            bound if *bound == refresh.key => Branch::RepeatedByItsKey,
            Some(_) if within => Branch::Contested,
            Some(_) => Branch::ReusedByAnother,
        })
    }

    /// Whether an answer without a rotation must note the use.
    pub(crate) fn is_use_due(&self, at: Timestamp) -> bool {
        at.saturating_since(self.used_at) >= NOTED_USE
    }

    pub(crate) fn touch(&mut self, at: Timestamp) {
        if !self.revoked && at < self.expires_at && self.is_use_due(at) {
            self.used_at = at;
        }
    }
}
