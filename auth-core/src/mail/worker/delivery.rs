//! The delivery of one mail.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::reason::reason;
use crate::Clock;
use crate::mail::letters::Letters;
use crate::mail::{Mail, MailError, MailTransport};
use crate::store::{ClaimedMail, OutboxStore, StoreError};

/// What a mail is delivered with; each delivery has its own copy.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) outbox: Arc<dyn OutboxStore>,
    pub(super) transport: Arc<dyn MailTransport>,
    pub(super) letters: Arc<Letters>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) lease: Duration,
    pub(super) max_attempts: NonZeroU32,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Sent,
    NotOwed,
    Postponed,
    Abandoned,
    /// The store did not take the result: after the lease the mail is tried again.
    Unsettled,
}

/// What stands in the way of a mail.
enum Obstacle {
    Temporary(String),
    Permanent(String),
}

impl Desk {
    pub(super) async fn claim(&self) -> Result<Option<ClaimedMail>, StoreError> {
        self.outbox.claim_mail(self.clock.now(), self.lease).await
    }

    pub(super) async fn deliver(&self, mail: &ClaimedMail) -> Outcome {
        let settled = match self.send(mail).await {
            Ok(outcome) => {
                let completed = self.outbox.complete_mail(mail).await;
                completed.map(|()| outcome)
            }
            Err(Obstacle::Temporary(reason)) if mail.attempt < self.max_attempts.get() => {
                self.postpone(mail, &reason).await
            }
            Err(Obstacle::Temporary(reason) | Obstacle::Permanent(reason)) => {
                self.abandon(mail, &reason).await
            }
        };
        settled.unwrap_or_else(|error| {
            tracing::error!(
                mail = %mail.id,
                error = &error as &dyn std::error::Error,
                "the outbox could not be brought up to date",
            );
            Outcome::Unsettled
        })
    }

    async fn send(&self, mail: &ClaimedMail) -> Result<Outcome, Obstacle> {
        let letter = match self.letters.write(mail).await {
            Ok(Some(letter)) => Mail {
                id: mail.id,
                ..letter
            },
            Ok(None) => return Ok(Outcome::NotOwed),
            Err(error) => return Err(Obstacle::Temporary(reason(&error))),
        };
        // After the lease the mail may be another worker's.
        match tokio::time::timeout(self.lease, self.transport.send(&letter)).await {
            Ok(Ok(())) => Ok(Outcome::Sent),
            Ok(Err(error @ MailError::Permanent(_))) => Err(Obstacle::Permanent(reason(&error))),
            Ok(Err(error @ MailError::Temporary(_))) => Err(Obstacle::Temporary(reason(&error))),
            Err(elapsed) => Err(Obstacle::Temporary(reason(&elapsed))),
        }
    }

    async fn postpone(&self, mail: &ClaimedMail, reason: &str) -> Result<Outcome, StoreError> {
        let delay = with_jitter(back_off(mail.attempt));
        tracing::warn!(
            mail = %mail.id,
            kind = mail.kind.as_str(),
            domain = domain(mail),
            attempt = mail.attempt,
            retry_in_seconds = delay.as_secs(),
            reason,
            "a mail was not sent and will be tried again",
        );
        let due = self.clock.now() + delay;
        self.outbox.postpone_mail(mail, due, reason).await?;
        Ok(Outcome::Postponed)
    }

    async fn abandon(&self, mail: &ClaimedMail, reason: &str) -> Result<Outcome, StoreError> {
        tracing::error!(
            mail = %mail.id,
            kind = mail.kind.as_str(),
            domain = domain(mail),
            attempt = mail.attempt,
            reason,
            "a mail was given up",
        );
        self.outbox
            .abandon_mail(mail, self.clock.now(), reason)
            .await?;
        Ok(Outcome::Abandoned)
    }
}

/// All of the address that goes into the log.
fn domain(mail: &ClaimedMail) -> &str {
    mail.to.key().rsplit('@').next().unwrap_or_default()
}

/// The time until the next try: 30 seconds, doubled each time, one hour at most.
fn back_off(attempt: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(30);
    const LONGEST: Duration = Duration::from_secs(60 * 60);
    let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
    FIRST.saturating_mul(doubled).min(LONGEST)
}

/// Up to a quarter more, so that mails which failed together are not tried together.
fn with_jitter(delay: Duration) -> Duration {
    // Without randomness the mails merely go out at the same time.
    let random = getrandom::u32().unwrap_or_default();
    delay + delay.mul_f64(f64::from(random) / f64::from(u32::MAX) / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_an_hour() {
        let seconds = |attempt| back_off(attempt).as_secs();
        assert_eq!([1, 2, 3, 7, 8].map(seconds), [30, 60, 120, 1920, 3600]);
        assert_eq!(seconds(u32::MAX), 3600);
    }

    #[test]
    fn jitter_adds_a_quarter_at_most() {
        let minute = Duration::from_secs(60);
        for _ in 0..100 {
            let delay = with_jitter(minute);
            assert!((minute..=minute * 5 / 4).contains(&delay), "{delay:?}");
        }
    }
}
