use std::fmt;

use async_trait::async_trait;
use uuid::Uuid;

use super::StoreError;
use crate::audit::AuditEvent;
use crate::{RequestId, Timestamp, UserId};

/// The audit trail.
///
/// Events of acts that change the store come with the act, as a parameter of its method, and are
/// written in its transaction: both or neither.
#[async_trait]
pub trait EventStore: fmt::Debug + Send + Sync + 'static {
    /// Adds events; one that is there already is left as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn append_events(&self, events: &[AuditEvent]) -> Result<(), StoreError>;

    /// Finds events, the latest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn list_events(&self, filter: &EventFilter) -> Result<Vec<AuditEvent>, StoreError>;

    /// Removes up to `limit` of the oldest events from before a time; returns how many.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn remove_events(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}

/// Which events to find: those that meet every condition that is given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventFilter {
    /// Only those that concern this user.
    pub user: Option<UserId>,
    /// Only those of this [kind](crate::audit::AuditAct::kind).
    pub kind: Option<String>,
    /// Only those of this request.
    pub request_id: Option<RequestId>,
    /// Only those from this time on.
    pub since: Option<Timestamp>,
    /// Only those before this event, to go on where the last page ended.
    pub before: Option<Uuid>,
    /// At most so many (100 by default).
    pub limit: u32,
}

impl EventFilter {
    /// The filter of the page that follows the one which ended with this event.
    #[must_use]
    pub fn following(&self, last: &AuditEvent) -> Self {
        Self {
            before: Some(last.id),
            ..self.clone()
        }
    }
}

impl Default for EventFilter {
    fn default() -> Self {
        Self {
            user: None,
            kind: None,
            request_id: None,
            since: None,
            before: None,
            limit: 100,
        }
    }
}
