use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use papaya::HashMap;

use super::floor::Floor;
use super::{Revocation, RevokedTokens, TokenEpoch};
use crate::{AuthError, Clock, Principal, SessionId, Timestamp, UserId};

/// How old the last confirmation may be.
const FRESH: Duration = Duration::from_secs(5);

/// How often what has expired is removed.
const PRUNE_INTERVAL: Duration = Duration::from_secs(30);

/// How long after the time of a change a token may be issued that was asked for before its commit.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// How far ahead of now the floor refuses tokens in place of forgotten entries, so that tokens of
/// this very moment are refused, too.
const AHEAD: Duration = Duration::from_micros(1);

/// A set that is full again within this time does not log it again.
const QUIET: Duration = Duration::from_secs(60);

/// The store is not followed, or has been lost.
const NEVER: i64 = i64::MIN;

/// The access tokens that are refused although they have not expired; clones share one set.
///
/// Looking a token up takes no lock. The set is no larger than what was revoked in one lifetime of
/// an access token, and has a [capacity](Self::with_capacity): when it is full, it forgets the
/// older half of its entries and treats the tokens that they may concern as expired, whosever they
/// are, so that clients refresh once.
#[derive(Clone)]
pub struct Revocations {
    shared: Arc<Shared>,
}

struct Shared {
    /// Until when each must be remembered.
    sessions: HashMap<SessionId, Timestamp>,
    users: HashMap<UserId, Cutoff>,
    capacity: NonZeroUsize,
    /// What is refused in place of entries that are forgotten.
    floor: Floor,
    /// Tokens issued before are refused, whosever they are (microseconds).
    all_before: AtomicI64,
    /// Up to when the set is known to be complete (microseconds).
    confirmed_at: AtomicI64,
    is_followed: AtomicBool,
    next_prune: AtomicI64,
    when_stale: StalePolicy,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Copy)]
struct Cutoff {
    /// Of tokens that name no epoch, those issued before are refused.
    issued_before: Timestamp,
    /// Those issued before are refused, whatever they name: of revocations without an epoch.
    always_before: Timestamp,
    /// Tokens of an earlier epoch are refused.
    epoch: TokenEpoch,
    expires_at: Timestamp,
}

impl Cutoff {
    fn refuses(&self, principal: &Principal) -> bool {
        let issued_at = principal.issued_at;
        match principal.token_epoch {
            // A token of an earlier epoch that is much younger than the change was made after the
            // database had lost the change: it tells what is so.
            Some(epoch) if epoch < self.epoch => issued_at < self.issued_before + UNDER_WAY,
            Some(_) => issued_at < self.always_before,
            None => issued_at < self.issued_before,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            issued_before: self.issued_before.max(other.issued_before),
            always_before: self.always_before.max(other.always_before),
            epoch: self.epoch.max(other.epoch),
            expires_at: self.expires_at.max(other.expires_at),
        }
    }
}

/// What a verifier does while it does not know what was revoked lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StalePolicy {
    /// Accepts tokens that are not known to be revoked, as any verifier of JWTs does.
    #[default]
    Accept,
    /// Refuses all tokens: the service is not available.
    Refuse,
}

impl Revocations {
    /// How many entries a set has by default: 200,000.
    pub const DEFAULT_CAPACITY: NonZeroUsize =
        NonZeroUsize::new(200_000).expect("200,000 is not zero");

    /// Makes an empty set of the [default capacity](Self::DEFAULT_CAPACITY), stale until a
    /// [follower](super::RevocationFollower) runs.
    #[must_use]
    pub fn new(when_stale: StalePolicy, clock: Arc<dyn Clock>) -> Self {
        Self::with_capacity(Self::DEFAULT_CAPACITY, when_stale, clock)
    }

