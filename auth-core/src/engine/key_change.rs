//! The keys of access tokens are others than before.

use super::Engine;
use crate::audit::{Actor, AuditAct};
use crate::store::EventFilter;
use crate::{AuthError, JwtKeys, RequestContext};

impl Engine {
    /// Signs and verifies with other keys from now on, also where the
    /// [verifier](Self::access_token_verifier) was handed out already; afterwards call
    /// [`note_keys`](Self::note_keys).
    ///
    /// Requests under way finish with the keys that they began with. No token is refused where
    /// each key was accepted by all who verify before it signs, and is accepted until its last
    /// token has expired: see [`JwtKeys::add_public_key`].
    pub fn replace_jwt_keys(&self, keys: &JwtKeys) {
        self.inner.keys.replace(keys);
    }

    /// Tells the audit trail which keys sign and verify access tokens, unless they are those that
    /// it was told of last; call it when a node starts, and when its keys were replaced.
    ///
    /// # Errors
    ///
    /// [`AuthError::Storage`] if the store cannot answer.
    pub async fn note_keys(&self) -> Result<(), AuthError> {
        let inner = &self.inner;
        let act = AuditAct::KeysChanged {
            key_ids: inner.keys.key_ids(),
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
