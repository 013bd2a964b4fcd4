//! The real server as a process under load, beside what it stands on and what it replaces.
//!
//! `cargo bench -p auth-server --bench load -- --help` says what can be asked for;
//! `docs/performance.md` says how it is measured.

#![expect(clippy::print_stdout, reason = "it prints its results")]

mod argon2_loop;
mod contest;
mod django;
mod docs;
mod effort;
mod generator;
mod pgbench;
mod plot;
mod processes;
mod report;
mod sample;
mod scripts;
mod site;
mod stand_ins;
mod statements;
#[path = "../../tests/support/mod.rs"]
mod support;
mod topics;

use std::process::ExitCode;

use clap::Parser;

use effort::Effort;
use report::Report;
use topics::{Topic, World};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Puts auth-server under load, beside what it stands on and what it replaces.
#[derive(Debug, Parser)]
struct Arguments {
    /// Shows in a minute that everything works; the figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Measures these topics alone, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Topic>,
    /// Leaves Django out, which needs Python and its package index.
    #[arg(long)]
    without_django: bool,
    /// The most sessions of the topic `growth`, which fill about 300 bytes of disk each.
    #[arg(long, default_value_t = 10_000_000)]
    sessions: i64,
    /// Writes the results into docs/performance.md, and its plots beside it.
    #[arg(long)]
    docs: bool,
    /// Measures nothing: takes the results of the run before.
    #[arg(long)]
    saved: bool,
    /// Serves as one of the servers beside ours.
    #[arg(long, hide = true)]
    stand_in: Option<stand_ins::Kind>,
    /// What `cargo bench` adds, and `cargo test` does not.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<()> {
    if let Some(kind) = arguments.stand_in {
        return stand_ins::run(kind);
    }
    let report = if arguments.saved {
        Report::load()?
    } else {
        measure(arguments)?
    };
    println!("{}", report.to_markdown());
    if arguments.docs {
        docs::write(&report)?;
    }
    Ok(())
}

/// As benchmarks by criterion do, this one just shows that it works where `cargo test` runs it.
fn measure(arguments: &Arguments) -> Outcome<Report> {
    let is_quick = arguments.quick || !arguments.bench;
    let effort = if is_quick {
        Effort::quick()
    } else {
        Effort::full(arguments.sessions)
    };
    let world = World::create(effort, !arguments.without_django)?;
    let mut report = Report {
        machine: docs::machine(&world)?,
        ..Report::default()
    };
    for topic in Topic::all() {
        if arguments.only.is_empty() || arguments.only.contains(&topic) {
            eprintln!("{topic:?} …");
            let section = topic.measure(&world)?;
            eprintln!("{}", section.to_markdown());
            report.sections.push(section);
            // After each, so that little is lost if a later one fails; figures that mean nothing
            // take the place of none.
            if !is_quick {
                report.save()?;
            }
        }
    }
    Ok(report)
}
