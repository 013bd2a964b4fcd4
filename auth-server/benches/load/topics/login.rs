//! Logins: all that they cost is the hash.

use super::{OURS, World, enter};
use crate::contest::{Contest, row};
use crate::effort::SOME;
use crate::report::{Figure, Goal, Section};
use crate::scripts::{LogIn, Supply};
use crate::support::PASSWORD;
use crate::{Outcome, argon2_loop, django};

const LOOP: &str = "crate argon2 in a loop";

pub(super) fn measure(world: &World) -> Outcome<Section> {
    let effort = &world.effort;
    let site = world.site.borrow();
    let node = site.start_node(&[]);
    let plan = effort.plan(node.address()?, node.processes());
    let log_in = LogIn {
        usernames: Supply::new(site.usernames()),
        password: PASSWORD,
    };
    let mut contest = Contest::default();
    for &connections in effort.connections {
        enter(&mut contest, OURS, connections, &plan, |_| {
            Ok(log_in.clone())
        });
    }
    contest.enter(LOOP, None, || argon2_loop::run(effort.duration));
    let by_hasher = match &world.django {
        None => Vec::new(),
        Some(django) => vec![
            (django::DEFAULT_HASHER, django.serve(&[])?),
            (django::ARGON2, django.serve(&[("HASHER", "argon2")])?),
        ],
    };
    for (name, server) in &by_hasher {
        let mut plan = effort.plan(server.address(), server.processes());
        plan.duration = effort.long;
        let usernames = Supply::new(server.usernames());
        enter(&mut contest, name, SOME, &plan, move |_| {
            Ok(LogIn {
                usernames: usernames.clone(),
                password: PASSWORD,
            })
        });
    }
    let rows = contest.run(effort.rounds)?;
    let ours = row(&rows, OURS, Some(SOME))?;
    let mut figures = vec![Figure::ratio(
        "P1",
        "logins, beside the crate argon2 in a loop",
        ours,
        row(&rows, LOOP, None)?,
        Goal::AtLeast(0.95),
    )];
    if !by_hasher.is_empty() {
        let django = row(&rows, django::DEFAULT_HASHER, Some(SOME))?;
        figures.push(Figure::ratio(
            "P12",
            "logins, beside Django with its default hasher",
            ours,
            django,
            Goal::AtLeast(15.0),
        ));
    }
    Ok(Section {
        title: "Login".to_owned(),
        rows,
        figures,
        ..Section::default()
    })
}
