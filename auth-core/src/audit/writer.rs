use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::{AuditEvent, AuditTrail};
use crate::Clock;
use crate::store::{Store, StoreError};

/// How many events are stored at once.
const BATCH: usize = 500;

/// How long the writer waits after the store has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How often the writer looks for counts that are due.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// How long a shutdown tries to store what is left.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Stores the events that belong to no transaction, such as refused logins; run one on each node.
///
/// Up to 2,000 events of each kind wait for it; more are counted and told as one
/// [`EventsLost`](super::AuditAct::EventsLost). Repeated refusals are counted from the second on, and their
/// count is stored when it is [due](super).
#[derive(Debug)]
pub struct AuditWriter {
    trail: Arc<AuditTrail>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl AuditWriter {
    pub(crate) fn new(
        trail: Arc<AuditTrail>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            trail,
            store,
            clock,
        }
    }

    /// Stores events as they come, until `shutdown` is done and nothing is left.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        let mut unwritten = Vec::new();
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = self.trail.wake.notified(), if pause.is_zero() => {}
                () = tokio::time::sleep(LOOK_EVERY), if pause.is_zero() => {}
                () = tokio::time::sleep(pause), if !pause.is_zero() => {}
            }
            pause = match self.write(&mut unwritten).await {
                Ok(()) => Duration::ZERO,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "audit events could not be stored"
                    );
                    PAUSE
                }
            };
        }
        unwritten.extend(self.trail.take_last(self.clock.now()));
        let rest = self.write(&mut unwritten);
        if !matches!(tokio::time::timeout(SHUTDOWN_GRACE, rest).await, Ok(Ok(()))) {
            tracing::error!("audit events were not stored before the end");
        }
    }

    /// Stores the events that wait now: for hosts with a scheduler of their own, and for tests.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the events that were not stored are told by `tracing` and the hook alone.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.write(&mut Vec::new()).await
    }

    /// Stores what was left over and what is waiting; what fails stays in `unwritten`.
    async fn write(&self, unwritten: &mut Vec<AuditEvent>) -> Result<(), StoreError> {
        if unwritten.is_empty() {
            *unwritten = self.trail.take(self.clock.now());
        }
        while !unwritten.is_empty() {
            let rest = unwritten.split_off(unwritten.len().min(BATCH));
            let stored = self.store.append_events(unwritten).await;
            if let Err(error) = stored {
                unwritten.extend(rest);
                return Err(error);
            }
            *unwritten = rest;
        }
        Ok(())
    }
}
