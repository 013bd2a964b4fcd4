use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::Timestamp;

/// Counts tries that may fail, for all nodes.
#[async_trait]
pub trait ThrottleStore: fmt::Debug + Send + Sync + 'static {
    /// Takes one try out of each budget, or none out of any.
    ///
    /// Of many calls at once no more are admitted than a budget has. Each record is asked to
    /// [`take`](TryRecord::take); a refusal writes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn take_tries(
        &self,
        budgets: &[TryBudget],
        now: Timestamp,
    ) -> Result<Admission, StoreError>;

    /// Gives tries back that did not fail; [`SessionStore::create_session`] does so too.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    ///
    /// [`SessionStore::create_session`]: super::SessionStore::create_session
    async fn give_back_tries(&self, keys: &[ThrottleKey], now: Timestamp)
    -> Result<(), StoreError>;

    /// Removes up to `limit` records in which nothing has counted since before a time; returns how
    /// many.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn remove_tries(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}

/// Names an account, a network, or a pair of both, without telling which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThrottleKey([u8; 32]);

impl ThrottleKey {
    /// Wraps a key read from a database.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key as bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// How many tries may fail.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TryBudget {
    /// Of what.
    pub key: ThrottleKey,
    /// How many within the window.
    pub tries: u32,
    /// How long tries count.
    pub window: Duration,
    /// How long there must be no try after a block before the block is forgotten.
    pub quiet: Duration,
    /// How long the first block lasts; each further one twice as long.
    pub first_block: Duration,
    /// The longest block.
    pub longest_block: Duration,
    /// Whether there are tries only for what is known from a success.
    pub only_if_known: bool,
}

impl TryBudget {
    /// Makes a budget with a window of 15 minutes and blocks of 30 seconds to 15 minutes, which
    /// are forgotten after 15 quiet minutes.
    #[must_use]
    pub const fn new(key: ThrottleKey, tries: u32) -> Self {
        Self {
            key,
            tries,
            window: Duration::from_secs(15 * 60),
            quiet: Duration::from_secs(15 * 60),
            first_block: Duration::from_secs(30),
            longest_block: Duration::from_secs(15 * 60),
            only_if_known: false,
        }
    }
}

/// Whether a try may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Admission {
    /// One was taken out of each budget.
    Admitted,
    /// None was taken.
    #[non_exhaustive]
    Refused {
        /// The budget that had none left.
        by: ThrottleKey,
        /// When there will be one again.
        until: Timestamp,
    },
}

impl Admission {
    /// Makes a refusal.
    pub const fn refused(by: ThrottleKey, until: Timestamp) -> Self {
        Self::Refused { by, until }
    }
}

/// What a successful login changes of what is counted.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LoginSettlement {
    /// The account, whose failures are forgotten.
    pub forgotten: Option<ThrottleKey>,
    /// What gets the try back.
    pub given_back: Vec<ThrottleKey>,
    /// What is known from now on, until this time.
    pub known: Option<(ThrottleKey, Timestamp)>,
}

/// What a store keeps of a [`ThrottleKey`], and the rules by which it changes.
///
/// Rules and arithmetic are here, so that every store counts alike; a store sees to it that nobody
/// else changes the record meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TryRecord {
    /// The tries of this window, those under way included.
    pub tries: u32,
    /// How often the key was blocked since it was quiet.
    pub strikes: u32,
    /// When the tries are forgotten.
    pub window_ends_at: Timestamp,
    /// Until when there are no tries.
    pub blocked_until: Option<Timestamp>,
    /// Until when the key is known from a success.
    pub known_until: Option<Timestamp>,
    /// From when on the record says nothing any more.
    pub forget_at: Timestamp,
}

