//! How long and how much is measured.

use std::net::SocketAddr;
use std::time::Duration;

use crate::generator::{Pace, Plan};
use crate::processes::Processes;

/// A client that waits for each answer before it asks again.
pub(crate) const ONE: usize = 1;

/// The connections of the comparisons with other programs.
pub(crate) const SOME: usize = 16;

/// The connections of a busy server.
pub(crate) const MANY: usize = 64;

/// How long and how much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    /// How long slow things are measured: logins of Django.
    pub(crate) long: Duration,
    /// How many connections ask.
    pub(crate) connections: &'static [usize],
    pub(crate) users: i64,
    /// The sessions that refreshes go over.
    pub(crate) sessions: i64,
    /// The sessions for each logout run; more than can be ended in its time.
    pub(crate) logouts: i64,
    /// Sessions and users of the databases that are compared in `growth`.
    pub(crate) growth: Vec<(i64, i64)>,
    /// The rotations after which the table is looked at.
    pub(crate) rotations: usize,
    /// How often a server is started to see how soon it answers.
    pub(crate) starts: usize,
}

impl Effort {
    /// A run whose figures mean something; under 20 minutes on two cores.
    pub(crate) fn full(sessions: i64) -> Self {
        let growth = [
            (10_000, 1_000),
            (1_000_000, 100_000),
            (10_000_000, 1_000_000),
        ];
        let mut growth: Vec<_> = growth
            .into_iter()
            .filter(|size| size.0 < sessions)
            .collect();
        growth.push((sessions, (sessions / 10).clamp(1_000, 1_000_000)));
        Self {
            rounds: 5,
            warm_up: Duration::from_millis(300),
            duration: Duration::from_secs(1),
            long: Duration::from_secs(4),
            connections: &[ONE, SOME, MANY],
            users: 10_000,
            sessions: 10_000,
            logouts: 40_000,
            growth,
            rotations: 1_000_000,
            starts: 10,
        }
    }

    /// A run that shows that everything works.
    pub(crate) fn quick() -> Self {
        Self {
            rounds: 1,
            warm_up: Duration::from_millis(20),
            duration: Duration::from_millis(150),
            long: Duration::from_millis(500),
            connections: &[ONE, SOME, MANY],
            users: 200,
            sessions: 320,
            logouts: 2_000,
            growth: vec![(320, 100), (3_200, 200)],
            rotations: 1_000,
            starts: 1,
        }
    }

    pub(crate) fn plan(&self, address: SocketAddr, server: Processes) -> Plan {
        Plan {
            addresses: vec![address],
            warm_up: self.warm_up,
            duration: self.duration,
            pace: Pace::AtOnce,
            server,
        }
    }
}
