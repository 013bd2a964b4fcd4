//! How access tokens are called back.

use std::time::Duration;

use super::Inner;
use crate::audit::AuditEvent;
use crate::revocation::{Revocation, RevokedTokens};
use crate::store::{Ending, NewSession, Revoked};
use crate::{AccessTokenVerifier, RevocationReason, SessionId, Timestamp, UserId};

/// How long an act may wait for its commit, until which a refresh still finds the session live.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// Tokens carry whole seconds, and nodes' clocks differ a little: so those are refused, too, that
/// are issued within a second of a change.
const MARGIN: Duration = Duration::from_secs(1);

impl Inner {
    /// How sessions end that end at this time.
    pub(super) fn ending(&self, reason: RevocationReason, at: Timestamp) -> Ending {
        Ending::new(reason, at + MARGIN, self.remembered_until(at))
    }

    /// When the last access token of a session that ends at this time has expired, even for the
    /// verifiers of other services.
    pub(super) fn remembered_until(&self, at: Timestamp) -> Timestamp {
        at + self.access_tokens.lifetime() + AccessTokenVerifier::MAX_LEEWAY + UNDER_WAY
    }

    /// Refuses the session's access tokens at this node, before the feed tells it.
    pub(super) fn refuse_session(&self, session: SessionId, ending: &Ending) {
        self.refuse(RevokedTokens::OfSession(session), ending);
    }

    /// Refuses at this node what an act on the user has taken back, before the feed tells it.
    pub(super) fn refuse_revoked(&self, user: UserId, revoked: &Revoked, ending: &Ending) {
        for session in &revoked.sessions {
            self.refuse_session(*session, ending);
        }
        if let Some(epoch) = revoked.epoch {
            let tokens = RevokedTokens::OfUser {
                user,
                issued_before: ending.issued_before,
                epoch: Some(epoch),
            };
            self.refuse(tokens, ending);
        }
    }

    /// Refuses at this node what a login has displaced, and tells of it.
    pub(super) fn refuse_displaced(
        &self,
        login: &NewSession,
        displaced: &Revoked,
        event: &AuditEvent,
    ) {
        let ending = self.ending(RevocationReason::SessionLimit, login.created_at);
        for session in &displaced.sessions {
            self.refuse_session(*session, &ending);
            self.trail.tell(&event.displacing(*session));
        }
        let displaced = displaced.sessions.len() as u64;
        if displaced > 0 {
            metrics::counter!("auth_sessions_displaced_total").increment(displaced);
        }
    }

    /// Refuses all access tokens at this node, before the feed tells it.
    pub(super) fn refuse_all(&self, ending: &Ending) {
        let issued_before = ending.issued_before;
        self.refuse(RevokedTokens::All { issued_before }, ending);
    }

    fn refuse(&self, tokens: RevokedTokens, ending: &Ending) {
        // The store may have taken its time: tokens that were issued meanwhile expire later.
        let issued_by_now = self.remembered_until(self.clock.now());
        let remembered_until = ending.remembered_until.max(issued_by_now);
        let revocation = Revocation::new(tokens, remembered_until);
        self.revocations.insert(&revocation);
    }
}
