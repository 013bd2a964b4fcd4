//! Removing what nobody needs any more.

use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::Clock;
use crate::database_clock::DatabaseClock;
use crate::mail::LinkLifetimes;
use crate::store::{Store, StoreError};

/// How often to look for work, and how long one node has it for itself.
const INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Leaves the database to others between two batches.
const PAUSE: Duration = Duration::from_millis(100);

/// The lease of the node that cleans up.
const LEASE: &str = "housekeeping";

/// Mails that were given up stay this long for the operator.
const KEEP_MAILS: Duration = Duration::from_secs(30 * 24 * 3600);

/// So long after it was asked for, a link may still be mailed: a mail is tried for three days.
pub(crate) const MAIL_DELAY: Duration = Duration::from_secs(4 * 24 * 3600);

/// Removes sessions, mails, changes of addresses, enrollments, audit events, counts of failed logins and
/// revocations that have been over for long; run one on each node.
///
/// One node at a time does it, every ten minutes, in small batches. What fails is tried again the
/// next time, by whichever node.
#[derive(Debug)]
pub struct Housekeeper {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    database_clock: Option<Arc<DatabaseClock>>,
    keep: Retention,
    links: LinkLifetimes,
    batch: NonZeroU32,
}

/// How long what is over stays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retention {
    pub(crate) sessions: Duration,
    pub(crate) events: Duration,
}

impl Housekeeper {
    /// The most rows that are removed at once, by default.
    pub const DEFAULT_BATCH: NonZeroU32 = NonZeroU32::new(1_000).expect("1,000 is not zero");

    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        keep: Retention,
        links: LinkLifetimes,
    ) -> Self {
        Self {
            store,
            clock,
            database_clock: None,
            keep,
            links,
            batch: Self::DEFAULT_BATCH,
        }
    }

    /// Makes the housekeeper remove nothing while the node's clock is far from the database's.
    pub(crate) fn with_database_clock(mut self, clock: Option<Arc<DatabaseClock>>) -> Self {
        self.database_clock = clock;
        self
    }

    /// Sets how many rows are removed at once (1,000 by default).
    #[must_use]
    pub fn with_batch(mut self, rows: NonZeroU32) -> Self {
        self.batch = rows;
        self
    }

    /// Cleans up at once and then every ten minutes, until `shutdown` is done.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = self.clean_and_tell() => {}
            }
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    /// Removes everything that may go now, unless a node has done so in the last ten minutes: for
    /// hosts with a scheduler of their own, and for tests.
    ///
    /// Returns what was removed, or `None` if it was not this node's turn, or if its clock and the
    /// database's are so far apart that it is unknown which rows are old.
    ///
    /// # Errors
    ///
    /// [`StoreError`], the first that was met; everything else that may go is removed all the same.
    pub async fn clean(&self) -> Result<Option<Removals>, StoreError> {
        let clock = self.database_clock.as_ref();
        if clock.is_some_and(|clock| clock.is_apart()) {
            return Ok(None);
        }
        let now = self.clock.now();
        if !self.store.acquire_lease(LEASE, now, now + INTERVAL).await? {
            return Ok(None);
        }
        let store = &*self.store;
        let batch = self.batch.get();
        let sessions = now - self.keep.sessions;
        let events = now - self.keep.events;
        let mails = now - KEEP_MAILS;
        let email_changes = now - (MAIL_DELAY + self.links.verification + self.links.email_undo);
        // One that fails, such as for a right that is missing, keeps none of the others from it.
        let mut failed = None;
        let mut done = |what: &'static str, outcome: Result<u64, StoreError>| {
            outcome.unwrap_or_else(|error| {
                metrics::counter!("auth_housekeeping_failures_total", "rows" => what).increment(1);
                tracing::error!(
                    rows = what,
                    error = &error as &dyn std::error::Error,
                    "old rows could not be removed"
                );
                failed.get_or_insert(error);
                0
            })
        };
        let removed = Removals {
            sessions: done(
                "sessions",
                self.exhaust(|| store.remove_expired_sessions(sessions, batch))
                    .await,
            ),
            mails: done(
                "mails",
                self.exhaust(|| store.remove_abandoned_mails(mails, batch))
                    .await,
            ),
            events: done(
                "events",
                self.exhaust(|| store.remove_events(events, batch)).await,
            ),
            email_changes: done(
                "email_changes",
                self.exhaust(|| store.remove_email_changes(email_changes, batch))
                    .await,
            ),
            enrollments: done(
                "enrollments",
                self.exhaust(|| store.remove_enrollments(now, batch)).await,
            ),
            tries: done(
                "tries",
                self.exhaust(|| store.remove_tries(now, batch)).await,
            ),
            revocations: done(
                "revocations",
                self.exhaust(|| store.remove_revocations(now, batch)).await,
            ),
        };
        match failed {
            None => Ok(Some(removed)),
            Some(error) => Err(error),
        }
    }

    /// Removes batch after batch, until one is not full.
    async fn exhaust<F>(&self, remove: impl Fn() -> F) -> Result<u64, StoreError>
    where
        F: Future<Output = Result<u64, StoreError>>,
    {
        let mut removed = 0;
        loop {
            let batch = remove().await?;
            removed += batch;
            if batch < u64::from(self.batch.get()) {
                return Ok(removed);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn clean_and_tell(&self) {
        match self.clean().await {
            Ok(None) => {}
            Ok(Some(removed)) if removed == Removals::default() => {}
            Ok(Some(removed)) => tracing::info!(
                sessions = removed.sessions,
                mails = removed.mails,
                events = removed.events,
                email_changes = removed.email_changes,
                enrollments = removed.enrollments,
                tries = removed.tries,
                revocations = removed.revocations,
                "old rows were removed"
            ),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "housekeeping did not get through"
            ),
        }
    }
}

/// What a [`Housekeeper`] has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removals {
    /// Sessions that had expired.
    pub sessions: u64,
    /// Mails that had been given up.
    pub mails: u64,
    /// Audit events.
    pub events: u64,
    /// Changes of addresses that can be neither confirmed nor undone any more.
    pub email_changes: u64,
    /// Enrollments that were over: completed, or never.
    pub enrollments: u64,
    /// Counts of failed logins that counted no longer.
    pub tries: u64,
    /// Revocations of tokens that have expired.
    pub revocations: u64,
}
