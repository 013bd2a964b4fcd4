use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::{Quota, RateLimiter};

use super::cells::{Access, Cells};
use super::client::Client;
use super::known::KnownNetworks;
use super::{Budget, RequestBudgets};

/// How many cells each row of a table of networks has.
const NETWORK_CELLS: usize = 8 * 1024;

/// How many cells each row of a table of sites has.
const SITE_CELLS: usize = 2 * 1024;

/// A site may do as much as this many of its networks together.
const SITE_FACTOR: u32 = 16;

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
    const ALL: [Self; 8] = [
        Self::LogIn,
        Self::Refresh,
        Self::LogOut,
        Self::VerifyEmail,
        Self::ResendVerification,
        Self::Register,
        Self::Account,
        Self::Admin,
    ];

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
    log_in: Apart,
    refresh: Apart,
    log_out: Apart,
    verify_email: Apart,
    resend_verification: Apart,
    register: Apart,
    account: Apart,
    admin: Apart,
    known: KnownNetworks,
}

impl Limiters {
    pub(crate) fn new(budgets: &RequestBudgets) -> Self {
        let apart = |budget| {
            // The first counts from a moment earlier, so that what it takes over is never too much.
            let known = Limiter::new(budget, MonotonicClock);
            let strangers = Limiter::new(budget, MonotonicClock);
            Apart { strangers, known }
        };
        Self {
            log_in: apart(budgets.log_in),
            refresh: apart(budgets.refresh),
            log_out: apart(budgets.log_out),
            verify_email: apart(budgets.verify_email),
            resend_verification: apart(budgets.resend_verification),
            register: apart(budgets.register),
            account: apart(budgets.account),
            admin: apart(budgets.administration),
            known: KnownNetworks::new(),
        }
    }

    /// Spends one request; if there is none left, tells when there will be.
    pub(crate) fn spend(&self, on: Limited, client: Client) -> Result<(), Duration> {
        let apart = self.of(on);
        if self.known.contains(client) {
            apart.known.spend(client)
        } else {
            apart.strangers.spend(client)
        }
    }

    /// Keeps the client apart from strangers from now on: somebody there has proved to be a user.
    pub(crate) fn know(&self, client: Client) {
        if self.known.contains(client) {
            return;
        }
        for on in Limited::ALL {
            let Apart { strangers, known } = self.of(on);
            known.take_over(strangers, client);
        }
        self.known.add(client);
    }

    const fn of(&self, on: Limited) -> &Apart {
        match on {
            Limited::LogIn => &self.log_in,
            Limited::Refresh => &self.refresh,
            Limited::LogOut => &self.log_out,
            Limited::VerifyEmail => &self.verify_email,
            Limited::ResendVerification => &self.resend_verification,
            Limited::Register => &self.register,
            Limited::Account => &self.account,
            Limited::Admin => &self.admin,
        }
    }
}

impl fmt::Debug for Limiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiters").finish_non_exhaustive()
    }
}

/// The same budget in two tables, so that strangers, who may be any number, fill theirs alone.
struct Apart {
    strangers: Limiter,
    known: Limiter,
}

/// One budget, for networks and for the sites that they are part of.
struct Limiter<C: Clock = MonotonicClock> {
    networks: Table<C>,
    sites: Table<C>,
}

/// Who may spend how much, and who has spent what.
struct Table<C: Clock> {
    quota: RateLimiter<Access, Cells, C, NoOpMiddleware<<C as Clock>::Instant>>,
    cells: Cells,
}

impl<C: Clock + Clone> Limiter<C> {
    fn new(budget: Budget, clock: C) -> Self {
        let site = Budget {
            at_once: budget
                .at_once
                .saturating_mul(NonZeroU32::MIN.saturating_add(SITE_FACTOR - 1)),
            interval: budget.interval / SITE_FACTOR,
        };
        Self {
            networks: table(budget, NETWORK_CELLS, clock.clone()),
            sites: table(site, SITE_CELLS, clock),
        }
    }

