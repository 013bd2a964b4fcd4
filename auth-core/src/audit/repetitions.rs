//! Refusals that come again and again: the first is listed, the others are counted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use super::{Actor, AuditAct, AuditEvent, LoginRule, Outcome};
use crate::{ClientNetwork, RequestContext, SessionId, Timestamp, UserId};

/// How long nothing of the kind has come when a repetition is over.
const QUIET: Duration = Duration::from_secs(60);

/// How often a repetition that goes on is reported.
const REPORTED_EVERY: Duration = Duration::from_secs(600);

/// How many repetitions are told apart; the refusals of further clients are counted together.
const MAX_TOLD_APART: usize = 512;

/// What is repeated at the moment.
#[derive(Debug, Default)]
pub(super) struct Repetitions(HashMap<Refusal, Repetition>);

/// What makes two refusals the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Refusal {
    kind: &'static str,
    reason: Option<String>,
    network: Option<ClientNetwork>,
    user: Option<UserId>,
    session: Option<SessionId>,
}

#[derive(Debug)]
struct Repetition {
    /// The event that was listed, or of those that are counted together the first.
    first: AuditEvent,
    /// Since when `unlisted` counts.
    since: Timestamp,
    last: Timestamp,
    unlisted: u64,
}

/// What is to be done with an event.
#[derive(Debug)]
pub(super) enum Seen {
    /// It is listed, after the count of an earlier repetition.
    New(Option<AuditEvent>),
    /// It is counted.
    Again,
}

impl Repetitions {
    /// Takes note of an event.
    pub(super) fn see(&mut self, event: &AuditEvent) -> Seen {
        if !can_be_repeated(&event.act) {
            return Seen::New(None);
        }
        let refusal = Refusal::of(event);
        let is_full = self.0.len() >= MAX_TOLD_APART;
        match self.0.entry(refusal.clone()) {
            Entry::Occupied(mut found) => {
                if event.at.saturating_since(found.get().last) >= QUIET {
                    let over = found.insert(Repetition::of(event));
                    return Seen::New(over.report(event.at));
                }
                let repetition = found.get_mut();
                repetition.last = event.at;
                repetition.unlisted += 1;
                Seen::Again
            }
            Entry::Vacant(free) if !is_full => {
                free.insert(Repetition::of(event));
                Seen::New(None)
            }
            Entry::Vacant(_) => {
                // Of these there are as many as there are reasons.
                let together = self.0.entry(refusal.of_anybody());
                let together = together.or_insert_with(|| Repetition::of_many(event));
                together.last = event.at;
                together.unlisted += 1;
                Seen::Again
            }
        }
    }

    /// Takes the counts of what is over or has gone on for long.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<AuditEvent> {
        let mut due = Vec::new();
        self.0.retain(|_, repetition| {
            let is_over = now.saturating_since(repetition.last) >= QUIET;
            if is_over || now.saturating_since(repetition.since) >= REPORTED_EVERY {
                due.extend(repetition.report(now));
                repetition.since = now;
                repetition.unlisted = 0;
            }
            !is_over
        });
        due
    }

    /// Takes all counts: nothing comes any more.
    pub(super) fn settle(&mut self, now: Timestamp) -> Vec<AuditEvent> {
        let all = self.0.drain();
        all.filter_map(|(_, repetition)| repetition.report(now))
            .collect()
    }
}

impl Refusal {
    fn of(event: &AuditEvent) -> Self {
        Self {
            kind: event.act.kind(),
            reason: event.act.reason().map(str::to_owned),
            network: event.client.map(ClientNetwork::of),
            user: event.user,
            session: event.session,
        }
    }

    fn of_anybody(self) -> Self {
        Self {
            network: None,
            user: None,
            session: None,
            ..self
        }
    }
}

impl Repetition {
    fn of(event: &AuditEvent) -> Self {
        Self {
            first: event.clone(),
            since: event.at,
            last: event.at,
            unlisted: 0,
        }
    }

    fn of_many(event: &AuditEvent) -> Self {
        let nobody = RequestContext::default();
        Self {
            first: AuditEvent::new(event.at, event.act.clone(), Actor::Anonymous, &nobody),
            ..Self::of(event)
        }
    }

    fn report(&self, now: Timestamp) -> Option<AuditEvent> {
        if self.unlisted == 0 {
            return None;
        }
        let act = AuditAct::RefusalsCounted {
            act: self.first.act.kind().into(),
            code: self
                .first
                .act
                .reason()
                .map(|reason| reason.to_owned().into()),
            refusals: self.unlisted,
            seconds: self.last.saturating_since(self.since).as_secs(),
        };
        let event = AuditEvent::new(now, act, self.first.actor, &RequestContext::default());
        Some(AuditEvent {
            user: self.first.user,
            session: self.first.session,
            peer: self.first.peer,
            client: self.first.client,
            ..event
        })
    }
}

