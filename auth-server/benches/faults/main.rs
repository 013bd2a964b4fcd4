//! The faults of `tests/faults` as often as one likes, and the ledger of each.
//!
//! `cargo bench -p auth-server --bench faults -- --help` says what can be asked for;
//! `docs/faults.md` says how to read what it prints.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "it prints its results, and ends where it cannot go on"
)]

#[path = "../../tests/faults/harness/mod.rs"]
mod harness;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use harness::cluster::Replication;
use harness::failover;
use harness::kills;
use harness::site::{Rotation, Site};
use harness::storm;

/// Breaks off requests and lets databases fail over, beside acts that are acknowledged.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds of the storm on each database, with rotation off and on; 10 requests are broken off in
    /// each round.
    #[arg(long, default_value_t = 1_000)]
    rounds: usize,
    /// How often the server is killed on each database, with rotation off and on.
    #[arg(long, default_value_t = 50)]
    kills: usize,
    /// Failovers to a synchronous standby, and as many to an asynchronous one.
    #[arg(long, default_value_t = 3)]
    failovers: usize,
    /// Storms and kills on this database alone.
    #[arg(long)]
    only: Option<Database>,
    /// What `cargo bench` adds, and `cargo test` does not.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Database {
    Postgres,
    Sqlite,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    // As benchmarks by criterion do, this one just shows that it works where `cargo test` runs it.
    if !arguments.bench {
        arguments.rounds = 1;
        arguments.kills = 1;
        arguments.failovers = 0;
    }
    let mut is_clean = true;
    for database in [Database::Postgres, Database::Sqlite] {
        if arguments.only.is_some_and(|only| only != database) {
            continue;
        }
        for rotation in [Rotation::Off, Rotation::On] {
            let site = match database {
                Database::Postgres => Site::on_postgres(rotation).await,
                Database::Sqlite => Site::on_sqlite(rotation).await,
            };
            let outcome = storm::run(&site, arguments.rounds).await;
            println!("## A storm over {database:?}, rotation {rotation:?}\n\n{outcome}");
            is_clean &= outcome.faults.is_empty();
            let balance = kills::run(&site, arguments.kills).await;
            println!(
                "## {} kills over {database:?}, rotation {rotation:?}\n\n{balance}",
                arguments.kills
            );
            is_clean &= balance.lost.is_empty();
        }
    }
    for replication in [Replication::Synchronous, Replication::Asynchronous] {
        for _ in 0..arguments.failovers {
            let done = failover::run(replication).await;
            println!("## A failover, {replication:?}\n\n{}", done.verdict);
            println!("not received by the standby: {}\n", done.forgiven);
            is_clean &= done.verdict.faults().is_empty();
        }
    }
    if is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