    /// Takes over what the client's network has spent of the same budget, counted since the same
    /// moment, or from a few microseconds later on.
    fn take_over(&self, other: &Self, client: Client) {
        let network = client.network();
        self.networks
            .cells
            .take_over(&other.networks.cells, network);
    }

    fn spend(&self, client: Client) -> Result<(), Duration> {
        let network = client.network();
        if let Some(site) = client.site() {
            // A network that has nothing left spends nothing of its neighbours', and one whose site has
            // nothing left fills no cell of the others.
            ask(&self.networks, Access::Look(network))?;
            ask(&self.sites, Access::Spend(site))?;
        }
        ask(&self.networks, Access::Spend(network))
    }
}

fn table<C: Clock>(budget: Budget, cells: usize, clock: C) -> Table<C> {
    const MOST: NonZeroU32 = NonZeroU32::MIN.saturating_add(999_999);
    // governor counts nanoseconds in 64 bits, and their product with the number must fit.
    let interval = budget
        .interval
        .clamp(Duration::from_nanos(1), Duration::from_secs(3_600));
    let quota = Quota::with_period(interval).expect("the interval is not zero");
    let quota = quota.allow_burst(budget.at_once.min(MOST));
    let cells = Cells::new(cells);
    Table {
        quota: RateLimiter::new(quota, cells.clone(), clock),
        cells,
    }
}

