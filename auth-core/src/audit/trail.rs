use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::repetitions::{Repetitions, Seen};
use super::{Actor, AuditAct, AuditEvent, LoginRule, Outcome};
use crate::{RequestContext, Timestamp};

/// How many events of one kind may wait for the writer, so that a flood of one kind takes no place of
/// another.
const MAX_OF_A_KIND: usize = 2_000;

/// Hears of every audit event, those that are not stored included.
///
/// A refusal that comes again and again from one client is heard of once, and then as a count
/// ([`AuditAct::RefusalsCounted`]).
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
    repetitions: Mutex<Repetitions>,
    pub(super) wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    events: Vec<AuditEvent>,
    of_a_kind: HashMap<&'static str, usize>,
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

    /// Tells of an event, and leaves it to the writer to be stored; a refusal that is repeated is
    /// counted instead.
    ///
    /// A flood of refusals must cost neither memory without bound nor a row each: what does not
    /// fit is counted, and the count is stored.
    pub(crate) fn note(&self, event: AuditEvent) {
        let seen = lock(&self.repetitions).see(&event);
        match seen {
            Seen::New(count) => {
                for event in count.into_iter().chain([event]) {
                    self.tell(&event);
                    self.wait(event);
                }
            }
            Seen::Again => log_counted(&event),
        }
    }

    fn wait(&self, event: AuditEvent) {
        let mut waiting = lock(&self.waiting);
        let of_a_kind = waiting.of_a_kind.entry(event.act.kind()).or_default();
        if *of_a_kind < MAX_OF_A_KIND {
            *of_a_kind += 1;
            waiting.events.push(event);
            drop(waiting);
            self.wake.notify_one();
        } else {
            waiting.lost += 1;
        }
    }

    /// Takes what is waiting to be stored, the counts that are due included.
    pub(super) fn take(&self, now: Timestamp) -> Vec<AuditEvent> {
        let due = lock(&self.repetitions).due(now);
        self.take_with(due, now)
    }

    /// Takes what is waiting to be stored and all counts, since nothing comes any more.
    pub(super) fn take_last(&self, now: Timestamp) -> Vec<AuditEvent> {
        let counts = lock(&self.repetitions).settle(now);
        self.take_with(counts, now)
    }

    fn take_with(&self, mut counts: Vec<AuditEvent>, now: Timestamp) -> Vec<AuditEvent> {
        let mut waiting = lock(&self.waiting);
        let mut events = mem::take(&mut waiting.events);
        waiting.of_a_kind.clear();
        let lost = mem::take(&mut waiting.lost);
        drop(waiting);
        if lost > 0 {
            let act = AuditAct::EventsLost { events: lost };
            counts.push(AuditEvent::new(
                now,
                act,
                Actor::System,
                &RequestContext::default(),
            ));
        }
        counts.iter().for_each(|event| self.tell(event));
        events.extend(counts);
        events
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
                refusals = match event.act {
                    AuditAct::RefusalsCounted { refusals, .. } => Some(refusals),
                    _ => None,
                },
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

/// A line for each would fill the disk as the rows would.
fn log_counted(event: &AuditEvent) {
    tracing::debug!(
        target: "auth_core::audit",
        kind = event.act.kind(),
        reason = event.act.reason(),
        user = event.user.map(tracing::field::display),
        request_id = event.request_id.as_ref().map(|id| id.as_str()),
        client = event.client.map(tracing::field::display),
        "a repeated refusal was counted"
    );
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
        for _ in 0..MAX_OF_A_KIND + 3 {
            trail.note(event());
        }
        let taken = trail.take(Timestamp::UNIX_EPOCH);
        assert_eq!(taken.len(), MAX_OF_A_KIND + 1);
        let lost = taken.last().map(|event| event.act.clone());
        assert_eq!(lost, Some(AuditAct::EventsLost { events: 3 }));
        assert!(trail.take(Timestamp::UNIX_EPOCH).is_empty());
    }

    #[test]
    fn s19_4_a_flood_of_one_kind_takes_no_place_of_another() {
        let trail = AuditTrail::default();
        let of = |act| {
            let now = Timestamp::UNIX_EPOCH;
            AuditEvent::new(now, act, Actor::Anonymous, &RequestContext::default())
        };
        for _ in 0..100_000 {
            trail.note(of(AuditAct::VerificationRequested));
        }
        let rule = LoginRule::WrongPassword;
        for _ in 0..40 {
            trail.note(of(AuditAct::LoginRefused { rule }));
        }
        let taken = trail.take(Timestamp::UNIX_EPOCH);
        let logins = taken
            .iter()
            .filter(|event| event.act == AuditAct::LoginRefused { rule });
        assert_eq!(logins.count(), 40);
        assert_eq!(taken.len(), MAX_OF_A_KIND + 40 + 1);
    }

    #[test]
    fn s19_4_the_hook_hears_of_a_repeated_refusal_once_and_then_of_the_count() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kinds = Arc::clone(&heard);
        let hook = move |event: &AuditEvent| kinds.lock().unwrap().push(event.act.kind());
        let trail = AuditTrail::new(Arc::new(hook));
        for _ in 0..100 {
            let budget = "login".into();
            let act = AuditAct::RequestThrottled { budget };
            trail.note(AuditEvent { act, ..event() });
        }
        assert_eq!(trail.take_last(Timestamp::UNIX_EPOCH).len(), 2);
        let heard = heard.lock().unwrap();
        assert_eq!(*heard, ["request_throttled", "refusals_counted"]);
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