/// Whether anybody can cause it again and again at little cost. A password that was hashed costs more, is
/// throttled, and is what an operator looks for.
fn can_be_repeated(act: &AuditAct) -> bool {
    match act {
        AuditAct::LoginRefused { rule } => matches!(
            rule,
            LoginRule::AccountThrottled
                | LoginRule::NetworkThrottled
                | LoginRule::Overloaded
                | LoginRule::PasswordTooLong
        ),
        AuditAct::ReuseDetected { .. } => false,
        act => act.outcome() == Outcome::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: [u8; 4] = [192, 0, 2, 1];
    const OTHER: [u8; 4] = [192, 0, 2, 2];

    fn second(second: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn throttled(at: u64, client: [u8; 4]) -> AuditEvent {
        let context = RequestContext::default().with_client(client.into());
        let budget = "login".into();
        let act = AuditAct::RequestThrottled { budget };
        AuditEvent::new(second(at), act, Actor::Anonymous, &context)
    }

    fn refused(rule: LoginRule) -> AuditEvent {
        let context = RequestContext::default().with_client(ONE.into());
        let act = AuditAct::LoginRefused { rule };
        AuditEvent::new(second(0), act, Actor::Anonymous, &context)
    }

    #[track_caller]
    fn counts(events: &[AuditEvent], expected: &[(u64, u64)]) {
        let counts: Vec<_> = events
            .iter()
            .map(|event| match event.act {
                AuditAct::RefusalsCounted {
                    refusals, seconds, ..
                } => (refusals, seconds),
                _ => panic!("{event:?} is no count"),
            })
            .collect();
        assert_eq!(counts, expected);
    }

    #[test]
    fn s19_4_the_first_refusal_is_listed_and_the_others_are_one_count() {
        let mut repetitions = Repetitions::default();
        let mut listed = 0;
        for at in 0..100 {
            for client in [ONE, OTHER] {
                listed += usize::from(matches!(
                    repetitions.see(&throttled(at, client)),
                    Seen::New(None)
                ));
            }
            assert!(repetitions.due(second(at)).is_empty());
        }
        assert_eq!(listed, 2, "one of each client");
        let due = repetitions.due(second(99 + 60));
        counts(&due, &[(99, 99), (99, 99)]);
        let client = due.first().and_then(|event| event.client);
        assert!([ONE, OTHER].map(|it| Some(it.into())).contains(&client));
        assert!(repetitions.due(second(9_999)).is_empty());
        assert!(matches!(
            repetitions.see(&throttled(9_999, ONE)),
            Seen::New(None)
        ));
    }

    #[test]
    fn s19_4_a_refusal_after_a_pause_is_listed_behind_the_count() {
        let mut repetitions = Repetitions::default();
        for at in [0, 1, 2] {
            let _ = repetitions.see(&throttled(at, ONE));
        }
        let Seen::New(Some(count)) = repetitions.see(&throttled(62, ONE)) else {
            panic!("not listed, or no count");
        };
        counts(&[count], &[(2, 2)]);
        assert!(repetitions.due(second(200)).is_empty());
    }

    #[test]
    fn s19_4_what_goes_on_is_counted_every_ten_minutes() {
        let mut repetitions = Repetitions::default();
        let mut reported = Vec::new();
        for at in 0..1_300 {
            let _ = repetitions.see(&throttled(at, ONE));
            reported.extend(repetitions.due(second(at)));
        }
        counts(&reported, &[(600, 600), (600, 600)]);
        counts(&repetitions.settle(second(1_300)), &[(99, 99)]);
    }

    #[test]
    fn s19_4_the_refusals_of_more_clients_than_are_told_apart_are_counted_together() {
        let mut repetitions = Repetitions::default();
        let mut listed = 0;
        for [high, low] in (0..10_000_u16).map(u16::to_be_bytes) {
            listed += usize::from(matches!(
                repetitions.see(&throttled(0, [10, 0, high, low])),
                Seen::New(_)
            ));
        }
        assert_eq!(listed, MAX_TOLD_APART);
        let counted = repetitions.settle(second(60));
        counts(&counted, &[(10_000 - MAX_TOLD_APART as u64, 0)]);
        assert_eq!(counted.first().and_then(|event| event.client), None);
    }

    #[test]
    fn s19_4_a_password_that_was_looked_at_is_always_listed() {
        let mut repetitions = Repetitions::default();
        for (rule, is_listed) in [
            (LoginRule::WrongPassword, true),
            (LoginRule::UnknownUser, true),
            (LoginRule::InactiveUser, true),
            (LoginRule::AccountThrottled, false),
            (LoginRule::NetworkThrottled, false),
            (LoginRule::Overloaded, false),
            (LoginRule::PasswordTooLong, false),
        ] {
            let event = refused(rule);
            assert!(matches!(repetitions.see(&event), Seen::New(None)));
            let seen = repetitions.see(&event);
            assert_eq!(matches!(seen, Seen::New(None)), is_listed, "{rule:?}");
        }
    }
}
