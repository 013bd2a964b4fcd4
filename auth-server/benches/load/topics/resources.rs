//! Memory, and how soon a server answers.

use std::time::Instant;

use super::{World, enter};
use crate::Outcome;
use crate::contest::Contest;
use crate::django::DJANGO;
use crate::effort::MANY;
use crate::report::{Figure, Goal, Section};
use crate::scripts::{LogIn, Refresh, Supply};
use crate::site::Node;
use crate::support::PASSWORD;

pub(super) fn measure(world: &World) -> Outcome<Section> {
    let effort = &world.effort;
    let mut site = world.site.borrow_mut();
    let tokens = Supply::new(site.add_sessions("memory", effort.sessions)?);
    let log_in = LogIn {
        usernames: Supply::new(site.usernames()),
        password: PASSWORD,
    };
    let mut starts = Vec::new();
    let mut idle = Vec::new();
    for _ in 0..effort.starts {
        let started = Instant::now();
        let node = site.start_node(&[]);
        answer_once(&node)?;
        starts.push(started.elapsed().as_secs_f64() * 1e3);
        idle.extend(node.processes().memory());
    }

    let node = site.start_node(&[]);
    let plan = effort.plan(node.address()?, node.processes());
    let mut contest = Contest::default();
    enter(&mut contest, "refreshes", MANY, &plan, |_| {
        Ok(Refresh {
            tokens: tokens.clone(),
        })
    });
    contest.run(1)?;
    let busy: Vec<f64> = node.processes().peak_memory().into_iter().collect();
    let mut contest = Contest::default();
    enter(&mut contest, "logins", MANY, &plan, |_| Ok(log_in.clone()));
    contest.run(1)?;
    let hashing: Vec<f64> = node.processes().peak_memory().into_iter().collect();

    let memory = |what, values: &[f64], goal| Figure::measured("P13", what, values, "MiB", goal);
    let mut figures = vec![
        memory("memory, idle", &idle, Some(Goal::AtMost(12.0))),
        memory(
            "most memory, 64 connections that refresh",
            &busy,
            Some(Goal::AtMost(24.0)),
        ),
        memory("most memory, 64 connections that log in", &hashing, None),
        Figure::measured(
            "P14",
            "start to the first answer, existing database",
            &starts,
            "ms",
            Some(Goal::AtMost(60.0)),
        ),
    ];
    if let Some(django) = &world.django {
        let started = Instant::now();
        let server = django.serve(&[])?;
        let millis = started.elapsed().as_secs_f64() * 1e3;
        let memory: Vec<f64> = server.processes().memory().into_iter().collect();
        let what = format!("{DJANGO}: memory, idle");
        figures.push(Figure::measured("P13", &what, &memory, "MiB", None));
        let what = format!("{DJANGO}: start to the first answer");
        figures.push(Figure::measured("P14", &what, &[millis], "ms", None));
    }
    Ok(Section {
        title: "Memory and start".to_owned(),
        figures,
        ..Section::default()
    })
}

/// Asks one thing of a server that has just said that it listens.
fn answer_once(node: &Node) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(node.server().get("/livez"));
    match answer.status.as_u16() {
        200 => Ok(()),
        _ => Err(format!("unexpected answer: {answer:?}").into()),
    }
}
