//! The worker that empties the outbox.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::letters::{LetterError, Letters};
use super::{MailError, MailTransport};
use crate::store::{ClaimedMail, Store, StoreError};
use crate::{Clock, Timestamp};

/// A claim outlives every attempt to send: SMTP gives up after half a minute.
const LEASE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Delivers what the outbox holds; any number of workers may share one.
///
/// A mail that cannot be sent now is tried again after 30 seconds, a minute, and so on up to once
/// an hour, [`MAX_ATTEMPTS`](Self::MAX_ATTEMPTS) times in all; then, or when the mail server
/// refuses it for good, it stays in the outbox as abandoned, for the operator.
#[derive(Clone, Debug)]
pub struct MailWorker {
    store: Arc<dyn Store>,
    transport: Arc<dyn MailTransport>,
    letters: Letters,
    clock: Arc<dyn Clock>,
    mail_owed: Arc<Notify>,
    poll_interval: Duration,
}

impl MailWorker {
    /// How often a mail is tried: over about three days.
    pub const MAX_ATTEMPTS: u32 = 80;

    pub(crate) fn new(
        store: Arc<dyn Store>,
        transport: Arc<dyn MailTransport>,
        letters: Letters,
        clock: Arc<dyn Clock>,
        mail_owed: Arc<Notify>,
    ) -> Self {
        Self {
            store,
            transport,
            letters,
            clock,
            mail_owed,
            poll_interval: Duration::from_secs(5),
        }
    }

    /// How often the outbox is looked at without being told (default 5 seconds): for mails that
    /// another node owed and did not send, and for those to be tried again.
    #[must_use]
    pub const fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Delivers mails as they come, until `shutdown` completes; a mail in hand is finished first.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = self.mail_owed.notified() => {}
                () = tokio::time::sleep(self.poll_interval) => {}
            }
            // Not raced with the shutdown: a mail that was sent must be crossed off as well.
            if let Err(error) = self.deliver_due().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the outbox cannot be read"
                );
            }
        }
    }

    /// Delivers everything that is due now, and returns how many mails were sent.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the outbox cannot be read or written; what was claimed is due again
    /// later.
    pub async fn deliver_due(&self) -> Result<usize, StoreError> {
        let mut sent = 0;
        while let Some(owed) = self.store.claim_mail(self.clock.now(), LEASE).await? {
            if self.deliver(&owed).await? {
                sent += 1;
            }
        }
        Ok(sent)
    }

    async fn deliver(&self, owed: &ClaimedMail) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mail = match self.letters.write(&*self.store, owed, now).await {
            Ok(Some(mail)) => mail,
            Ok(None) => {
                self.store.complete_mail(owed).await?;
                return Ok(false);
            }
            Err(LetterError::Store(error)) => return Err(error),
            Err(LetterError::Template(error)) => {
                self.abandon(owed, now, &error).await?;
                return Ok(false);
            }
        };
        match self.transport.send(&mail).await {
            Ok(()) => {
                self.store.complete_mail(owed).await?;
                tracing::info!(mail = %owed.id, kind = owed.kind.as_str(), "mail sent");
                Ok(true)
            }
            Err(error @ MailError::Temporary(_)) if owed.attempt < Self::MAX_ATTEMPTS => {
                let due = now + pause_after(owed.attempt);
                tracing::warn!(
                    mail = %owed.id,
                    attempt = owed.attempt,
                    error = &error as &dyn std::error::Error,
                    "mail postponed"
                );
                self.store.postpone_mail(owed, due, &reason(&error)).await?;
                Ok(false)
            }
            Err(error) => {
                self.abandon(owed, now, &error).await?;
                Ok(false)
            }
        }
    }

    async fn abandon(
        &self,
        owed: &ClaimedMail,
        now: Timestamp,
        error: &(dyn std::error::Error + Send + Sync + 'static),
    ) -> Result<(), StoreError> {
        tracing::error!(mail = %owed.id, attempt = owed.attempt, error, "mail abandoned");
        self.store.abandon_mail(owed, now, &reason(error)).await
    }
}

/// Doubles with each attempt.
fn pause_after(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    FIRST_PAUSE
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE)
}

/// The error with its causes, in one line.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason.push_str(": ");
        reason.push_str(&cause.to_string());
        source = cause.source();
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let pauses: Vec<u64> = (1..=9)
            .map(|attempt| pause_after(attempt).as_secs())
            .collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(pause_after(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn all_attempts_take_about_three_days() {
        let total: Duration = (1..MailWorker::MAX_ATTEMPTS).map(pause_after).sum();
        assert!((70..=75).contains(&(total.as_secs() / 3600)), "{total:?}");
    }
}
