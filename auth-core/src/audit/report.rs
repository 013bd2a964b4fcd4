use std::net::IpAddr;

use serde::Serialize;
use uuid::Uuid;

use super::{AuditAct, AuditEvent};
use crate::{RequestId, SessionId, UserId};

/// An event in the form that operators and programs read, wherever it is shown to them.
///
/// What a store keeps is the [`AuditEvent`] itself.
///
/// ```
/// use auth_core::audit::{Actor, AuditAct, AuditEvent, EventReport};
/// use auth_core::{RequestContext, Timestamp};
///
/// let context = RequestContext::default();
/// let event = AuditEvent::new(Timestamp::UNIX_EPOCH, AuditAct::LoggedIn, Actor::System, &context);
/// let report = serde_json::to_value(EventReport::of(&event))?;
/// assert_eq!(report["at"], "1970-01-01T00:00:00.000000Z");
/// assert_eq!((&report["kind"], &report["outcome"]), (&"logged_in".into(), &"done".into()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct EventReport<'a> {
    id: Uuid,
    at: String,
    kind: &'static str,
    outcome: &'static str,
    reason: Option<&'a str>,
    details: &'a AuditAct,
    actor: String,
    user: Option<UserId>,
    session: Option<SessionId>,
    request_id: Option<&'a RequestId>,
    peer: Option<IpAddr>,
    client: Option<IpAddr>,
}

impl<'a> EventReport<'a> {
    /// The report of an event.
    #[must_use]
    pub fn of(event: &'a AuditEvent) -> Self {
        Self {
            id: event.id,
            at: event.at.to_string(),
            kind: event.act.kind(),
            outcome: event.act.outcome().as_str(),
            reason: event.act.reason(),
            details: &event.act,
            actor: event.actor.to_string(),
            user: event.user,
            session: event.session,
            request_id: event.request_id.as_ref(),
            peer: event.peer,
            client: event.client,
        }
    }
}
