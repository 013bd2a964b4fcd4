//! A client refreshes its access token.

use super::refresh_rules::Verdict;
use super::{Inner, Rotation};
use crate::audit::{Actor, AuditAct, AuditEvent, ReuseKind};
use crate::store::SessionRotation;
use crate::{
    AuthError, Generation, Refreshed, RequestContext, RevocationReason, RotationKey, Session,
    SessionId, Timestamp,
};

/// How often a token is judged that is ahead of its session, while others move the session.
const MAX_JUDGEMENTS: u32 = 4;

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
            Err(AuthError::RefreshContested) => {
                metrics::counter!("auth_refreshes_contested_total").increment(1);
                let event = self.event(AuditAct::RefreshContested, Actor::Anonymous, context);
                self.trail.note(event.in_session(id));
            }
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
        if self.revocations.names_session(id) {
            return self.refuse_ended(id, context).await;
        }
        let now = self.clock.now();
        let key = context.idempotency_key.as_ref();
        let key = key.map(|key| RotationKey::new(id, key));
        let rules = &self.refresh_rules;
        if let Rotation::On { .. } = rules.rotation {
            let rotation = SessionRotation {
                key,
                used_after: rules.used_after(now),
                ..SessionRotation::new(id, presented, now)
            };
            if let Some(session) = self.store.rotate_session(&rotation).await? {
                return self.answer(&session, Some(session.generation), now).await;
            }
        }
        // Rotation is off, or the token is not the current one of a live session.
        for _ in 0..MAX_JUDGEMENTS {
            let session = self
                .store
                .find_session(id)
                .await?
                .ok_or(AuthError::TokenRevoked)?;
            let verdict = rules.judge(&session, presented, key, now);
            if verdict != Verdict::Ahead {
                return self.answer_verdict(verdict, &session, now, context).await;
            }
            let followed = self.follow(&session, presented, key, now, context).await?;
            if let Some(session) = followed {
                let next = match rules.rotation {
                    Rotation::Off => None,
                    Rotation::On { .. } => Some(session.generation),
                };
                return self.answer(&session, next, now).await;
            }
            // Another request has moved the session meanwhile, or ended it.
        }
        Err(AuthError::RefreshContested)
    }

    async fn answer_verdict(
        &self,
        verdict: Verdict,
        session: &Session,
        now: Timestamp,
        context: &RequestContext,
    ) -> Result<Refreshed, AuthError> {
        match verdict {
            Verdict::Good => self.answer_again(session, None, now).await,
            Verdict::Repeated => {
                let next = match self.refresh_rules.rotation {
                    Rotation::Off => None,
                    Rotation::On { .. } => Some(session.generation),
                };
                self.answer_again(session, next, now).await
            }
            Verdict::Contested | Verdict::Ahead => Err(AuthError::RefreshContested),
            Verdict::Ended => Err(AuthError::TokenRevoked),
            Verdict::Expired => Err(AuthError::TokenExpired),
            Verdict::Reused(reuse) => {
                self.end_reused(session, reuse, now, context).await?;
                Err(AuthError::TokenRevoked)
            }
        }
    }

    /// Lets the session follow a token that is ahead of it; gives nothing if it has been moved or
    /// ended meanwhile.
    async fn follow(
        &self,
        session: &Session,
        presented: Generation,
        key: Option<RotationKey>,
        now: Timestamp,
        context: &RequestContext,
    ) -> Result<Option<Session>, AuthError> {
        let to = match self.refresh_rules.rotation {
            Rotation::Off => presented,
            Rotation::On { .. } => presented.next().ok_or(AuthError::TokenRevoked)?,
        };
        let rotation = SessionRotation {
            key,
            used_after: self.refresh_rules.used_after(now),
            ..SessionRotation::new(session.id, session.generation, now)
        };
        let act = AuditAct::SessionFollowed {
            from: session.generation.number(),
            to: to.number(),
        };
        let event = self.event(act, Actor::Anonymous, context);
        let event = event.about(session.owner.id).in_session(session.id);
        let followed = self.store.follow_session(&rotation, to, &event).await?;
        if followed.is_some() {
            metrics::counter!("auth_sessions_followed_total").increment(1);
            tracing::warn!(
                session = %session.id,
                from = session.generation.number(),
                to = to.number(),
                "a refresh token was ahead of its session: the database has lost rotations"
            );
            self.trail.tell(&event);
        }
        Ok(followed)
    }

    /// Refuses a session that this node knows to have ended. If the database has lost that, such
    /// as by a failover, the session ends there again.
    async fn refuse_ended(
        &self,
        id: SessionId,
        context: &RequestContext,
    ) -> Result<Refreshed, AuthError> {
        let now = self.clock.now();
        let session = self.store.find_session(id).await?;
        if let Some(session) = session.filter(|session| session.revoked_at.is_none()) {
            let event = self.event(AuditAct::SessionEnded, Actor::System, context);
            let event = event.about(session.owner.id).in_session(id);
            let ending = self.ending(RevocationReason::Administrative, now);
            if self
                .store
                .revoke_session(id, &ending, &event)
                .await?
                .is_some()
            {
                tracing::warn!(session = %id, "the database had lost the end of a session");
                self.trail.tell(&event);
            }
            self.refuse_session(id, &ending);
        }
        Err(AuthError::TokenRevoked)
    }

    /// Answers without a rotation, which would have noted the use.
    async fn answer_again(
        &self,
        session: &Session,
        next: Option<Generation>,
        now: Timestamp,
    ) -> Result<Refreshed, AuthError> {
        if let Some(since) = self.refresh_rules.unused_since(session, now) {
            self.store.touch_session(session.id, now, since).await?;
        }
        self.answer(session, next, now).await
    }

    async fn end_reused(
        &self,
        session: &Session,
        reuse: ReuseKind,
        now: Timestamp,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let rotated_at = session.rotated_at.unwrap_or(session.created_at);
        let act = AuditAct::ReuseDetected {
            reuse,
            age_seconds: now.saturating_since(rotated_at).as_secs(),
        };
        let event = AuditEvent::new(now, act, Actor::Anonymous, context)
            .about(session.owner.id)
            .in_session(session.id);
        // Of this moment, not of when the refresh began: other clients have got tokens since.
        let ending = self.ending(RevocationReason::ReuseDetected, self.clock.now());
        let ended = self
            .store
            .revoke_session(session.id, &ending, &event)
            .await?;
        self.refuse_session(session.id, &ending);
        if ended.is_some() {
            self.trail.tell(&event);
        }
        Ok(())
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

    async fn answer(
        &self,
        session: &Session,
        next: Option<Generation>,
        asked_at: Timestamp,
    ) -> Result<Refreshed, AuthError> {
        self.may_use_tokens(&session.owner)?;
        Ok(Refreshed::new(
            self.issue_access_token(&session.owner, session.id, asked_at)
                .await?,
            next.map(|generation| self.refresh_tokens.derive(session.id, generation)),
        ))
    }
}

fn refused(error: &AuthError) -> AuditAct {
    AuditAct::RefreshRefused {
        code: error.code().into(),
    }
}
