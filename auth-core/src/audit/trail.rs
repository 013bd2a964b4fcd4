use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::{Actor, AuditAct, AuditEvent, LoginRule, Outcome};
use crate::{RequestContext, Timestamp};

/// How many events may wait for the writer.
const MAX_WAITING: usize = 10_000;

/// Hears of every audit event, those that are not stored included.
///
/// It is called after the act was committed, on the task that did it: it must not block. Here a
/// host tells its users that somebody else may hold their token
/// ([`AuditAct::ReuseDetected`]), or feeds a monitor. Any closure will do:
///
/// ```
/// use auth_core::audit::{AuditAct, AuditEvent, AuditHook};
///
/// fn notify(event: &AuditEvent) {
///     if let (AuditAct::ReuseDetected { .. }, Some(user)) = (&event.act, event.user) {
///         println!("warn {user}");
///     }
/// }
/// let hook: std::sync::Arc<dyn AuditHook> = std::sync::Arc::new(notify);
/// ```
pub trait AuditHook: Send + Sync + 'static {
    /// Takes note of an event.
    fn on_event(&self, event: &AuditEvent);
}

impl<F: Fn(&AuditEvent) + Send + Sync + 'static> AuditHook for F {
    fn on_event(&self, event: &AuditEvent) {
        self(event);
    }
}

/// Where events go.
#[derive(Default)]
pub(crate) struct AuditTrail {
    hook: Option<Arc<dyn AuditHook>>,
    waiting: Mutex<Waiting>,
    pub(super) wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    events: Vec<AuditEvent>,
    lost: u64,
}

impl AuditTrail {
    pub(crate) fn new(hook: Arc<dyn AuditHook>) -> Self {
        Self {
            hook: Some(hook),
            ..Self::default()
        }
    }

    /// Tells of an event that is stored already, or never will be.
    pub(crate) fn tell(&self, event: &AuditEvent) {
        log(event);
        if let Some(hook) = &self.hook {
            hook.on_event(event);
        }
    }

    /// Whether anybody would hear of an event that is neither stored nor remarkable.
    pub(crate) fn is_heard(&self) -> bool {
        self.hook.is_some() || tracing::enabled!(target: "auth_core::audit", tracing::Level::DEBUG)
    }

    /// Tells of an event, and leaves it to the writer to be stored.
    ///
    /// A flood of refusals must cost neither memory without bound nor a write each: what does not
    /// fit is counted, and the count is stored.
    pub(crate) fn note(&self, event: AuditEvent) {
        self.tell(&event);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.events.len() < MAX_WAITING {
            waiting.events.push(event);
            drop(waiting);
            self.wake.notify_one();
        } else {
            waiting.lost += 1;
        }
    }

    /// Takes what is waiting to be stored.
    pub(super) fn take(&self, now: Timestamp) -> Vec<AuditEvent> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events = mem::take(&mut waiting.events);
        let lost = mem::take(&mut waiting.lost);
        drop(waiting);
        if lost > 0 {
            let act = AuditAct::EventsLost { events: lost };
            let event = AuditEvent::new(now, act, Actor::System, &RequestContext::default());
            self.tell(&event);
            events.push(event);
        }
        events
    }
}

impl fmt::Debug for AuditTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditTrail").finish_non_exhaustive()
    }
}

/// Refreshes are the traffic itself, forged tokens the internet's noise: both are for whoever looks
/// closely.
fn log(event: &AuditEvent) {
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "auth_core::audit",
                event = %event.id,
                kind = event.act.kind(),
                outcome = event.act.outcome().as_str(),
                reason = event.act.reason(),
                actor = event.actor.kind(),
                actor_id = match event.actor {
                    Actor::User(id) => Some(tracing::field::display(id)),
                    _ => None,
                },
                user = event.user.map(tracing::field::display),
                session = event.session.map(tracing::field::display),
                request_id = event.request_id.as_ref().map(|id| id.as_str()),
                peer = event.peer.map(tracing::field::display),
                client = event.client.map(tracing::field::display),
                "audit"
            )
        };
    }
    match (&event.act, event.act.outcome()) {
        (AuditAct::Refreshed, _) => line!(debug),
        // Whatever anybody can cause without end, and at no cost.
        (AuditAct::RefreshRefused { .. }, _) if event.session.is_none() => line!(debug),
        (AuditAct::LoginRefused { rule }, _) if *rule == LoginRule::Overloaded => line!(debug),
        (AuditAct::ReuseDetected { .. }, _) | (_, Outcome::Failed) => line!(warn),
        (_, Outcome::Done | Outcome::Refused) => line!(info),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> AuditEvent {
        let now = Timestamp::UNIX_EPOCH;
        AuditEvent::new(
            now,
            AuditAct::LoggedIn,
            Actor::System,
            &RequestContext::default(),
        )
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let trail = AuditTrail::default();
        for _ in 0..MAX_WAITING + 3 {
            trail.note(event());
        }
        let taken = trail.take(Timestamp::UNIX_EPOCH);
        assert_eq!(taken.len(), MAX_WAITING + 1);
        let lost = taken.last().map(|event| event.act.clone());
        assert_eq!(lost, Some(AuditAct::EventsLost { events: 3 }));
        assert!(trail.take(Timestamp::UNIX_EPOCH).is_empty());
    }

    #[test]
    fn s14_4_the_hook_hears_of_stored_and_other_events() {
        let heard = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&heard);
        let hook = move |_: &AuditEvent| *counter.lock().unwrap() += 1;
        let trail = AuditTrail::new(Arc::new(hook));
        trail.tell(&event());
        trail.note(event());
        assert_eq!(*heard.lock().unwrap(), 2);
    }
}