impl TryRecord {
    /// The record of a key of which nothing is known.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self {
            tries: 0,
            strikes: 0,
            window_ends_at: now,
            blocked_until: None,
            known_until: None,
            forget_at: now,
        }
    }

    /// Takes a try that may fail.
    ///
    /// The last try of a window blocks the key until it is given back. Until the block is forgotten,
    /// there is one try after it, which blocks again, for twice as long: guessing slows down, and
    /// ends by itself.
    ///
    /// # Errors
    ///
    /// When there will be one, if there is none.
    pub fn take(&mut self, budget: &TryBudget, now: Timestamp) -> Result<(), Timestamp> {
        if let Some(until) = self.blocked_until.filter(|until| *until > now) {
            return Err(until);
        }
        if budget.only_if_known && self.known_until.is_none_or(|until| until <= now) {
            return Err(now + budget.first_block);
        }
        if self.window_ends_at <= now {
            self.tries = 0;
            self.window_ends_at = now + budget.window;
        }
        if self
            .blocked_until
            .is_some_and(|until| until + budget.quiet <= now)
        {
            self.strikes = 0;
        }
        self.tries = self.tries.saturating_add(1);
        self.forget_at = self.forget_at.max(self.window_ends_at);
        if self.tries >= budget.tries || self.strikes > 0 {
            let doubled = 2_u32.saturating_pow(self.strikes.min(16));
            let block = budget.first_block.saturating_mul(doubled);
            let until = now + block.min(budget.longest_block);
            self.blocked_until = Some(until);
            self.strikes = self.strikes.saturating_add(1);
            self.forget_at = self.forget_at.max(until + budget.quiet);
        }
        Ok(())
    }

    /// Gives a try back that did not fail, and undoes the block that it brought.
    pub fn give_back(&mut self, now: Timestamp) {
        self.tries = self.tries.saturating_sub(1);
        if self.blocked_until.is_some_and(|until| until > now) {
            self.strikes = self.strikes.saturating_sub(1);
            self.blocked_until = Some(now);
        }
    }

    /// Notes that the key is known from a success.
    pub fn know(&mut self, until: Timestamp) {
        self.tries = 0;
        self.strikes = 0;
        self.blocked_until = None;
        self.known_until = Some(until);
        self.forget_at = self.forget_at.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);
    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);

    fn budget() -> TryBudget {
        TryBudget::new(ThrottleKey::from_bytes([7; 32]), 10)
    }

    fn exhausted() -> TryRecord {
        let mut record = TryRecord::new(NOW);
        for _ in 0..10 {
            record.take(&budget(), NOW).unwrap();
        }
        record
    }

    #[test]
    fn s5_1_ten_tries_and_no_eleventh() {
        let mut record = exhausted();
        let until = NOW + 30 * SECOND;
        assert_eq!(record.take(&budget(), NOW), Err(until));
        assert_eq!(record.take(&budget(), until - SECOND), Err(until));
        assert_eq!(record.take(&budget(), until), Ok(()));
    }

    #[test]
    fn s5_1_each_further_failure_doubles_the_wait_up_to_the_longest() {
        let mut record = exhausted();
        let mut now = NOW;
        let mut waits = Vec::new();
        for _ in 0..8 {
            let until = record.take(&budget(), now).unwrap_err();
            waits.push(until.saturating_since(now).as_secs());
            now = until;
            record.take(&budget(), now).unwrap();
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 900, 900, 900]);
    }

    #[test]
    fn s5_1_all_is_forgotten_when_it_was_quiet_for_a_window() {
        let mut record = exhausted();
        let quiet = record.forget_at;
        assert_eq!(quiet, NOW + 30 * SECOND + 15 * MINUTE);
        for _ in 0..9 {
            record.take(&budget(), quiet).unwrap();
            assert_eq!(record.blocked_until.filter(|until| *until > quiet), None);
        }
    }

    #[test]
    fn s5_1_tries_count_for_one_window() {
        let mut record = TryRecord::new(NOW);
        for _ in 0..9 {
            record.take(&budget(), NOW).unwrap();
        }
        let later = NOW + 15 * MINUTE;
        for _ in 0..9 {
            record.take(&budget(), later).unwrap();
        }
        assert_eq!(record.blocked_until, None);
    }

    #[test]
    fn a_try_that_did_not_fail_is_given_back_with_the_block_that_it_brought() {
        let mut record = exhausted();
        record.give_back(NOW);
        assert_eq!((record.tries, record.strikes), (9, 0));
        record.take(&budget(), NOW).unwrap();
        assert!(record.take(&budget(), NOW).is_err());
    }

    #[test]
    fn s5_2_what_is_not_known_has_no_tries_of_its_own() {
        let budget = TryBudget {
            only_if_known: true,
            ..budget()
        };
        let mut record = TryRecord::new(NOW);
        assert!(record.take(&budget, NOW).is_err());
        record.know(NOW + MINUTE);
        assert!(record.take(&budget, NOW).is_ok());
        assert!(record.take(&budget, NOW + MINUTE).is_err());
    }
}
