//! How many requests of each kind a client may make.
//!
//! A budget is so many requests at once, and one more after each interval (GCRA, a leaky bucket).
//! Every client [network](auth_core::ClientNetwork), an IPv4 address or a /64 of IPv6, has one of
//! each kind. A request beyond it is answered with 429 `too_many_attempts` and `Retry-After`,
//! before its body is read or the service is asked. Only a request that completes a sign-up is
//! counted as one after its body was read, since the token in it shows what it is:
//!
//! | budget | at once | then one every |
//! |---|---|---|
//! | log in, change the password, or complete a sign-up | 100 | second |
//! | refresh | 600 | 50 ms |
//! | log out | 600 | 50 ms |
//! | verify an e-mail address | 100 | second |
//! | send the verification mail again | 20 | 30 seconds |
//! | register | 300 | 200 ms |
//! | own account, each request | 300 | 200 ms |
//! | administration, each request | 300 | 200 ms |
//!
//! They are wide enough for a company behind one address. What stops the guessing of passwords is
//! the throttling of failed logins, which all nodes share; budgets keep one client from taking the
//! machine, and each process counts for itself.
//!
//! The client is the one that [`IdentifyLayer`](crate::IdentifyLayer) has found; without the layer,
//! and where the client is unknown, there is no budget.
//!
//! # Sites
//!
//! A subscriber of IPv6 may hold a /48, which is 65,536 networks. So a /48 has budgets as well, sixteen times
//! those of a network; a network that has nothing left takes nothing from its neighbours.
//!
//! # Memory
//!
//! The budgets take 5 MiB at most, however many clients there are, and next to nothing with few: each has tables
//! of fixed size, in which a network counts in one cell of each of four rows of 8,192, which a randomly keyed hash picks, and the cell that was
//! used least decides. Nothing is ever evicted, so no flood of other addresses gives a client that was
//! refused its budget back. A flood of tens of thousands of sites makes the tables refuse too much,
//! but not to users: networks from which somebody has logged in or refreshed a session, up to 32,768 of them,
//! have tables of their own.
//!
//! # Example
//!
//! ```
//! use std::num::NonZeroU32;
//! use std::time::Duration;
//!
//! use auth_tower::AuthApi;
//! use auth_tower::budgets::{Budget, RequestBudgets};
//!
//! fn limited(api: AuthApi) -> AuthApi {
//!     let ten = NonZeroU32::MIN.saturating_add(9);
//!     let budgets = RequestBudgets::default()
//!         .with_log_in(Budget::new(ten, Duration::from_secs(60)));
//!     api.with_request_budgets(budgets)
//! }
//! ```

mod cells;
mod client;
mod known;
mod limiters;

use std::num::NonZeroU32;
use std::time::Duration;

pub(crate) use client::Client;
pub(crate) use limiters::{Limited, Limiters};

/// So many requests at once, and one more after each interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    at_once: NonZeroU32,
    interval: Duration,
}

impl Budget {
    /// Allows so many requests at once, and one more after each interval.
    ///
    /// More than a million at once and more than an hour are taken for that.
    #[must_use]
    pub const fn new(at_once: NonZeroU32, interval: Duration) -> Self {
        Self { at_once, interval }
    }
}

/// The budgets of every client; see the [module](crate::budgets) for the defaults.
#[derive(Clone, Copy, Debug)]
pub struct RequestBudgets {
    log_in: Budget,
    refresh: Budget,
    log_out: Budget,
    verify_email: Budget,
    resend_verification: Budget,
    register: Budget,
    account: Budget,
    administration: Budget,
}

impl Default for RequestBudgets {
    fn default() -> Self {
        const fn budget(at_once: u32, milliseconds: u64) -> Budget {
            let more = at_once.saturating_sub(1);
            Budget::new(
                NonZeroU32::MIN.saturating_add(more),
                Duration::from_millis(milliseconds),
            )
        }
        Self {
            log_in: budget(100, 1_000),
            refresh: budget(600, 50),
            log_out: budget(600, 50),
            verify_email: budget(100, 1_000),
            resend_verification: budget(20, 30_000),
            register: budget(300, 200),
            account: budget(300, 200),
            administration: budget(300, 200),
        }
    }
}

impl RequestBudgets {
    /// Replaces the budget of logins, good and failed ones, and of whatever else takes a password.
    #[must_use]
    pub const fn with_log_in(mut self, budget: Budget) -> Self {
        self.log_in = budget;
        self
    }

    /// Replaces the budget of refreshes.
    #[must_use]
    pub const fn with_refresh(mut self, budget: Budget) -> Self {
        self.refresh = budget;
        self
    }

    /// Replaces the budget of logouts.
    #[must_use]
    pub const fn with_log_out(mut self, budget: Budget) -> Self {
        self.log_out = budget;
        self
    }

    /// Replaces the budget of verifications; to look at the page costs nothing.
    #[must_use]
    pub const fn with_verify_email(mut self, budget: Budget) -> Self {
        self.verify_email = budget;
        self
    }

    /// Replaces the budget of asking for another verification mail.
    #[must_use]
    pub const fn with_resend_verification(mut self, budget: Budget) -> Self {
        self.resend_verification = budget;
        self
    }

    /// Replaces the budget of registrations.
    #[must_use]
    pub const fn with_register(mut self, budget: Budget) -> Self {
        self.register = budget;
        self
    }

    /// Replaces the budget of requests that concern the caller's own account.
    #[must_use]
    pub const fn with_account(mut self, budget: Budget) -> Self {
        self.account = budget;
        self
    }

    /// Replaces the budget of requests that administer accounts.
    #[must_use]
    pub const fn with_administration(mut self, budget: Budget) -> Self {
        self.administration = budget;
        self
    }
}
