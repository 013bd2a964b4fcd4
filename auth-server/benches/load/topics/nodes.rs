//! One node beside two on one PostgreSQL.

use super::{World, enter};
use crate::Outcome;
use crate::contest::{Contest, row};
use crate::effort::MANY;
use crate::report::{Figure, Section};
use crate::scripts::{Refresh, Supply};

const ONE: &str = "one node";
const TWO: &str = "two nodes";

pub(super) fn measure(world: &World) -> Outcome<Section> {
    let effort = &world.effort;
    let mut site = world.site.borrow_mut();
    let tokens = Supply::new(site.add_sessions("nodes", effort.sessions)?);
    let nodes = [site.start_node(&[]), site.start_node(&[])];
    let [one, other] = &nodes;
    let alone = effort.plan(one.address()?, one.processes());
    let mut both = alone.clone();
    both.addresses.push(other.address()?);
    both.server.add(&other.processes());
    let mut contest = Contest::default();
    for (name, plan) in [(ONE, &alone), (TWO, &both)] {
        enter(&mut contest, name, MANY, plan, |_| {
            Ok(Refresh {
                tokens: tokens.clone(),
            })
        });
    }
    let rows = contest.run(effort.rounds)?;
    let figure = Figure {
        goal: None,
        ..Figure::ratio(
            "P17",
            "refreshes of two nodes, beside one",
            row(&rows, TWO, Some(MANY))?,
            row(&rows, ONE, Some(MANY))?,
            crate::report::Goal::AtLeast(0.0),
        )
    };
    Ok(Section {
        title: "Two nodes".to_owned(),
        rows,
        figures: vec![figure],
        notes: vec![
            "Both nodes, PostgreSQL and the generator share the cores of one machine: more than \
             one node gains nothing where it has few."
                .to_owned(),
        ],
        ..Section::default()
    })
}
