//! pgbench, with the statements that the server sends.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use auth_core::testing::postgres::TemporaryServer;

use crate::Outcome;
use crate::sample::Sample;
use crate::statements::Script;

/// A script, and where to run it.
pub(crate) struct Pgbench<'a> {
    server: &'a TemporaryServer,
    database: &'a str,
    /// Holds the script until it has run.
    _folder: tempfile::TempDir,
    file: PathBuf,
    constants: Vec<(String, String)>,
}

/// How much of it is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Amount {
    /// Whole seconds, at least one.
    For(Duration),
    /// So often by each client.
    Times(i64),
}

/// What pgbench has done.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) transactions: i64,
    pub(crate) sample: Sample,
}

impl<'a> Pgbench<'a> {
    /// Prepares a script for a database, in which each client has a share of the series' sessions.
    pub(crate) fn new(
        server: &'a TemporaryServer,
        database: &'a str,
        script: &Script,
    ) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("script.sql");
        let text = format!(
            "\\set i :i + 1\n\
             \\set n :client_id * :share + :i % :share\n\
             \\set g :i / :share\n\
             {};\n",
            script.statement
        );
        fs::write(&file, text)?;
        Ok(Self {
            server,
            database,
            _folder: folder,
            file,
            constants: script.constants.clone(),
        })
    }

    pub(crate) fn run(&self, clients: usize, share: i64, amount: Amount) -> Outcome<Done> {
        let mut command = Command::new(self.server.program("pgbench"));
        command
            .arg("--host")
            .arg(self.server.socket_folder())
            .args([
                "--username",
                "postgres",
                "--no-vacuum",
                "--protocol",
                "prepared",
            ])
            .args(["--client", &clients.to_string()])
            .args(["--jobs", &clients.min(2).to_string()])
            .arg("--file")
            .arg(&self.file)
            .args(["--define", "i=-1", "--define", &format!("share={share}")]);
        for (name, value) in &self.constants {
            command.arg("--define").arg(format!("{name}={value}"));
        }
        match amount {
            Amount::For(time) => command.args(["--time", &time.as_secs().max(1).to_string()]),
            Amount::Times(times) => command.args(["--transactions", &times.to_string()]),
        };
        let done = command.arg(self.database).output().map_err(|error| {
            format!("pgbench of PostgreSQL's server package is missing: {error}")
        })?;
        let said = String::from_utf8_lossy(&done.stdout);
        let failed = || {
            let complained = String::from_utf8_lossy(&done.stderr);
            format!("pgbench failed: {said}{complained}")
        };
        if !done.status.success() {
            return Err(failed().into());
        }
        let told = |before: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(before))?;
            line.split([' ', '/']).next().map(str::to_owned)
        };
        let transactions = told("number of transactions actually processed: ");
        let rate = told("tps = ");
        let (Some(transactions), Some(rate)) = (transactions, rate) else {
            return Err(failed().into());
        };
        Ok(Done {
            transactions: transactions.parse()?,
            sample: Sample::of_rate(rate.parse()?),
        })
    }
}
