//! What a presented refresh token gets.

use std::time::Duration;

use super::Rotation;
use crate::audit::ReuseKind;
use crate::{Generation, RotationKey, Session, Timestamp};

/// A session's use is noted no oftener than this.
const NOTED_USE: Duration = Duration::from_secs(3600);

/// What decides on a refresh, beside the session.
#[derive(Clone, Copy, Debug)]
pub(super) struct RefreshRules {
    pub(super) rotation: Rotation,
    pub(super) idle_ttl: Option<Duration>,
}

/// What a presented token gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An access token.
    Good,
    /// An access token and the current refresh token, again.
    Repeated,
    /// Nothing for now: the successor has just become another client's.
    Contested,
    /// As for the current token, once the session has followed to where the token is: the
    /// database has lost what we had issued since.
    Ahead,
    /// Nothing: the session was ended, or cannot go on.
    Ended,
    /// Nothing: the session has reached its end, or was idle for too long.
    Expired,
    /// Nothing, and the session is ended: somebody holds a token that was replaced.
    Reused(ReuseKind),
}

impl RefreshRules {
    /// When a session must have been used last not to be idle at `now`, or later.
    pub(super) fn used_after(&self, now: Timestamp) -> Option<Timestamp> {
        self.idle_ttl.map(|ttl| now - ttl)
    }

    /// Since when the session must be unused for a use at `now` to be noted, if it is.
    pub(super) fn unused_since(&self, session: &Session, now: Timestamp) -> Option<Timestamp> {
        let since = now - NOTED_USE;
        (self.idle_ttl.is_some() && session.last_used_at() <= since).then_some(since)
    }

    /// Judges a token that was not rotated.
    pub(super) fn judge(
        &self,
        session: &Session,
        presented: Generation,
        key: Option<RotationKey>,
        now: Timestamp,
    ) -> Verdict {
        if session.revoked_at.is_some() || !session.owner.is_active {
            return Verdict::Ended;
        }
        let is_idle = |after| session.last_used_at() <= after;
        if now >= session.expires_at || self.used_after(now).is_some_and(is_idle) {
            return Verdict::Expired;
        }
        let current = session.generation.number();
        match (current.checked_sub(presented.number()), self.rotation) {
            (Some(0), Rotation::Off) => Verdict::Good,
            // Its MAC proves that we issued it: the database has lost its last writes. The row may have
            // caught up since the rotation found it behind.
            (Some(0), Rotation::On { .. }) | (None, _) => Verdict::Ahead,
            (Some(1), _) => self.judge_replaced(session, key, now),
            (Some(_), _) => Verdict::Reused(ReuseKind::OldGeneration),
        }
    }

