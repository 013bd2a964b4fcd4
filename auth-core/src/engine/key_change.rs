//! The keys of access tokens are others than before.

use super::Engine;
use crate::audit::{Actor, AuditAct};
use crate::store::EventFilter;
use crate::{AuthError, RequestContext};

impl Engine {
    /// Tells the audit trail which keys sign and verify access tokens, unless they are those that
    /// it was told of last; call it when a node starts.
    ///
    /// # Errors
    ///
    /// [`AuthError::Storage`] if the store cannot answer.
    pub async fn note_keys(&self) -> Result<(), AuthError> {
        let inner = &self.inner;
        let act = AuditAct::KeysChanged {
            key_ids: inner.key_ids.clone(),
        };
        let filter = EventFilter {
            kind: Some(act.kind().to_owned()),
            limit: 1,
            ..EventFilter::default()
        };
        let last = inner.store.list_events(&filter).await?;
        if last.first().is_some_and(|event| event.act == act) {
            return Ok(());
        }
        let event = inner.event(act, Actor::Operator, &RequestContext::default());
        inner
            .store
            .append_events(std::slice::from_ref(&event))
            .await?;
        inner.trail.tell(&event);
        Ok(())
    }
}