    /// As [`new`](Self::new), for up to `capacity` sessions and users; each takes about 100 bytes.
    #[must_use]
    pub fn with_capacity(
        capacity: NonZeroUsize,
        when_stale: StalePolicy,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                sessions: HashMap::new(),
                users: HashMap::new(),
                capacity,
                floor: Floor::new(),
                all_before: AtomicI64::new(i64::MIN),
                confirmed_at: AtomicI64::new(NEVER),
                is_followed: AtomicBool::new(false),
                next_prune: AtomicI64::new(i64::MIN),
                when_stale,
                clock,
            }),
        }
    }

    /// Checks the token that told this principal.
    ///
    /// # Errors
    ///
    /// - [`AuthError::TokenRevoked`] if its session has ended;
    /// - [`AuthError::TokenExpired`] if it is to be replaced by a refresh, since what it says of
    ///   its user may not be true any more;
    /// - [`AuthError::RevocationsStale`] if the set is stale and the policy is
    ///   [`StalePolicy::Refuse`].
    pub fn check(&self, principal: &Principal) -> Result<(), AuthError> {
        let shared = &*self.shared;
        if shared.sessions.pin().contains_key(&principal.session_id) {
            return Err(AuthError::TokenRevoked);
        }
        let users = shared.users.pin();
        let cutoff = users.get(&principal.user_id);
        if cutoff.is_some_and(|cutoff| cutoff.refuses(principal)) {
            return Err(AuthError::TokenExpired);
        }
        // After the maps: a full set raises the floor before it forgets an entry, so that who
        // misses the entry sees the floor.
        let all_before = shared.all_before.load(Ordering::Acquire);
        if principal.issued_at.unix_micros() < all_before || shared.floor.refuses(principal) {
            return Err(AuthError::TokenExpired);
        }
        if shared.when_stale == StalePolicy::Refuse && !self.is_healthy() {
            return Err(AuthError::RevocationsStale);
        }
        Ok(())
    }

    /// Whether the session is known to have ended.
    #[must_use]
    pub fn names_session(&self, session: SessionId) -> bool {
        self.shared.sessions.pin().contains_key(&session)
    }

    /// Whether a [follower](super::RevocationFollower) was started and does not get on: what was
    /// revoked lately at other nodes is not known here.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.shared.is_followed.load(Ordering::Relaxed) && !self.is_healthy()
    }

    /// Whether the set was confirmed to be complete within the last 5 seconds.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.lag().is_some_and(|lag| lag < FRESH)
    }

    /// Up to when the set is known to be complete: a session that had ended by then is refused.
    ///
    /// `None` if the store was never followed, or has been lost since.
    #[must_use]
    pub fn confirmed_at(&self) -> Option<Timestamp> {
        match self.shared.confirmed_at.load(Ordering::Acquire) {
            NEVER => None,
            micros => Some(Timestamp::from_unix_micros(micros)),
        }
    }

    /// How long ago the set was confirmed to be complete.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        let confirmed_at = self.confirmed_at()?;
        Some(self.shared.clock.now().saturating_since(confirmed_at))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.sessions.len() + self.shared.users.len()
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses further tokens from now on.
    ///
    /// The follower does this; so may a host that learns of revocations by other ways.
    pub fn insert(&self, revocation: &Revocation) {
        let now = self.shared.clock.now();
        if revocation.expires_at <= now {
            return;
        }
        if self.len() >= self.shared.capacity.get() && !self.knows(revocation) {
            self.make_room(now);
        }
        let expires_at = revocation.expires_at;
        match revocation.tokens {
            RevokedTokens::OfSession(session) => {
                self.shared.sessions.pin().insert(session, expires_at);
            }
            RevokedTokens::OfUser {
                user,
                issued_before,
                epoch,
            } => {
                let cutoff = Cutoff {
                    issued_before,
                    always_before: match epoch {
                        Some(_) => Timestamp::UNIX_EPOCH,
                        None => issued_before,
                    },
                    epoch: epoch.unwrap_or_default(),
                    expires_at,
                };
                let users = self.shared.users.pin();
                users.update_or_insert(user, |known| known.and(cutoff), cutoff);
            }
            RevokedTokens::All { issued_before } => {
                let micros = issued_before.unix_micros();
                self.shared.all_before.fetch_max(micros, Ordering::AcqRel);
            }
        }
    }

    /// Takes in a revocation that a store has returned, perhaps not for the first time.
    pub(super) fn learn(&self, revocation: &Revocation) {
        let is_of_all = matches!(revocation.tokens, RevokedTokens::All { .. });
        // Revocations that were forgotten would fill the set again.
        if is_of_all || !self.shared.floor.covers(revocation) {
            self.insert(revocation);
        }
    }

    /// Says that from now on somebody sees to it that the set is complete.
    pub(super) fn follow(&self) {
        self.shared.is_followed.store(true, Ordering::Relaxed);
    }

    /// Says up to when the set is complete, and removes what has expired from time to time.
    pub(super) fn confirm(&self, complete_up_to: Timestamp) {
        let shared = &*self.shared;
        let micros = complete_up_to.unix_micros();
        shared.confirmed_at.store(micros, Ordering::Release);
        let now = shared.clock.now();
        if shared.next_prune.load(Ordering::Relaxed) <= now.unix_micros() {
            let next = (now + PRUNE_INTERVAL).unix_micros();
            shared.next_prune.store(next, Ordering::Relaxed);
            self.prune(now);
        }
    }

    /// Says that nothing is known of what is revoked from now on.
    pub(super) fn lose(&self) {
        self.shared.confirmed_at.store(NEVER, Ordering::Release);
    }

    /// Whether the revocation needs no entry more: each poll tells some again.
    fn knows(&self, revocation: &Revocation) -> bool {
        match &revocation.tokens {
            RevokedTokens::OfSession(session) => self.shared.sessions.pin().contains_key(session),
            RevokedTokens::OfUser { user, .. } => self.shared.users.pin().contains_key(user),
            RevokedTokens::All { .. } => true,
        }
    }

    fn prune(&self, now: Timestamp) {
        let sessions = self.shared.sessions.pin();
        sessions.retain(|_, expires_at| *expires_at > now);
        let users = self.shared.users.pin();
        users.retain(|_, cutoff| cutoff.expires_at > now);
    }

    /// Forgets the older half of the entries: memory stays bounded and every revoked token refused,
    /// at the price of a refresh for other clients.
    fn make_room(&self, now: Timestamp) {
        self.prune(now);
        if self.len() < self.shared.capacity.get() {
            return;
        }
        let sessions = self.shared.sessions.pin();
        let users = self.shared.users.pin();
        let of_sessions = sessions.values().copied();
        let of_users = users.values().map(|cutoff| cutoff.expires_at);
        let mut ends: Vec<_> = of_sessions.chain(of_users).collect();
        let middle = ends.len() / 2;
        if middle >= ends.len() {
            return;
        }
        let (_, &mut end, _) = ends.select_nth_unstable(middle);
        let refused_so_far = self.shared.floor.raise(end, now + AHEAD);
        metrics::counter!("auth_revocation_overflows_total").increment(1);
        if refused_so_far + QUIET < now {
            tracing::warn!(
                capacity = self.shared.capacity,
                "the set of revocations is full, so that clients must refresh once: raise its \
                 capacity if this happens often"
            );
        }
        sessions.retain(|_, expires_at| *expires_at > end);
        users.retain(|_, cutoff| cutoff.expires_at > end);
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations")
            .field("len", &self.len())
            .field("lag", &self.lag())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    #[derive(Debug)]
    struct TestClock(AtomicI64);

    impl Clock for TestClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_micros(self.0.load(Ordering::SeqCst))
        }
    }

    fn set(when_stale: StalePolicy) -> (Revocations, Arc<TestClock>) {
        let clock = Arc::new(TestClock(AtomicI64::new(NOW.unix_micros())));
        let shared: Arc<dyn Clock> = Arc::<TestClock>::clone(&clock);
        (Revocations::new(when_stale, shared), clock)
    }

    fn advance(clock: &TestClock, by: Duration) {
        clock.0.fetch_add(by.as_micros() as i64, Ordering::SeqCst);
    }

    fn principal(issued_at: Timestamp) -> Principal {
        Principal::new(
            UserId::generate(),
            SessionId::generate(),
            issued_at,
            issued_at + MINUTE * 5,
        )
    }

    #[test]
    fn s19_5_the_epoch_decides_where_a_token_names_one() {
        let (set, _) = set(StalePolicy::Accept);
        let user = UserId::generate();
        let token = |epoch: Option<u32>, issued_at| Principal {
            user_id: user,
            token_epoch: epoch.map(TokenEpoch::new),
            ..principal(issued_at)
        };
        let cut = |epoch: Option<u32>, issued_before| {
            let tokens = RevokedTokens::OfUser {
                user,
                issued_before,
                epoch: epoch.map(TokenEpoch::new),
            };
            revoke(&set, tokens);
        };
        let second = Duration::from_secs(1);
        // The later change is told of first, and by a node whose clock is behind.
        cut(Some(8), NOW);
        cut(Some(7), NOW + second * 5);
        for issued_at in [NOW - MINUTE, NOW, NOW + second * 6, NOW + MINUTE] {
            assert_eq!(code(&set, &token(Some(8), issued_at)), "good");
            assert_eq!(code(&set, &token(Some(7), issued_at)), "token_expired");
        }
        assert_eq!(code(&set, &token(None, NOW + second * 4)), "token_expired");
        assert_eq!(code(&set, &token(None, NOW + second * 5)), "good");
        // The database has lost the change, and gives out the epoch of before.
        assert_eq!(code(&set, &token(Some(7), NOW + MINUTE * 2)), "good");
        // A node of an older version tells of no epoch.
        cut(None, NOW + second);
        assert_eq!(code(&set, &token(Some(8), NOW)), "token_expired");
        assert_eq!(code(&set, &token(Some(8), NOW + second)), "good");
    }

    fn code(set: &Revocations, principal: &Principal) -> &'static str {
        set.check(principal)
            .map_or_else(|error| error.code(), |()| "good")
    }

    fn revoke(set: &Revocations, tokens: RevokedTokens) {
        set.insert(&Revocation::new(tokens, NOW + MINUTE * 6));
    }

    #[test]
    fn s7_7_the_tokens_of_an_ended_session_are_refused_and_no_others() {
        let (set, _) = set(StalePolicy::Accept);
        let [ended, other] = [principal(NOW), principal(NOW)];
        revoke(&set, RevokedTokens::OfSession(ended.session_id));
        assert_eq!(code(&set, &ended), "token_revoked");
        assert_eq!(code(&set, &other), "good");
    }

    #[test]
    fn tokens_of_a_user_from_before_a_change_are_to_be_refreshed() {
        let (set, _) = set(StalePolicy::Accept);
        let before = principal(NOW - MINUTE);
        let mut after = before.clone();
        after.issued_at = NOW;
        let user = before.user_id;
        for issued_before in [NOW, NOW - MINUTE * 2] {
            revoke(
                &set,
                RevokedTokens::OfUser {
                    user,
                    issued_before,
                    epoch: None,
                },
            );
            assert_eq!(code(&set, &before), "token_expired");
            assert_eq!(code(&set, &after), "good");
        }
        assert_eq!(code(&set, &principal(NOW - MINUTE)), "good");
    }

    #[test]
    fn s7_10_all_tokens_from_before_a_time_are_to_be_refreshed() {
        let (set, _) = set(StalePolicy::Accept);
        revoke(&set, RevokedTokens::All { issued_before: NOW });
        assert_eq!(code(&set, &principal(NOW - MINUTE)), "token_expired");
        assert_eq!(code(&set, &principal(NOW)), "good");
    }

    #[test]
    fn what_has_expired_is_removed_in_time() {
        let (set, clock) = set(StalePolicy::Accept);
        revoke(&set, RevokedTokens::OfSession(SessionId::generate()));
        set.confirm(NOW);
        assert_eq!(set.len(), 1);
        advance(&clock, MINUTE * 6);
        set.confirm(NOW);
        assert!(set.is_empty());
        revoke(&set, RevokedTokens::OfSession(SessionId::generate()));
        assert!(set.is_empty(), "it is too late for this one");
    }

    /// A set of ten entries.
    fn small() -> (Revocations, Arc<TestClock>) {
        let clock = Arc::new(TestClock(AtomicI64::new(NOW.unix_micros())));
        let shared: Arc<dyn Clock> = Arc::<TestClock>::clone(&clock);
        let capacity = NonZeroUsize::new(10).unwrap();
        let set = Revocations::with_capacity(capacity, StalePolicy::Accept, shared);
        (set, clock)
    }

    /// The revocation of a session, as a node makes it at a time.
    fn ended(session: SessionId, at: Timestamp) -> Revocation {
        Revocation::new(RevokedTokens::OfSession(session), at + MINUTE * 7)
    }

    #[test]
    fn fault_b7b_a_full_set_has_each_client_refresh_once_however_often_it_is_told() {
        let (set, clock) = small();
        let second = Duration::from_secs(1);
        let ours = principal(NOW);
        // Tokens say the second in which they were issued.
        advance(&clock, second * 2 / 5);
        let mut told = Vec::new();
        let mut gone = Vec::new();
        // At once, so that a fresh token expires before the last of these is forgotten.
        for _ in 0..25 {
            let revoked = principal(NOW);
            told.push(ended(revoked.session_id, clock.now()));
            gone.push(revoked);
        }
        let poll = || told.iter().for_each(|revocation| set.learn(revocation));
        poll();
        assert!(set.len() <= 10, "{set:?}");
        assert_eq!(code(&set, &ours), "token_expired");
        advance(&clock, second * 3 / 5);
        let refreshed = principal(NOW + second);
        for _ in 0..90 {
            poll();
            assert!(set.len() <= 10, "{set:?}");
            assert_eq!(code(&set, &refreshed), "good");
            assert_eq!(code(&set, &principal(clock.now())), "good");
            for revoked in &gone {
                assert_ne!(code(&set, revoked), "good");
            }
            advance(&clock, second);
        }
        // What is revoked here is remembered, also if the clock was set back.
        let early = principal(NOW + second);
        set.insert(&ended(early.session_id, NOW));
        assert_eq!(code(&set, &early), "token_revoked");
        // What is revoked from now on is remembered.
        set.insert(&ended(refreshed.session_id, clock.now()));
        poll();
        assert_eq!(code(&set, &refreshed), "token_revoked");
    }

    #[test]
    fn fault_b7b_a_set_that_fills_slowly_forgets_what_young_tokens_do_not_need() {
        let (set, clock) = small();
        let pause = Duration::from_secs(36);
        let mut revoked = Vec::new();
        // As many as fit into the time in which they count, and a few more.
        for _ in 0..12 {
            let now = clock.now();
            let token = principal(now);
            set.insert(&ended(token.session_id, now + Duration::from_secs(1)));
            revoked.push(token);
            advance(&clock, pause);
        }
        let now = clock.now();
        assert!(set.len() <= 10, "{set:?}");
        for token in revoked.iter().filter(|token| token.expires_at > now) {
            assert_ne!(code(&set, token), "good");
        }
        // Issued before the set was full.
        assert_eq!(code(&set, &principal(now - MINUTE * 2)), "good");
    }

    #[test]
    fn a_full_set_lets_nothing_revoked_through() {
        let (set, clock) = small();
        let first = principal(NOW);
        let user = first.user_id;
        let tokens = RevokedTokens::OfUser {
            user,
            issued_before: NOW + Duration::from_secs(1),
            epoch: None,
        };
        revoke(&set, tokens);
        for _ in 0..20 {
            revoke(&set, RevokedTokens::OfSession(SessionId::generate()));
        }
        assert!(set.len() <= 10);
        assert_ne!(code(&set, &first), "good");
        advance(&clock, MINUTE);
        let refreshed = principal(NOW + MINUTE);
        assert_eq!(code(&set, &refreshed), "good");
    }

    #[test]
    fn what_is_told_again_does_not_make_the_set_full() {
        let (set, _) = small();
        let sessions: Vec<_> = (0..10).map(|_| SessionId::generate()).collect();
        for _ in 0..2 {
            for session in &sessions {
                revoke(&set, RevokedTokens::OfSession(*session));
            }
        }
        assert_eq!(set.len(), 10);
        assert_eq!(code(&set, &principal(NOW)), "good");
    }

    #[test]
    fn only_a_set_that_is_followed_can_be_behind() {
        let (set, clock) = set(StalePolicy::Accept);
        assert!(!set.is_behind());
        set.follow();
        assert!(set.is_behind(), "nothing was read yet");
        set.confirm(NOW);
        assert!(!set.is_behind());
        advance(&clock, FRESH);
        assert!(set.is_behind());
    }

    #[test]
    fn a_stale_set_accepts_or_refuses_as_it_was_told() {
        for (policy, when_stale) in [
            (StalePolicy::Accept, "good"),
            (StalePolicy::Refuse, "storage_unavailable"),
        ] {
            let (set, clock) = set(policy);
            assert_eq!(code(&set, &principal(NOW)), when_stale, "never followed");
            set.confirm(NOW);
            assert!(set.is_healthy());
            assert_eq!(code(&set, &principal(NOW)), "good");
            advance(&clock, FRESH);
            assert!(!set.is_healthy());
            assert_eq!(code(&set, &principal(NOW)), when_stale, "too long ago");
            set.confirm(NOW + FRESH);
            set.lose();
            assert_eq!(code(&set, &principal(NOW)), when_stale, "lost");
            let ended = principal(NOW);
            revoke(&set, RevokedTokens::OfSession(ended.session_id));
            assert_eq!(code(&set, &ended), "token_revoked");
        }
    }
}
