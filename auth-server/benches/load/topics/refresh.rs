//! Refreshes, with rotation and without.

use super::{DATABASE, OURS, World, enter};
use crate::Outcome;
use crate::contest::{Contest, row};
use crate::django::DJANGO;
use crate::effort::{ONE, SOME};
use crate::pgbench::{Amount, Pgbench};
use crate::report::{Figure, Goal, Section};
use crate::scripts::{Refresh, Rotate, Supply};
use crate::statements::{self, Act};

pub(super) const PGBENCH: &str = "pgbench, the same statement";

pub(super) const ROTATION: (&str, &str) = ("AUTH_REFRESH_ROTATION", "on");

/// The sessions of a connection that rotates.
const SHARE: i64 = 100;

pub(super) fn without_rotation(world: &World) -> Outcome<Section> {
    let effort = &world.effort;
    let mut site = world.site.borrow_mut();
    let tokens = Supply::new(site.add_sessions("refresh", effort.sessions)?);
    let script = statements::script(
        &mut site,
        &world.postgres.log(),
        Act::Refresh,
        "refresh",
        &[],
    )?;
    let pgbench = Pgbench::new(&world.postgres, DATABASE, &script)?;
    let node = site.start_node(&[]);
    let plan = effort.plan(node.address()?, node.processes());
    let django = world.serve_django(&[])?;
    let mut contest = Contest::default();
    for &connections in effort.connections {
        let refresh = Refresh {
            tokens: tokens.clone(),
        };
        enter(&mut contest, OURS, connections, &plan, move |_| {
            Ok(refresh.clone())
        });
    }
    let time = Amount::For(effort.duration);
    let share = effort.sessions / SOME as i64;
    let pgbench = &pgbench;
    contest.enter(PGBENCH, Some(SOME), move || {
        Ok(pgbench.run(SOME, share, time)?.sample)
    });
    if let Some(server) = &django {
        let plan = effort.plan(server.address(), server.processes());
        let tokens = Supply::new(server.refresh_tokens(SOME)?);
        enter(&mut contest, DJANGO, SOME, &plan, move |_| {
            Ok(Refresh {
                tokens: tokens.clone(),
            })
        });
    }
    let rows = contest.run(effort.rounds)?;
    let ours = row(&rows, OURS, Some(SOME))?;
    let mut figures = vec![Figure::ratio(
        "P8",
        "refreshes, beside pgbench",
        ours,
        row(&rows, PGBENCH, Some(SOME))?,
        Goal::AtLeast(0.55),
    )];
    if django.is_some() {
        let django = row(&rows, DJANGO, Some(SOME))?;
        let goal = Goal::AtLeast(25.0);
        figures.push(Figure::ratio(
            "P12",
            "refreshes, beside Django",
            ours,
            django,
            goal,
        ));
    }
    Ok(Section {
        title: "Refresh, rotation off".to_owned(),
        rows,
        figures,
        notes: vec![sent(&script)],
        ..Section::default()
    })
}

pub(super) fn with_rotation(world: &World) -> Outcome<Section> {
    let effort = &world.effort;
    let mut site = world.site.borrow_mut();
    let most = effort.connections.iter().copied().max().unwrap_or(SOME);
    let count = SHARE * most as i64;
    site.add_sessions("rotate", count)?;
    site.add_sessions("pgbench", count)?;
    let mut script = statements::script(
        &mut site,
        &world.postgres.log(),
        Act::Rotate,
        "pgbench",
        &[ROTATION],
    )?;
    script.statement = flushed(&script.statement)?;
    let pgbench = Pgbench::new(&world.postgres, DATABASE, &script)?;
    let node = site.start_node(&[ROTATION]);
    let plan = effort.plan(node.address()?, node.processes());
    let site = std::cell::RefCell::new(site);
    let django = world.serve_django(&[("ROTATE", "1")])?;
    let mut contest = Contest::default();
    for &connections in effort.connections {
        let site = &site;
        enter(&mut contest, OURS, connections, &plan, move |number| {
            let mut site = site.borrow_mut();
            if number == 0 {
                reset(&mut site)?;
            }
            let ids = site.database.session_ids("rotate", count)?;
            let ids = ids.into_iter().skip(number * SHARE as usize);
            let ids: Vec<_> = ids.take(SHARE as usize).collect();
            Ok(Rotate::new(site.refresh_tokens(&ids)))
        });
    }
    let time = Amount::For(effort.duration);
    let (site, pgbench) = (&site, &pgbench);
    for clients in [ONE, SOME] {
        contest.enter(PGBENCH, Some(clients), move || {
            let mut site = site.borrow_mut();
            reset(&mut site)?;
            let done = pgbench.run(clients, SHARE, time)?;
            let rotated = site
                .database
                .number("SELECT sum(generation) FROM auth_sessions")?;
            if rotated != done.transactions {
                let sent = done.transactions;
                return Err(
                    format!("pgbench sent {sent} rotations, of which {rotated} were done").into(),
                );
            }
            Ok(done.sample)
        });
    }
    if let Some(server) = &django {
        let plan = effort.plan(server.address(), server.processes());
        let mut tokens = Vec::new();
        enter(&mut contest, DJANGO, SOME, &plan, move |number| {
            if number == 0 {
                tokens = server.refresh_tokens(SOME)?;
            }
            Ok(Rotate::new(tokens.pop().into_iter().collect()))
        });
    }
    let rows = contest.run(effort.rounds)?;
    let ours = row(&rows, OURS, Some(SOME))?;
    let mut figures = vec![
        Figure::ratio(
            "P9",
            "refreshes with rotation, beside pgbench that flushes",
            ours,
            row(&rows, PGBENCH, Some(SOME))?,
            Goal::AtLeast(1.1),
        ),
        Figure::ratio(
            "P9",
            "the same with one connection",
            row(&rows, OURS, Some(ONE))?,
            row(&rows, PGBENCH, Some(ONE))?,
            Goal::AtLeast(1.2),
        ),
    ];
    if django.is_some() {
        let django = row(&rows, DJANGO, Some(SOME))?;
        let goal = Goal::AtLeast(40.0);
        figures.push(Figure::ratio(
            "P12",
            "rotations, beside Django",
            ours,
            django,
            goal,
        ));
    }
    Ok(Section {
        title: "Refresh, rotation on".to_owned(),
        rows,
        figures,
        notes: vec![
            sent(&script),
            "The server's has `synchronous_commit` off, and pgbench's commits wait for the disk."
                .to_owned(),
        ],
        ..Section::default()
    })
}

/// Makes the sessions' first tokens good again.
fn reset(site: &mut crate::site::Site) -> Outcome<()> {
    site.database
        .run("UPDATE auth_sessions SET generation = 0 WHERE generation <> 0")?;
    site.database.vacuum()
}

/// The statement of a rotation without what spares its commit the wait for the disk.
fn flushed(statement: &str) -> Outcome<String> {
    let parts = statement.split_once("UPDATE ");
    match parts.and_then(|(_, update)| update.split_once(", unflushed ")) {
        Some((update, rest)) => Ok(format!("UPDATE {update} {rest}")),
        None => Err(format!("not an unflushed statement: {statement}").into()),
    }
}

/// What the server sends, for who wants to know.
pub(super) fn sent(script: &statements::Script) -> String {
    format!(
        "pgbench sends what the server's log shows: `{}`",
        script.statement
    )
}
