//! A client logs out.

use super::Inner;
use crate::audit::{Actor, AuditAct};
use crate::{AuthError, RequestContext, RevocationReason};

impl Inner {
    /// Possession of the token is the authority, whatever its generation: who holds a replaced
    /// token can end the session by using it as well.
    pub(super) async fn log_out(
        &self,
        refresh_token: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let (id, _) = self
            .refresh_tokens
            .open(refresh_token)
            .ok_or(AuthError::TokenInvalid)?;
        let event = self.event(AuditAct::LoggedOut, Actor::Anonymous, context);
        let event = event.in_session(id);
        let ending = self.ending(RevocationReason::Logout, event.at);
        let ended = self.store.revoke_session(id, &ending, &event).await?;
        self.refuse_session(id, &ending);
        if let Some(user) = ended {
            self.trail.tell(&event.about(user));
        }
        Ok(())
    }
}