    /// Judges the token one generation behind, whose successor is unused.
    fn judge_replaced(
        &self,
        session: &Session,
        key: Option<RotationKey>,
        now: Timestamp,
    ) -> Verdict {
        let in_grace = session
            .rotated_at
            .is_some_and(|rotated_at| now.saturating_since(rotated_at) < self.rotation.grace());
        match (session.rotation_key, in_grace) {
            (Some(_), _) if key == session.rotation_key => Verdict::Repeated,
            (Some(_), true) => Verdict::Contested,
            (Some(_), false) => Verdict::Reused(ReuseKind::OtherClient),
            (None, true) => Verdict::Repeated,
            (None, false) => Verdict::Reused(ReuseKind::LostAnswer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IdempotencyKey, SessionId, SessionOwner, UserId};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    const OFF: RefreshRules = RefreshRules {
        rotation: Rotation::Off,
        idle_ttl: None,
    };
    const ON: RefreshRules = RefreshRules {
        rotation: Rotation::On {
            grace: Duration::from_secs(600),
        },
        idle_ttl: None,
    };

    fn session(generation: u32, rotated_ago: u64) -> Session {
        let owner = SessionOwner::new(UserId::generate());
        let begun = NOW - DAY;
        let end = NOW + Duration::from_secs(1);
        let mut session = Session::new(SessionId::generate(), owner, begun, end);
        session.generation = Generation::new(generation);
        session.rotated_at = (generation > 0).then(|| NOW - Duration::from_secs(rotated_ago));
        session.used_at = session.rotated_at;
        session
    }

    fn key(session: &Session, text: &str) -> Option<RotationKey> {
        IdempotencyKey::parse(text).map(|key| RotationKey::new(session.id, &key))
    }

    fn verdict(session: &Session, presented: u32, rules: RefreshRules) -> Verdict {
        rules.judge(session, Generation::new(presented), None, NOW)
    }

    #[test]
    fn s7_8_the_token_one_behind_gets_the_current_one_within_the_grace_only() {
        let lost_answer = Verdict::Reused(ReuseKind::LostAnswer);
        assert_eq!(verdict(&session(5, 599), 4, ON), Verdict::Repeated);
        assert_eq!(verdict(&session(5, 600), 4, ON), lost_answer);
        let no_grace = RefreshRules {
            rotation: Rotation::On {
                grace: Duration::ZERO,
            },
            ..ON
        };
        assert_eq!(verdict(&session(5, 0), 4, no_grace), lost_answer);
    }

    #[test]
    fn s7_8_a_key_binds_the_right_to_repeat_a_rotation() {
        for (rotated_ago, presented, expected) in [
            (1, "its key", Verdict::Repeated),
            (1, "another", Verdict::Contested),
            (1, "", Verdict::Contested),
            (86_000, "its key", Verdict::Repeated),
            (600, "another", Verdict::Reused(ReuseKind::OtherClient)),
            (600, "", Verdict::Reused(ReuseKind::OtherClient)),
        ] {
            let mut session = session(5, rotated_ago);
            session.rotation_key = key(&session, "its-key");
            let presented = key(&session, &presented.replace(' ', "-"));
            let judged = ON.judge(&session, Generation::new(4), presented, NOW);
            assert_eq!(judged, expected, "{rotated_ago} {presented:?}");
        }
        // A key that comes too late to be bound to changes nothing.
        let unbound = session(5, 600);
        let late = ON.judge(&unbound, Generation::new(4), key(&unbound, "late"), NOW);
        assert_eq!(late, Verdict::Reused(ReuseKind::LostAnswer));
    }

    #[test]
    fn s7_8_a_token_more_than_one_behind_is_reuse_whatever_the_key() {
        let mut session = session(5, 1);
        session.rotation_key = key(&session, "key");
        for presented in 0..4 {
            let presented = Generation::new(presented);
            for key in [session.rotation_key, None] {
                let judged = ON.judge(&session, presented, key, NOW);
                assert_eq!(judged, Verdict::Reused(ReuseKind::OldGeneration));
            }
        }
    }

    #[test]
    fn s7_7_an_ended_session_gives_nothing_whatever_the_generation() {
        let mut revoked = session(5, 1);
        revoked.revoked_at = Some(NOW);
        let mut inactive = session(5, 1);
        inactive.owner.is_active = false;
        for presented in [0, 4, 5, 6] {
            for rules in [OFF, ON] {
                assert_eq!(verdict(&revoked, presented, rules), Verdict::Ended);
                assert_eq!(verdict(&inactive, presented, rules), Verdict::Ended);
            }
        }
    }

    #[test]
    fn s7_4_a_session_ends_at_its_end() {
        let mut expired = session(5, 1);
        expired.expires_at = NOW;
        for presented in [4, 5] {
            assert_eq!(verdict(&expired, presented, ON), Verdict::Expired);
            assert_eq!(verdict(&expired, presented, OFF), Verdict::Expired);
        }
    }

    #[test]
    fn s7_4_a_session_ends_when_it_was_idle_for_too_long() {
        let mut idle = session(0, 0);
        let rules = RefreshRules {
            idle_ttl: Some(DAY),
            ..OFF
        };
        assert_eq!(verdict(&idle, 0, rules), Verdict::Expired);
        assert_eq!(verdict(&idle, 0, OFF), Verdict::Good);
        idle.used_at = Some(idle.created_at + Duration::from_micros(1));
        assert_eq!(verdict(&idle, 0, rules), Verdict::Good);
    }

    #[test]
    fn s7_4_a_use_is_noted_once_an_hour_and_only_for_an_idle_lifetime() {
        let rules = RefreshRules {
            idle_ttl: Some(DAY),
            ..ON
        };
        let hour_ago = NOW - NOTED_USE;
        assert_eq!(rules.unused_since(&session(1, 3599), NOW), None);
        assert_eq!(rules.unused_since(&session(1, 3600), NOW), Some(hour_ago));
        assert_eq!(ON.unused_since(&session(1, 3600), NOW), None);
    }

    #[test]
    fn a_token_that_is_ahead_moves_a_live_session_only() {
        for rules in [OFF, ON] {
            for presented in [6, 7, 1000] {
                assert_eq!(verdict(&session(5, 1), presented, rules), Verdict::Ahead);
            }
        }
        let mut expired = session(5, 1);
        expired.expires_at = NOW;
        assert_eq!(verdict(&expired, 6, ON), Verdict::Expired);
    }

    #[test]
    fn the_current_token_stays_good_with_rotation_off() {
        assert_eq!(verdict(&session(0, 0), 0, OFF), Verdict::Good);
        assert_eq!(verdict(&session(5, 1), 5, OFF), Verdict::Good);
        assert_eq!(verdict(&session(5, 1), 4, OFF), Verdict::Repeated);
        let reused = Verdict::Reused(ReuseKind::OldGeneration);
        assert_eq!(verdict(&session(5, 1), 3, OFF), reused);
        assert_eq!(verdict(&session(5, 1), 6, OFF), Verdict::Ahead);
    }
}
