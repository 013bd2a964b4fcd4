//! A client refreshes its access token.

use super::{Inner, Rotation};
use crate::audit::{Actor, AuditAct, AuditEvent, ReuseKind};
use crate::{
    AuthError, Generation, Refreshed, RequestContext, RevocationReason, Session, SessionId,
    Timestamp,
};

impl Inner {
    pub(super) async fn refresh(
        &self,
        refresh_token: &str,
        context: &RequestContext,
    ) -> Result<Refreshed, AuthError> {
        let opened = self.refresh_tokens.open(refresh_token);
        let Some((id, presented)) = opened else {
            // Anybody can forge tokens without end: they are told of, but never stored.
            let error = AuthError::TokenInvalid;
            self.tell_if_heard(|| refused(&error), None, context);
            return Err(error);
        };
        let outcome = self.try_refresh(id, presented, context).await;
        match &outcome {
            Ok(_) => self.tell_if_heard(|| AuditAct::Refreshed, Some(id), context),
            Err(error) => {
                let event = self.event(refused(error), Actor::Anonymous, context);
                self.trail.note(event.in_session(id));
            }
        }
        outcome
    }

    async fn try_refresh(
        &self,
        id: SessionId,
        presented: Generation,
        context: &RequestContext,
    ) -> Result<Refreshed, AuthError> {
        let now = self.clock.now();
        if let Rotation::On { .. } = self.rotation
            && let Some(session) = self.store.rotate_session(id, presented, now).await?
        {
            return self.answer(&session, Some(session.generation));
        }
        // Rotation is off, or the token is not the current one of a live session.
        let session = self
            .store
            .find_session(id)
            .await?
            .ok_or(AuthError::TokenRevoked)?;
        match judge(&session, presented, now, self.rotation) {
            Verdict::Good => self.answer(&session, None),
            Verdict::Repeated => self.answer(&session, Some(session.generation)),
            Verdict::Ended => Err(AuthError::TokenRevoked),
            Verdict::Expired => Err(AuthError::TokenExpired),
            Verdict::Reused => {
                let act = reuse(&session, presented, now);
                let event = AuditEvent::new(now, act, Actor::Anonymous, context)
                    .about(session.owner.id)
                    .in_session(id);
                let reason = RevocationReason::ReuseDetected;
                let ended = self.store.revoke_session(id, reason, &event).await?;
                if ended.is_some() {
                    self.trail.tell(&event);
                }
                Err(AuthError::TokenRevoked)
            }
        }
    }

    fn tell_if_heard(
        &self,
        act: impl FnOnce() -> AuditAct,
        session: Option<SessionId>,
        context: &RequestContext,
    ) {
        if self.trail.is_heard() {
            let event = self.event(act(), Actor::Anonymous, context);
            self.trail.tell(&AuditEvent { session, ..event });
        }
    }

    fn answer(&self, session: &Session, next: Option<Generation>) -> Result<Refreshed, AuthError> {
        self.may_use_tokens(session.owner)?;
        Ok(Refreshed::new(
            self.issue_access_token(session.owner, session.id)?,
            next.map(|generation| self.refresh_tokens.derive(session.id, generation)),
        ))
    }
}

/// What a presented token gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// An access token.
    Good,
    /// An access token and the current refresh token, again.
    Repeated,
    /// Nothing: the session was ended, or cannot go on.
    Ended,
    /// Nothing: the session has reached its end.
    Expired,
    /// Nothing, and the session is ended: somebody holds a token that was replaced.
    Reused,
}

fn refused(error: &AuthError) -> AuditAct {
    AuditAct::RefreshRefused {
        code: error.code().into(),
    }
}

fn reuse(session: &Session, presented: Generation, now: Timestamp) -> AuditAct {
    let reuse = if presented.next() == Some(session.generation) {
        ReuseKind::LostAnswer
    } else {
        ReuseKind::OldGeneration
    };
    let rotated_at = session.rotated_at.unwrap_or(session.created_at);
    AuditAct::ReuseDetected {
        reuse,
        age_seconds: now.saturating_since(rotated_at).as_secs(),
    }
}

