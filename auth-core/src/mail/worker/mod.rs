//! The worker that empties the outbox.

mod delivery;
mod reason;
#[cfg(test)]
mod tests;

use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use self::delivery::{Desk, Outcome};
use super::MailTransport;
use super::letters::Letters;
use crate::Clock;
use crate::store::{OutboxStore, StoreError};

/// Sends the mails that are owed.
///
/// Any number of workers, on any number of nodes, may share an outbox. A mail that could not be
/// sent is tried again after 30 seconds, then after twice the time and so on, after one hour at
/// most, each with up to a quarter more by chance. It is given up when the mail server refuses it
/// for good, or after as many tries as fit into about three days; it then stays in the outbox for
/// the operator.
///
/// A crash loses no mail: a mail that was being sent is sent again, even if that makes a second
/// copy. Both copies have the same [`id`](super::Mail::id), and the links of both work.
#[derive(Debug)]
pub struct MailWorker {
    desk: Desk,
    wake: Arc<Notify>,
    concurrency: NonZeroUsize,
    poll_interval: Duration,
    shutdown_grace: Duration,
}

impl MailWorker {
    /// The most tries of a mail by default: about three days.
    pub const DEFAULT_MAX_ATTEMPTS: NonZeroU32 = NonZeroU32::new(72).expect("72 is not zero");

    /// The most mails under way at once by default.
    pub const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not zero");

    /// Makes a worker with the defaults; `wake` is notified (`notify_one`) after a mail was added.
    pub(crate) fn new(
        outbox: Arc<dyn OutboxStore>,
        transport: Arc<dyn MailTransport>,
        letters: Letters,
        clock: Arc<dyn Clock>,
        wake: Arc<Notify>,
    ) -> Self {
        Self {
            desk: Desk {
                outbox,
                transport,
                letters: Arc::new(letters),
                clock,
                lease: Duration::from_secs(2 * 60),
                max_attempts: Self::DEFAULT_MAX_ATTEMPTS,
            },
            wake,
            concurrency: Self::DEFAULT_CONCURRENCY,
            poll_interval: Duration::from_secs(5),
            shutdown_grace: Duration::from_secs(10),
        }
    }

    /// Sets how often a mail is tried before it is given up.
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.desk.max_attempts = attempts;
        self
    }

    /// Sets how many mails may be under way at once, so that a slow mail server delays only its
    /// own mails.
    #[must_use]
    pub fn with_concurrency(mut self, mails: NonZeroUsize) -> Self {
        self.concurrency = mails;
        self
    }

    /// Sets how long a worker has a mail for itself (2 minutes by default), which is also how long
    /// the sending of a mail may take.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.desk.lease = lease;
        self
    }

    /// Sets how often to look for mails that another node has added (5 seconds by default).
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets how long a shutdown waits for the mails under way (10 seconds by default); what is
    /// then not done is done after the lease.
    #[must_use]
    pub fn with_shutdown_grace(mut self, grace: Duration) -> Self {
        self.shutdown_grace = grace;
        self
    }

    /// Sends mails until `shutdown` is done.
    ///
    /// While the store fails, the worker asks it at growing intervals, one minute at most.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        let mut hands = JoinSet::new();
        let mut failures = 0;
        loop {
            match self.fill(&mut hands).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        failures,
                        "the outbox could not be read",
                    );
                }
            }
            let pause = self.pause(failures);
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(joined) = hands.join_next() => { settled(joined); }
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        let finish = async { while hands.join_next().await.is_some() {} };
        if tokio::time::timeout(self.shutdown_grace, finish)
            .await
            .is_err()
        {
            tracing::warn!("mails under way were left for after their lease");
        }
    }

    /// Sends every mail that is due now, and returns without waiting for further ones: for hosts
    /// with a scheduler of their own, and for tests.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not hand out the next mail. The mails under way are
    /// finished first.
    pub async fn deliver_due(&self) -> Result<Deliveries, StoreError> {
        let mut hands = JoinSet::new();
        let mut deliveries = Deliveries::default();
        let mut claimed = Ok(());
        loop {
            if claimed.is_ok() {
                claimed = self.fill(&mut hands).await;
            }
            match hands.join_next().await {
                Some(joined) => deliveries.count(settled(joined)),
                None => return claimed.map(|()| deliveries),
            }
        }
    }

    /// Claims mails until all hands are busy or none is due.
    async fn fill(&self, hands: &mut JoinSet<Outcome>) -> Result<(), StoreError> {
        while hands.len() < self.concurrency.get() {
            let Some(mail) = self.desk.claim().await? else {
                break;
            };
            let desk = self.desk.clone();
            hands.spawn(async move { desk.deliver(&mail).await });
        }
        Ok(())
    }

    fn pause(&self, failures: u32) -> Duration {
        const LONGEST: Duration = Duration::from_secs(60);
        let doubled = 2_u32.saturating_pow(failures);
        let longest = LONGEST.max(self.poll_interval);
        self.poll_interval.saturating_mul(doubled).min(longest)
    }
}

fn settled(joined: Result<Outcome, tokio::task::JoinError>) -> Outcome {
    joined.unwrap_or_else(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the delivery of a mail broke off",
        );
        Outcome::Unsettled
    })
}

/// What [`MailWorker::deliver_due`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deliveries {
    /// Mails that the transport took.
    pub sent: u64,
    /// Mails that nobody needed any more.
    pub not_owed: u64,
    /// Mails that will be tried again.
    pub postponed: u64,
    /// Mails that were given up.
    pub abandoned: u64,
    /// Mails whose fate the store does not know: they will be tried again after the lease.
    pub unsettled: u64,
}

impl Deliveries {
    fn count(&mut self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Sent => &mut self.sent,
            Outcome::NotOwed => &mut self.not_owed,
            Outcome::Postponed => &mut self.postponed,
            Outcome::Abandoned => &mut self.abandoned,
            Outcome::Unsettled => &mut self.unsettled,
        };
        *counter += 1;
    }
}
