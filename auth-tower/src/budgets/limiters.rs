use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use auth_core::ClientNetwork;
use governor::clock::{Clock, MonotonicClock, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::{Quota, RateLimiter};

use super::cells::Cells;
use super::{Budget, RequestBudgets};

/// What a budget is spent on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limited {
    LogIn,
    Refresh,
    LogOut,
    VerifyEmail,
    ResendVerification,
    Register,
    Account,
    Admin,
}

impl Limited {
    /// The budget's name in the log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::LogIn => "login",
            Self::Refresh => "refresh",
            Self::LogOut => "logout",
            Self::VerifyEmail => "verification",
            Self::ResendVerification => "resend",
            Self::Register => "register",
            Self::Account => "account",
            Self::Admin => "admin",
        }
    }
}

/// What is left of every client's budgets.
pub(crate) struct Limiters {
    log_in: Limiter,
    refresh: Limiter,
    log_out: Limiter,
    verify_email: Limiter,
    resend_verification: Limiter,
    register: Limiter,
    account: Limiter,
    admin: Limiter,
}

type Limiter<C = MonotonicClock> =
    RateLimiter<ClientNetwork, Cells, C, NoOpMiddleware<<C as Clock>::Instant>>;

impl Limiters {
    pub(crate) fn new(budgets: &RequestBudgets) -> Self {
        let limiter = |budget| limiter(budget, MonotonicClock);
        Self {
            log_in: limiter(budgets.log_in),
            refresh: limiter(budgets.refresh),
            log_out: limiter(budgets.log_out),
            verify_email: limiter(budgets.verify_email),
            resend_verification: limiter(budgets.resend_verification),
            register: limiter(budgets.register),
            account: limiter(budgets.account),
            admin: limiter(budgets.administration),
        }
    }

    /// Spends one request; if there is none left, tells when there will be.
    pub(crate) fn spend(&self, on: Limited, client: ClientNetwork) -> Result<(), Duration> {
        let limiter = match on {
            Limited::LogIn => &self.log_in,
            Limited::Refresh => &self.refresh,
            Limited::LogOut => &self.log_out,
            Limited::VerifyEmail => &self.verify_email,
            Limited::ResendVerification => &self.resend_verification,
            Limited::Register => &self.register,
            Limited::Account => &self.account,
            Limited::Admin => &self.admin,
        };
        spend(limiter, client)
    }
}

impl fmt::Debug for Limiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiters").finish_non_exhaustive()
    }
}

fn limiter<C: Clock>(budget: Budget, clock: C) -> Limiter<C> {
    const MOST: NonZeroU32 = NonZeroU32::MIN.saturating_add(999_999);
    // governor counts nanoseconds in 64 bits, and their product with the number must fit.
    let interval = budget
        .interval
        .clamp(Duration::from_nanos(1), Duration::from_secs(3_600));
    let quota = Quota::with_period(interval).expect("the interval is not zero");
    let quota = quota.allow_burst(budget.at_once.min(MOST));
    RateLimiter::new(quota, Cells::new(), clock)
}

fn spend<C: Clock>(limiter: &Limiter<C>, client: ClientNetwork) -> Result<(), Duration> {
    limiter.check_key(&client).map_err(|refused| {
        let now = limiter.clock().now();
        refused.earliest_possible().duration_since(now).into()
    })
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use governor::clock::FakeRelativeClock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn network(address: &str) -> ClientNetwork {
        ClientNetwork::of(address.parse().unwrap())
    }

    fn budget(at_once: u32, interval: Duration) -> Budget {
        Budget::new(NonZeroU32::new(at_once).unwrap(), interval)
    }

    #[test]
    fn s5_8_a_budget_that_is_used_up_comes_back_one_by_one() {
        let clock = FakeRelativeClock::default();
        let limiter = limiter(budget(3, 10 * SECOND), clock.clone());
        let client = network("192.0.2.7");
        for _ in 0..3 {
            assert_eq!(spend(&limiter, client), Ok(()));
        }
        assert_eq!(spend(&limiter, client), Err(10 * SECOND));
        clock.advance(4 * SECOND);
        assert_eq!(spend(&limiter, client), Err(6 * SECOND));
        clock.advance(6 * SECOND);
        assert_eq!(spend(&limiter, client), Ok(()));
        assert_eq!(spend(&limiter, client), Err(10 * SECOND));
        clock.advance(100 * SECOND);
        for _ in 0..3 {
            assert_eq!(spend(&limiter, client), Ok(()));
        }
        assert!(spend(&limiter, client).is_err());
    }

    #[test]
    fn s5_7_a_million_networks_take_no_memory_and_give_a_refused_one_nothing_back() {
        let limiter = limiter(budget(2, 10 * SECOND), FakeRelativeClock::default());
        let hot = network("192.0.2.7");
        while spend(&limiter, hot).is_ok() {}
        for subnet in 0..1_000_000_u128 {
            let address = (0x2001_0db8 << 96) | (subnet << 64);
            let address = IpAddr::V6(Ipv6Addr::from_bits(address));
            let _ = spend(&limiter, ClientNetwork::of(address));
        }
        assert_eq!(spend(&limiter, hot), Err(10 * SECOND));
        let cells = limiter.into_state_store();
        assert_eq!(cells.bytes(), 64 * 1024);
    }

    #[test]
    fn a_budget_has_no_limits_that_panic() {
        for (at_once, interval) in [(1, Duration::ZERO), (u32::MAX, Duration::MAX)] {
            let clock = FakeRelativeClock::default();
            clock.advance(u32::MAX * SECOND);
            let limiter = limiter(budget(at_once, interval), clock);
            assert_eq!(spend(&limiter, network("::1")), Ok(()));
            let _ = spend(&limiter, network("::1"));
        }
    }
}
