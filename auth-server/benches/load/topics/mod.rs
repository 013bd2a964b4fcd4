//! What is measured: a file for each topic.

mod growth;
mod isolation;
mod login;
mod logout;
mod mix;
mod nodes;
mod protected;
mod refresh;
mod register;
mod resources;
mod sqlite;

use std::cell::RefCell;

use auth_core::testing::postgres::TemporaryServer;
use clap::ValueEnum;

use crate::Outcome;
use crate::contest::Contest;
use crate::django::{Django, DjangoServer};
use crate::effort::Effort;
use crate::generator::{self, Plan, Script};
use crate::report::Section;
use crate::site::Site;

/// The name of our server in the tables.
const OURS: &str = "auth-server";

/// The name of our database on the common PostgreSQL.
const DATABASE: &str = "auth";

/// What is measured side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Topic {
    /// Memory, and how soon a server answers.
    Resources,
    /// Requests with an access token, and forged refresh tokens.
    Protected,
    /// Logins beside a plain loop of Argon2, and Django.
    Login,
    /// Refreshes beside pgbench and Django.
    Refresh,
    /// Refreshes with rotation, beside pgbench and Django.
    Rotation,
    /// Logouts beside pgbench and Django.
    Logout,
    /// Registrations, beside Django.
    Register,
    /// Of everything something.
    Mix,
    /// What a flood of logins does to others.
    Isolation,
    /// One node beside two.
    Nodes,
    /// The embedded database, beside SQLite alone.
    Sqlite,
    /// Many sessions beside few, and what a million rotations leave behind.
    Growth,
}

impl Topic {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied()
    }

    pub(crate) fn measure(self, world: &World) -> Outcome<Section> {
        match self {
            Self::Resources => resources::measure(world),
            Self::Protected => protected::measure(world),
            Self::Login => login::measure(world),
            Self::Refresh => refresh::without_rotation(world),
            Self::Rotation => refresh::with_rotation(world),
            Self::Logout => logout::measure(world),
            Self::Register => register::measure(world),
            Self::Mix => mix::measure(world),
            Self::Isolation => isolation::measure(world),
            Self::Nodes => nodes::measure(world),
            Self::Sqlite => sqlite::measure(world),
            Self::Growth => growth::measure(world),
        }
    }
}

/// What the topics share: one PostgreSQL with our database, and Django on the same.
pub(crate) struct World {
    pub(crate) effort: Effort,
    pub(crate) site: RefCell<Site>,
    pub(crate) django: Option<Django>,
    // Stopped last.
    pub(crate) postgres: TemporaryServer,
}

impl World {
    /// Starts PostgreSQL with its defaults: a commit waits for the disk.
    pub(crate) fn create(effort: Effort, with_django: bool) -> Outcome<Self> {
        // The log shall be easy to read; nothing is written to it while something is measured.
        let postgres = TemporaryServer::start(&["log_line_prefix="])?;
        let site = Site::create(&postgres, DATABASE, effort.users)?;
        let django = with_django
            .then(|| Django::install(&postgres))
            .transpose()?;
        Ok(Self {
            effort,
            site: RefCell::new(site),
            django,
            postgres,
        })
    }

    /// Starts Django with these variables, unless it is left out.
    fn serve_django(&self, variables: &[(&str, &str)]) -> Outcome<Option<DjangoServer<'_>>> {
        let django = self.django.as_ref();
        django.map(|django| django.serve(variables)).transpose()
    }
}

/// Enters a server that answers so many connections, each with a script of its own.
fn enter<'a, S: Script + 'static>(
    contest: &mut Contest<'a>,
    name: &str,
    connections: usize,
    plan: &Plan,
    mut script: impl FnMut(usize) -> Outcome<S> + 'a,
) {
    let plan = plan.clone();
    contest.enter(name, Some(connections), move || {
        let scripts =
            (0..connections).map(|number| Ok(Box::new(script(number)?) as Box<dyn Script>));
        generator::run(&plan, scripts.collect::<Outcome<_>>()?)
    });
}
