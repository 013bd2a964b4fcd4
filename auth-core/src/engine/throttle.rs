//! Guessing slows down: failed logins count, for all nodes.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::Inner;
use crate::audit::LoginRule;
use crate::store::{
    Admission, EnrollmentId, LoginSettlement, Store, StoreError, ThrottleKey, TryBudget,
};
use crate::{AuthError, ClientNetwork, Clock, RequestContext, Timestamp, Username};

/// How long a network is known from which a user has logged in.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// How many logins may fail before there is a wait.
///
/// Failures count for the account, whether or not there is one, and for the client's
/// [network](ClientNetwork), within 15 minutes. The last one of a budget brings a wait of 30
/// seconds, and each failure after it one twice as long, up to 15 minutes; all is forgotten after
/// 15 quiet minutes. A network from which the user has logged in within 30 days has a small budget
/// of its own, so that an attack from elsewhere does not lock the owner out (OWASP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginThrottle {
    tries: Option<Tries>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tries {
    account: u32,
    network: u32,
    known_network: u32,
}

impl Default for LoginThrottle {
    fn default() -> Self {
        let tries = Tries {
            account: 10,
            network: 100,
            known_network: 5,
        };
        Self { tries: Some(tries) }
    }
}

impl LoginThrottle {
    /// The most that an account may fail at once (NIST SP 800-63B-4 section 3.2.2).
    pub const MAX_ACCOUNT_TRIES: u32 = 100;

    /// Lets passwords be guessed as fast as they can be hashed: for tests and benchmarks.
    #[must_use]
    pub const fn insecure_off() -> Self {
        Self { tries: None }
    }

    /// How many logins may fail for an account (default 10); more than
    /// [100](Self::MAX_ACCOUNT_TRIES) are taken for that.
    #[must_use]
    pub fn with_account_tries(mut self, tries: NonZeroU32) -> Self {
        if let Some(all) = &mut self.tries {
            all.account = tries.get().min(Self::MAX_ACCOUNT_TRIES);
        }
        self
    }

    /// How many logins may fail from a network (default 100).
    #[must_use]
    pub fn with_network_tries(mut self, tries: NonZeroU32) -> Self {
        if let Some(all) = &mut self.tries {
            all.network = tries.get();
        }
        self
    }
}

/// Tries that were taken for a login. Only a wrong password uses them up: dropped in the middle,
/// such as when the client hangs up, they are given back.
pub(super) struct TakenTries {
    keys: Vec<ThrottleKey>,
    account: Option<ThrottleKey>,
    /// The account at the client's network.
    pair: Option<ThrottleKey>,
    /// Whether it is decided what becomes of them, or another act decides.
    is_settled: bool,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Drop for TakenTries {
    fn drop(&mut self) {
        if !self.is_settled {
            drop(self.begin_refund());
        }
    }
}

impl TakenTries {
    /// Leaves them used up: the password was wrong, or a store settles them.
    pub(super) const fn settle(&mut self) {
        self.is_settled = true;
    }

    /// Takes back that they are settled: the store did not.
    pub(super) const fn unsettle(&mut self) {
        self.is_settled = false;
    }

    /// Gives them back, since the login failed for another reason than its password.
    pub(super) async fn refund(mut self) {
        if let Some(refund) = self.begin_refund() {
            // Its failure is logged where it happens.
            let _ = refund.await;
        }
    }

    /// Gives them back in a task of its own, which no client can cut off: once, and whole.
    fn begin_refund(&mut self) -> Option<JoinHandle<()>> {
        self.is_settled = true;
        if self.keys.is_empty() {
            return None;
        }
        let keys = std::mem::take(&mut self.keys);
        let (store, now) = (Arc::clone(&self.store), self.clock.now());
        // Without a runtime nobody is left to log in either.
        let runtime = Handle::try_current().ok()?;
        Some(runtime.spawn(async move {
            if let Err(error) = store.give_back_tries(&keys, now).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not refund a login attempt"
                );
            }
        }))
    }

    /// What a success makes of them.
    pub(super) fn settlement(&self, now: Timestamp) -> LoginSettlement {
        let others = |key: &&ThrottleKey| Some(**key) != self.account;
        LoginSettlement {
            forgotten: self.account,
            given_back: self.keys.iter().filter(others).copied().collect(),
            known: self.pair.map(|pair| (pair, now + KNOWN_FOR)),
        }
    }
}

