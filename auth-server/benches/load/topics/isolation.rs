//! What a flood of logins does to everybody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::World;
use crate::Outcome;
use crate::contest::Row;
use crate::generator::{self, Pace, Plan, Script};
use crate::processes::Processes;
use crate::report::{Curve, Figure, Goal, Section};
use crate::sample::Sample;
use crate::scripts::{Fetch, Flood, LogIn, Refresh, Supply};
use crate::support::PASSWORD;

/// The connections of each kind of those who are not to be disturbed.
const QUIET: usize = 8;

/// How often each of them asks: a busy server, but not one at its limit.
const RHYTHM: Duration = Duration::from_millis(20);

/// How long a refused login waits before it tries again; it was told to wait for seconds.
const PAUSE: Duration = Duration::from_millis(100);

/// The server's hashing threads and their queue are full with fewer.
const FLOOD_PER_CORE: usize = 128;

const REFRESH: &str = "refresh";
const ACCOUNT: &str = "the caller's account";

pub(super) fn measure(world: &World) -> Outcome<Section> {
    let effort = &world.effort;
    let mut site = world.site.borrow_mut();
    let node = site.start_node(&[]);
    let plan = Plan {
        duration: effort.long,
        pace: Pace::Every(RHYTHM),
        // What the server does is done for all of them at the same time.
        ..effort.plan(node.address()?, Processes::default())
    };
    let refresh = Refresh {
        tokens: Supply::new(site.add_sessions("isolation", effort.sessions)?),
    };
    let log_in = LogIn {
        usernames: Supply::new(site.usernames()),
        password: PASSWORD,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (served, shed) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let flood = || {
        let scripts = (0..FLOOD_PER_CORE * cores).map(|_| {
            Box::new(Flood {
                log_in: log_in.clone(),
                served: Arc::clone(&served),
                shed: Arc::clone(&shed),
            }) as Box<dyn Script>
        });
        let plan = Plan {
            // It goes on for as long as the others are measured.
            warm_up: Duration::ZERO,
            duration: plan.warm_up + plan.duration,
            pace: Pace::Pausing(PAUSE),
            ..plan.clone()
        };
        generator::run(&plan, scripts.collect())
    };

    let mut quiet = [Vec::new(), Vec::new()];
    let mut flooded = [Vec::new(), Vec::new()];
    let mut floods = Vec::new();
    for _ in 0..effort.rounds {
        let account = Fetch {
            path: "/api/auth/me/",
            bearer: Some(site.bearer("user-0")?),
            start: r#"{"id":""#,
        };
        keep(&mut quiet, undisturbed(&plan, &refresh, &account)?);
        let (others, flood) = std::thread::scope(|scope| {
            let flood = scope.spawn(flood);
            let others = undisturbed(&plan, &refresh, &account);
            let flood = flood.join().map_err(|_| "the flood panicked")?;
            Outcome::Ok((others?, flood?))
        })?;
        keep(&mut flooded, others);
        floods.push(flood);
    }
    let (served, shed) = (served.load(Ordering::Relaxed), shed.load(Ordering::Relaxed));
    if shed == 0 {
        return Err("the flood was not large enough: no login was refused".into());
    }

    let mut section = Section {
        title: "Isolation".to_owned(),
        notes: vec![format!(
            "Of the flood's logins {served} were served, and {shed} answered with 503 and Retry-After. \
             Nobody else got a 5xx: every answer is checked."
        )],
        ..Section::default()
    };
    for ((name, quiet), flooded) in [REFRESH, ACCOUNT].into_iter().zip(&quiet).zip(&flooded) {
        let tails = |samples: &[Sample]| -> Vec<f64> {
            samples
                .iter()
                .map(|sample| sample.latencies.millis(99.0))
                .collect()
        };
        let ratios = tails(flooded).into_iter().zip(tails(quiet));
        let ratios: Vec<f64> = ratios.map(|(flooded, quiet)| flooded / quiet).collect();
        let what = format!("p99 of {name} under a flood of logins, beside none");
        section.figures.push(Figure::measured(
            "P15",
            &what,
            &ratios,
            "",
            Some(Goal::AtMost(4.0)),
        ));
        for (when, samples) in [("no flood", quiet), ("flood", flooded)] {
            let row = Row::new(format!("{name}, {when}"), Some(QUIET), samples);
            section.curves.push(curve(&row.name, samples));
            section.rows.push(row);
        }
    }
    let flood = Row::new(
        "the flood".to_owned(),
        Some(FLOOD_PER_CORE * cores),
        &floods,
    );
    section.rows.push(flood);
    Ok(section)
}

fn keep(kept: &mut [Vec<Sample>; 2], samples: [Sample; 2]) {
    for (kept, sample) in kept.iter_mut().zip(samples) {
        kept.push(sample);
    }
}

/// Refreshes and requests at the same time.
fn undisturbed(plan: &Plan, refresh: &Refresh, account: &Fetch) -> Outcome<[Sample; 2]> {
    std::thread::scope(|scope| {
        let refreshes = scope.spawn(|| generator::run(plan, copies(refresh)));
        let accounts = generator::run(plan, copies(account));
        let refreshes = refreshes.join().map_err(|_| "the refreshes panicked")?;
        Ok([refreshes?, accounts?])
    })
}

fn copies<S: Script + Clone + 'static>(script: &S) -> Vec<Box<dyn Script>> {
    (0..QUIET)
        .map(|_| Box::new(script.clone()) as Box<dyn Script>)
        .collect()
}

/// Within how many milliseconds which share of the answers came.
fn curve(name: &str, samples: &[Sample]) -> Curve {
    let mut all = crate::sample::Latencies::default();
    for sample in samples {
        all.add(&sample.latencies);
    }
    let shares = [
        0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9,
    ];
    Curve {
        name: name.to_owned(),
        points: shares.map(|share| (share, all.millis(share))).to_vec(),
    }
}