fn judge(session: &Session, presented: Generation, now: Timestamp, rotation: Rotation) -> Verdict {
    if session.revoked_at.is_some() || !session.owner.is_active {
        return Verdict::Ended;
    }
    if now >= session.expires_at {
        return Verdict::Expired;
    }
    if presented == session.generation {
        return match rotation {
            Rotation::Off => Verdict::Good,
            // The store did not rotate a live session: its counter has run out.
            Rotation::On { .. } => Verdict::Ended,
        };
    }
    let in_grace = session
        .rotated_at
        .is_some_and(|rotated_at| now.saturating_since(rotated_at) < rotation.grace());
    match (
        presented.next() == Some(session.generation) && in_grace,
        rotation,
    ) {
        (true, Rotation::Off) => Verdict::Good,
        (true, Rotation::On { .. }) => Verdict::Repeated,
        // A generation from the future was issued, and then lost with the database's last
        // writes: it is no theft, but it cannot be trusted either.
        (false, _) if presented > session.generation => Verdict::Ended,
        (false, _) => Verdict::Reused,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{SessionId, SessionOwner, UserId};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);
    const ON: Rotation = Rotation::On {
        grace: Duration::from_secs(600),
    };

    fn session(generation: u32, rotated_ago: u64) -> Session {
        let owner = SessionOwner::new(UserId::generate());
        let begun = NOW - Duration::from_secs(3600);
        let mut session = Session::new(
            SessionId::generate(),
            owner,
            begun,
            NOW + Duration::from_secs(1),
        );
        session.generation = Generation::new(generation);
        session.rotated_at = (generation > 0).then(|| NOW - Duration::from_secs(rotated_ago));
        session
    }

    fn verdict(session: &Session, presented: u32, rotation: Rotation) -> Verdict {
        judge(session, Generation::new(presented), NOW, rotation)
    }

    #[test]
    fn s7_8_the_token_one_behind_gets_the_current_one_within_the_grace_only() {
        assert_eq!(verdict(&session(5, 599), 4, ON), Verdict::Repeated);
        assert_eq!(verdict(&session(5, 600), 4, ON), Verdict::Reused);
        let no_grace = Rotation::On {
            grace: Duration::ZERO,
        };
        assert_eq!(verdict(&session(5, 0), 4, no_grace), Verdict::Reused);
    }

    #[test]
    fn s7_8_a_token_more_than_one_behind_is_reuse() {
        for presented in 0..4 {
            assert_eq!(verdict(&session(5, 1), presented, ON), Verdict::Reused);
        }
    }

    #[test]
    fn s7_7_an_ended_session_gives_nothing_whatever_the_generation() {
        let mut revoked = session(5, 1);
        revoked.revoked_at = Some(NOW);
        let mut inactive = session(5, 1);
        inactive.owner.is_active = false;
        for presented in [0, 4, 5, 6] {
            for rotation in [Rotation::Off, ON] {
                assert_eq!(verdict(&revoked, presented, rotation), Verdict::Ended);
                assert_eq!(verdict(&inactive, presented, rotation), Verdict::Ended);
            }
        }
    }

    #[test]
    fn s7_4_a_session_ends_at_its_end() {
        let mut expired = session(5, 1);
        expired.expires_at = NOW;
        for presented in [4, 5] {
            assert_eq!(verdict(&expired, presented, ON), Verdict::Expired);
            assert_eq!(
                verdict(&expired, presented, Rotation::Off),
                Verdict::Expired
            );
        }
    }

    #[test]
    fn the_current_token_stays_good_with_rotation_off() {
        assert_eq!(verdict(&session(0, 0), 0, Rotation::Off), Verdict::Good);
        assert_eq!(verdict(&session(5, 1), 5, Rotation::Off), Verdict::Good);
        assert_eq!(verdict(&session(5, 1), 4, Rotation::Off), Verdict::Good);
        assert_eq!(verdict(&session(5, 1), 3, Rotation::Off), Verdict::Reused);
        assert_eq!(verdict(&session(5, 1), 6, Rotation::Off), Verdict::Ended);
    }
}
