//! What verifiers must refuse.

use std::time::Duration;

use async_trait::async_trait;
use auth_core::revocation::{Revocation, RevokedTokens};
use auth_core::store::{
    Ending, RevocationFeed, RevocationNews, RevocationStore, Revoked, StoreError,
};
use auth_core::{SessionId, Timestamp, UserId};
use tokio::sync::watch;

use crate::{MemoryStore, Tables};

#[async_trait]
impl RevocationStore for MemoryStore {
    async fn follow_revocations(&self) -> Result<Box<dyn RevocationFeed>, StoreError> {
        let mut revocations = self.lock().revocations.subscribe();
        revocations.mark_changed();
        Ok(Box::new(Feed(revocations)))
    }

    async fn remove_revocations(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut removed = 0;
        self.lock().revocations.send_modify(|revocations| {
            revocations.retain(|revocation| {
                let stays = revocation.expires_at >= before || removed == u64::from(limit);
                removed += u64::from(!stays);
                stays
            });
        });
        Ok(removed)
    }
}

#[derive(Debug)]
struct Feed(watch::Receiver<Vec<Revocation>>);

#[async_trait]
impl RevocationFeed for Feed {
    async fn next(&mut self) -> Result<RevocationNews, StoreError> {
        let second = Duration::from_secs(1);
        let _ = tokio::time::timeout(second, self.0.changed()).await;
        let revocations = self.0.borrow_and_update().clone();
        Ok(RevocationNews::complete(revocations))
    }
}

impl Tables {
    pub(crate) fn revoke(&mut self, revocation: Revocation) {
        self.revocations
            .send_modify(|revocations| revocations.push(revocation));
    }

    pub(crate) fn revoke_session(&mut self, session: SessionId, until: Timestamp) {
        self.revoke(Revocation::new(RevokedTokens::OfSession(session), until));
    }

    /// Ends the sessions, and returns which, and how many of them were live.
    pub(crate) fn end_sessions_of(
        &mut self,
        user: UserId,
        except: Option<SessionId>,
        ending: &Ending,
        at: Timestamp,
    ) -> Revoked {
        let (mut ended, mut live) = (Vec::new(), 0);
        for (id, session) in &mut self.sessions {
            let is_other = session.owner.id == user && except != Some(*id);
            if is_other && session.revoked_at.is_none() {
                session.revoked_at = Some(at);
                live += u64::from(session.expires_at > at);
                ended.push(*id);
            }
        }
        for id in &ended {
            self.revoke_session(*id, ending.remembered_until);
        }
        Revoked::of_sessions(ended, live)
    }
}
