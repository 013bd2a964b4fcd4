//! Logouts, each of a session that lives.

use std::cell::RefCell;

use super::refresh::{PGBENCH, sent};
use super::{DATABASE, OURS, World, enter};
use crate::Outcome;
use crate::contest::{Contest, row};
use crate::django::DJANGO;
use crate::effort::SOME;
use crate::pgbench::{Amount, Pgbench};
use crate::report::{Figure, Goal, Section};
use crate::scripts::{LogOut, Supply};
use crate::site::Site;
use crate::statements::{self, Act};

/// How many logouts each client of pgbench sends in its first round.
const FIRST: i64 = 100;

/// What a node is told that neither notifies nor listens.
const POLL: (&str, &str) = ("AUTH_REVOCATION_FEED", "poll");

const OURS_POLLING: &str = "auth-server, AUTH_REVOCATION_FEED=poll";

const PGBENCH_POLLING: &str = "pgbench, its statement";

pub(super) fn measure(world: &World) -> Outcome<Section> {
    let effort = &world.effort;
    let mut site = world.site.borrow_mut();
    let log = world.postgres.log();
    let mut prepared = |series, more: &[_]| {
        let script = statements::script(&mut site, &log, Act::LogOut, series, more)?;
        let pgbench = Pgbench::new(&world.postgres, DATABASE, &script)?;
        Outcome::Ok((script, series, pgbench))
    };
    let notifying = prepared("pgbench-listen", &[])?;
    let polling = prepared("pgbench-poll", &[POLL])?;
    let [node, polling_node] = [&[][..], &[POLL]].map(|more| site.start_node(more));
    let django = world.serve_django(&[])?;
    let site = RefCell::new(site);
    let mut contest = Contest::default();
    let connections = effort.connections.iter();
    let ours = connections.map(|&connections| (OURS, &node, connections));
    for (name, node, connections) in ours.chain([(OURS_POLLING, &polling_node, SOME)]) {
        let plan = effort.plan(node.address()?, node.processes());
        let site = &site;
        let mut tokens = Supply::new([]);
        enter(&mut contest, name, connections, &plan, move |number| {
            if number == 0 {
                tokens = Supply::new(fresh(&mut site.borrow_mut(), "end", effort.logouts)?);
            }
            Ok(LogOut {
                tokens: tokens.clone(),
            })
        });
    }
    for (name, (_, series, pgbench)) in [(PGBENCH, &notifying), (PGBENCH_POLLING, &polling)] {
        let site = &site;
        // The first round is short; it tells how much fits into the time of the others.
        let share = effort.logouts / SOME as i64;
        let mut each = share.min(FIRST);
        contest.enter(name, Some(SOME), move || {
            let mut site = site.borrow_mut();
            fresh(&mut site, series, effort.logouts)?;
            let done = pgbench.run(SOME, share, Amount::Times(each))?;
            let ended = "SELECT count(*) FROM auth_sessions WHERE revoked_reason = 'logout'";
            let ended = site.database.number(ended)?;
            if ended != done.transactions {
                let sent = done.transactions;
                return Err(
                    format!("of {sent} logouts that pgbench sent {ended} were done").into(),
                );
            }
            let fitting = done.sample.rate * effort.duration.as_secs_f64() / SOME as f64;
            each = share.min(fitting as i64).max(1);
            Ok(done.sample)
        });
    }
    if let Some(server) = &django {
        let plan = effort.plan(server.address(), server.processes());
        let mut tokens = Supply::new([]);
        let count = (plan.warm_up + plan.duration).as_millis();
        // Three in two milliseconds are more than it can do.
        let count = usize::try_from(count)? * 3 / 2;
        enter(&mut contest, DJANGO, SOME, &plan, move |number| {
            if number == 0 {
                tokens = Supply::new(server.refresh_tokens(count)?);
            }
            Ok(LogOut {
                tokens: tokens.clone(),
            })
        });
    }
    let rows = contest.run(effort.rounds)?;
    let some = |name| row(&rows, name, Some(SOME));
    let goal = Goal::AtLeast(0.75);
    let mut figures = vec![
        Figure::ratio(
            "P10",
            "logouts, beside pgbench",
            some(OURS)?,
            some(PGBENCH)?,
            goal,
        ),
        Figure::ratio(
            "P10",
            "logouts without notification, beside pgbench",
            some(OURS_POLLING)?,
            some(PGBENCH_POLLING)?,
            goal,
        ),
    ];
    if django.is_some() {
        let goal = Goal::AtLeast(25.0);
        let what = "logouts, beside Django";
        figures.push(Figure::ratio("P12", what, some(OURS)?, some(DJANGO)?, goal));
    }
    Ok(Section {
        title: "Logout".to_owned(),
        rows,
        figures,
        notes: vec![sent(&notifying.0)],
        ..Section::default()
    })
}

/// Removes what ended in the rounds before, and adds sessions to end in this one.
fn fresh(site: &mut Site, series: &str, count: i64) -> Outcome<Vec<String>> {
    let database = &mut site.database;
    database.run("DELETE FROM auth_sessions WHERE revoked_at IS NOT NULL")?;
    database.run("TRUNCATE auth_events, auth_revocations")?;
    database.remove_sessions(series, count)?;
    site.add_sessions(series, count)
}
