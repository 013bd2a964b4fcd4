use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::AuditAct;
use crate::{RequestContext, RequestId, SessionId, Timestamp, UserId};

/// One entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditEvent {
    /// The id: UUID version 7 of the event's time, so that ids are in the order of time.
    pub id: Uuid,
    /// When (UTC).
    #[serde(with = "micros")]
    pub at: Timestamp,
    /// What was done, or tried.
    pub act: AuditAct,
    /// Who did it.
    pub actor: Actor,
    /// Whose account it concerns, if that is known.
    pub user: Option<UserId>,
    /// Which session it concerns.
    pub session: Option<SessionId>,
    /// The request.
    pub request_id: Option<RequestId>,
    /// The other end of the connection.
    pub peer: Option<IpAddr>,
    /// The client's address.
    pub client: Option<IpAddr>,
}

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Actor {
    /// Somebody who has not proved to be anybody.
    Anonymous,
    /// A user: the account's own, or a superuser.
    User(UserId),
    /// Whoever runs the process: the command line, or the host application.
    Operator,
    /// The service by itself.
    System,
}

impl Actor {
    /// The stable name of the kind of actor.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::User(_) => "user",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }
}

/// The user's id, or the name of the kind of actor.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            other => f.write_str(other.kind()),
        }
    }
}

impl AuditEvent {
    /// Makes an event that concerns no user and no session.
    #[must_use]
    pub fn new(at: Timestamp, act: AuditAct, actor: Actor, context: &RequestContext) -> Self {
        Self {
            id: id_at(at),
            at,
            act,
            actor,
            user: None,
            session: None,
            request_id: context.request_id.clone(),
            peer: context.peer,
            client: context.client,
        }
    }

    /// Tells who did it, where that shows late.
    #[must_use]
    pub const fn by(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// Tells whose account it concerns.
    #[must_use]
    pub const fn about(mut self, user: UserId) -> Self {
        self.user = Some(user);
        self
    }

    /// Tells which session it concerns.
    #[must_use]
    pub const fn in_session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// Makes the event of a session that this login has displaced: the user had too many.
    ///
    /// It is the same event however often it is made.
    #[must_use]
    pub fn displacing(&self, session: SessionId) -> Self {
        let (_, low) = session.as_uuid().as_u64_pair();
        Self {
            id: id_of(self.at, low.to_be_bytes()),
            act: AuditAct::SessionDisplaced,
            session: Some(session),
            ..self.clone()
        }
    }

    /// The id before which no event of this time or a later one comes.
    #[must_use]
    pub fn first_id_at(at: Timestamp) -> Uuid {
        id_of(at, [0; 8])
    }
}

fn id_at(at: Timestamp) -> Uuid {
    let (_, random) = Uuid::new_v4().as_u64_pair();
    id_of(at, random.to_be_bytes())
}

/// A UUID version 7 whose first random bits are the microseconds, as the fraction of a millisecond
/// (RFC 9562 section 6.2, method 3), so that ids are in order as far as the clock tells.
fn id_of(at: Timestamp, random: [u8; 8]) -> Uuid {
    let micros = u64::try_from(at.unix_micros()).unwrap_or(0);
    let fraction = (micros % 1000) * 4096 / 1000;
    let [.., high, low] = fraction.to_be_bytes();
    let [a, b, c, d, e, f, g, h] = random;
    let tail = [high, low, a, b, c, d, e, f, g, h];
    uuid::Builder::from_unix_timestamp_millis(micros / 1000, &tail).into_uuid()
}

mod micros {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::Timestamp;

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.unix_micros())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(from).map(Timestamp::from_unix_micros)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ids_are_in_the_order_of_time_to_the_microsecond() {
        let earlier = Timestamp::from_unix_seconds(1_700_000_000);
        let later = earlier + Duration::from_micros(1);
        let event = |at| {
            let context = RequestContext::default();
            AuditEvent::new(at, AuditAct::LoggedIn, Actor::System, &context)
        };
        assert!(event(earlier).id < event(later).id);
        assert!(AuditEvent::first_id_at(later) <= event(later).id);
        assert!(event(earlier).id < AuditEvent::first_id_at(later));
    }
}