impl Inner {
    /// Takes a try before anything is hashed, so that of many at once no more are hashed than may
    /// fail.
    pub(super) async fn take_tries(
        &self,
        username: &str,
        context: &RequestContext,
        now: Timestamp,
    ) -> Result<TakenTries, (LoginRule, AuthError)> {
        let keys = &self.throttle_keys;
        let name = Username::for_lookup(username);
        let name = name.as_ref().map_or(username, Username::canonical);
        let network = context.client.map(ClientNetwork::of);
        let pair = network.map(|network| keys.pair(name, network));
        self.take_tries_of(keys.account(name), pair, context, now)
            .await
    }

    /// The same for the password of a sign-up: a guess counts for the sign-up, and for the network,
    /// together with the network's guesses at logins.
    pub(super) async fn take_tries_of_sign_up(
        &self,
        id: EnrollmentId,
        context: &RequestContext,
    ) -> Result<TakenTries, AuthError> {
        let key = self.throttle_keys.sign_up(id);
        let taken = self.take_tries_of(key, None, context, self.clock.now());
        taken.await.map_err(|(_, error)| error)
    }

    /// `pair` is the account at the client's network.
    async fn take_tries_of(
        &self,
        account: ThrottleKey,
        pair: Option<ThrottleKey>,
        context: &RequestContext,
        now: Timestamp,
    ) -> Result<TakenTries, (LoginRule, AuthError)> {
        let Some(tries) = self.login_throttle.tries else {
            return Ok(self.taken(&[], None, None));
        };
        let network = context.client.map(ClientNetwork::of);
        let network = network.map(|network| self.throttle_keys.network(network));
        let mut budgets = vec![TryBudget::new(account, tries.account)];
        budgets.extend(network.map(|network| TryBudget::new(network, tries.network)));
        let taken = |budgets: &[TryBudget]| self.taken(budgets, Some(account), pair);
        let failed = |error: StoreError| (LoginRule::ServiceFailed, error.into());
        let admission = self.store.take_tries(&budgets, now).await;
        let (by, until) = match admission.map_err(failed)? {
            Admission::Admitted => return Ok(taken(&budgets)),
            Admission::Refused { by, until } => (by, until),
        };
        if let Some(pair) = pair {
            let budget = [TryBudget {
                only_if_known: true,
                ..TryBudget::new(pair, tries.known_network)
            }];
            let admission = self.store.take_tries(&budget, now).await;
            if admission.map_err(failed)? == Admission::Admitted {
                return Ok(taken(&budget));
            }
        }
        let rule = if by == account {
            LoginRule::AccountThrottled
        } else {
            LoginRule::NetworkThrottled
        };
        let wait = until.saturating_since(now);
        Err((rule, AuthError::too_many_attempts(wait)))
    }

    /// What somebody who has proved to be the owner, by another way than the password, makes of
    /// the failures that are counted for the account.
    pub(super) fn forgiveness(&self, username: &Username) -> LoginSettlement {
        LoginSettlement {
            forgotten: Some(self.throttle_keys.account(username.canonical())),
            ..LoginSettlement::default()
        }
    }

    fn taken(
        &self,
        budgets: &[TryBudget],
        account: Option<ThrottleKey>,
        pair: Option<ThrottleKey>,
    ) -> TakenTries {
        TakenTries {
            keys: budgets.iter().map(|budget| budget.key).collect(),
            account,
            pair,
            is_settled: false,
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
        }
    }
}
