//! Guessing slows down: failed logins count, for all nodes.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Inner;
use crate::audit::LoginRule;
use crate::store::{Admission, LoginSettlement, StoreError, ThrottleKey, TryBudget};
use crate::{AuthError, ClientNetwork, RequestContext, Timestamp, Username};

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

/// Tries that were taken for a login.
#[derive(Clone, Debug, Default)]
pub(super) struct TakenTries {
    keys: Vec<ThrottleKey>,
    account: Option<ThrottleKey>,
    /// The account at the client's network.
    pair: Option<ThrottleKey>,
}

impl TakenTries {
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
        let Some(tries) = self.login_throttle.tries else {
            return Ok(TakenTries::default());
        };
        let keys = &self.throttle_keys;
        let name = Username::for_lookup(username);
        let name = name.as_ref().map_or(username, Username::canonical);
        let account = keys.account(name);
        let network = context.client.map(ClientNetwork::of);
        let pair = network.map(|network| keys.pair(name, network));
        let network = network.map(|network| keys.network(network));
        let mut budgets = vec![TryBudget::new(account, tries.account)];
        budgets.extend(network.map(|network| TryBudget::new(network, tries.network)));
        let taken = |budgets: &[TryBudget]| TakenTries {
            keys: budgets.iter().map(|budget| budget.key).collect(),
            account: Some(account),
            pair,
        };
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

    /// Gives the tries back of a login that failed for another reason than its password.
    pub(super) async fn give_back(&self, taken: &TakenTries, now: Timestamp) {
        if taken.keys.is_empty() {
            return;
        }
        if let Err(error) = self.store.give_back_tries(&taken.keys, now).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a try that did not fail counts all the same"
            );
        }
    }
}
