//! May the caller do this now?

use super::Inner;
use crate::audit::{Actor, AuditAct};
use crate::{AuthError, Principal, RequestContext, Session, Superuser};

impl Inner {
    /// Asks the store, since the token tells only what was true when it was issued.
    pub(super) async fn require_superuser(
        &self,
        caller: &Principal,
        context: &RequestContext,
    ) -> Result<Superuser, AuthError> {
        let verdict = self.is_superuser(caller).await;
        if let Err(error) = &verdict {
            let code = error.code().into();
            let act = AuditAct::AccessDenied { code };
            let event = self.event(act, Actor::User(caller.user_id), context);
            let event = event.about(caller.user_id).in_session(caller.session_id);
            self.trail.note(event);
        }
        verdict
    }

    /// The caller's session, if the caller may still use it: the token tells only what was true
    /// when it was issued.
    pub(super) async fn live_session(&self, caller: &Principal) -> Result<Session, AuthError> {
        self.store
            .find_session(caller.session_id)
            .await?
            .filter(|session| session.owner.id == caller.user_id)
            .filter(|session| session.is_live(self.clock.now()))
            .ok_or(AuthError::TokenRevoked)
    }

    async fn is_superuser(&self, caller: &Principal) -> Result<Superuser, AuthError> {
        let session = self.live_session(caller).await?;
        if !session.owner.is_superuser {
            return Err(AuthError::PermissionDenied);
        }
        Ok(Superuser::assume(session.owner.id))
    }
}