fn ask<C: Clock>(table: &Table<C>, access: Access) -> Result<(), Duration> {
    table.quota.check_key(&access).map_err(|refused| {
        let now = table.quota.clock().now();
        refused.earliest_possible().duration_since(now).into()
    })
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn client(address: &str) -> Client {
        Client::of(address.parse().unwrap())
    }

    fn budget(at_once: u32, interval: Duration) -> Budget {
        Budget::new(NonZeroU32::new(at_once).unwrap(), interval)
    }

    /// The host 1 in this network of this site.
    fn in_site(site: u64, network: u16) -> Client {
        let bits = (u128::from(site) << 80) | (u128::from(network) << 64) | 1;
        Client::of(IpAddr::V6(Ipv6Addr::from_bits(bits)))
    }

    #[test]
    fn s5_8_a_budget_that_is_used_up_comes_back_one_by_one() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::new(budget(3, 10 * SECOND), clock.clone());
        for address in ["192.0.2.7", "2001:db8::7"] {
            let client = client(address);
            for _ in 0..3 {
                assert_eq!(limiter.spend(client), Ok(()));
            }
            assert_eq!(limiter.spend(client), Err(10 * SECOND));
            clock.advance(4 * SECOND);
            assert_eq!(limiter.spend(client), Err(6 * SECOND));
            clock.advance(6 * SECOND);
            assert_eq!(limiter.spend(client), Ok(()));
            assert_eq!(limiter.spend(client), Err(10 * SECOND));
            clock.advance(100 * SECOND);
            for _ in 0..3 {
                assert_eq!(limiter.spend(client), Ok(()));
            }
            assert!(limiter.spend(client).is_err());
        }
    }

    #[test]
    fn s5_7_a_million_networks_take_no_memory_and_give_a_refused_one_nothing_back() {
        let limiter = Limiter::new(budget(2, 10 * SECOND), FakeRelativeClock::default());
        let hot = client("192.0.2.7");
        while limiter.spend(hot).is_ok() {}
        for site in 0..1_000_000 {
            let _ = limiter.spend(in_site(0x2001_0db8_0000 + site, 0));
        }
        assert_eq!(limiter.spend(hot), Err(10 * SECOND));
        let bytes = [limiter.networks, limiter.sites].map(|it| it.cells.bytes());
        assert_eq!(bytes, [256 * 1024, 64 * 1024]);
    }

    #[test]
    fn a_site_may_do_as_much_as_sixteen_of_its_networks() {
        let limiter = Limiter::new(budget(3, 10 * SECOND), FakeRelativeClock::default());
        let spent = (0..1_000).filter(|network| limiter.spend(in_site(7, *network)).is_ok());
        assert_eq!(spent.count(), 3 * 16);
    }

    #[test]
    fn a_network_that_has_nothing_left_takes_nothing_from_its_neighbours() {
        let limiter = Limiter::new(budget(3, 10 * SECOND), FakeRelativeClock::default());
        let (greedy, neighbour) = (in_site(7, 1), in_site(7, 2));
        for _ in 0..1_000 {
            let _ = limiter.spend(greedy);
        }
        for _ in 0..3 {
            assert_eq!(limiter.spend(neighbour), Ok(()));
        }
    }

    #[test]
    fn a_known_network_shares_no_table_with_strangers() {
        let budgets = RequestBudgets::default().with_log_in(budget(2, 3_600 * SECOND));
        let limiters = Limiters::new(&budgets);
        let known = client("192.0.2.7");
        limiters.know(known);
        // Far more strangers than the table has cells.
        for site in 0..200_000 {
            let _ = limiters.spend(Limited::LogIn, in_site(site, 0));
            let _ = limiters.spend(Limited::LogIn, in_site(site, 1));
        }
        let other = client("192.0.2.8");
        assert!(
            limiters.spend(Limited::LogIn, other).is_err(),
            "the table is full"
        );
        for _ in 0..2 {
            assert_eq!(limiters.spend(Limited::LogIn, known), Ok(()));
        }
        assert!(limiters.spend(Limited::LogIn, known).is_err());
    }

    #[test]
    fn s5_8_a_network_that_becomes_known_gets_nothing_back() {
        let budgets = RequestBudgets::default().with_log_in(budget(3, 3_600 * SECOND));
        let limiters = Limiters::new(&budgets);
        let client = client("192.0.2.7");
        for _ in 0..2 {
            assert_eq!(limiters.spend(Limited::LogIn, client), Ok(()));
        }
        limiters.know(client);
        assert_eq!(limiters.spend(Limited::LogIn, client), Ok(()));
        limiters.know(client);
        assert!(limiters.spend(Limited::LogIn, client).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4))]

        #[test]
        fn fault_c2_a_flood_from_one_site_leaves_the_budgets_of_others(
            site in 0_u64..1 << 48,
            others in prop::collection::vec(any::<u128>(), 32),
        ) {
            let limiter = Limiter::new(budget(20, 30 * SECOND), FakeRelativeClock::default());
            for network in 0..10_000 {
                for _ in 0..21 {
                    let _ = limiter.spend(in_site(site, network));
                }
            }
            for other in others {
                let other = Client::of(IpAddr::V6(Ipv6Addr::from_bits(other)));
                prop_assume!(other.site() != in_site(site, 0).site());
                prop_assert_eq!(limiter.spend(other), Ok(()));
            }
        }
    }

    #[test]
    fn a_budget_has_no_limits_that_panic() {
        for (at_once, interval) in [(1, Duration::ZERO), (u32::MAX, Duration::MAX)] {
            let clock = FakeRelativeClock::default();
            clock.advance(u32::MAX * SECOND);
            let limiter = Limiter::new(budget(at_once, interval), clock);
            assert_eq!(limiter.spend(client("::1")), Ok(()));
            let _ = limiter.spend(client("::1"));
        }
    }

    #[test]
    fn of_many_requests_at_once_no_more_are_admitted_than_there_are() {
        let limiter = Limiter::new(budget(100, 3_600 * SECOND), FakeRelativeClock::default());
        let client = client("192.0.2.7");
        let admitted = std::thread::scope(|scope| {
            let spend = || (0..1_000).filter(|_| limiter.spend(client).is_ok()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(spend)).collect();
            threads
                .into_iter()
                .map(|it| it.join().unwrap())
                .sum::<usize>()
        });
        assert_eq!(admitted, 100);
    }
}
