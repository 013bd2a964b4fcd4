//! Registrations by a superuser, each with a mail.

use std::cell::RefCell;
use std::sync::Arc;

use super::{OURS, World, enter};
use crate::Outcome;
use crate::contest::Contest;
use crate::django::DJANGO;
use crate::effort::SOME;
use crate::report::Section;
use crate::scripts::Register;
use crate::support::PASSWORD;

pub(super) fn measure(world: &World) -> Outcome<Section> {
    let effort = &world.effort;
    let site = RefCell::new(world.site.borrow_mut());
    let node = site.borrow().start_node(&[]);
    let plan = effort.plan(node.address()?, node.processes());
    let number = Arc::default();
    let django = world.serve_django(&[])?;
    let mut contest = Contest::default();
    for &connections in effort.connections {
        let (site, number) = (&site, Arc::clone(&number));
        enter(&mut contest, OURS, connections, &plan, move |_| {
            Ok(Register {
                bearer: site.borrow_mut().bearer("operator")?,
                number: Arc::clone(&number),
                password: PASSWORD,
            })
        });
    }
    if let Some(server) = &django {
        let mut plan = effort.plan(server.address(), server.processes());
        plan.duration = effort.long;
        let number = Arc::clone(&number);
        let bearer = server.bearer("operator")?;
        enter(&mut contest, DJANGO, SOME, &plan, move |_| {
            Ok(Register {
                bearer: bearer.clone(),
                number: Arc::clone(&number),
                password: PASSWORD,
            })
        });
    }
    Ok(Section {
        title: "Register".to_owned(),
        rows: contest.run(effort.rounds)?,
        ..Section::default()
    })
}
