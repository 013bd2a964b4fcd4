//! `auth-server createsuperuser`

use auth_core::{Bootstrap, Registration};

use super::new_password;
use crate::cli::CreateSuperuser;
use crate::config::{Config, Database};
use crate::error::CommandError;
use crate::node::{self, NodeStore};
use crate::output::say;

pub(super) async fn run(config: &Config, flags: CreateSuperuser) -> Result<(), CommandError> {
    let store = NodeStore::open(config).await?;
    match config.database {
        Database::Sqlite(_) => store.migrate().await?,
        Database::Postgres(_) => store.require_migrated().await?,
    }
    let password = new_password::read(flags.noinput, "AUTH_SUPERUSER_PASSWORD")?;
    let engine = node::operator_engine(config, &store).await?;
    let bootstrap = if flags.force {
        Bootstrap::AnySuperuser
    } else {
        Bootstrap::FirstSuperuser
    };
    let registration = Registration::new(&flags.username, password, &flags.email);
    match engine.create_superuser(registration, bootstrap).await? {
        Some(_) => {
            say(format_args!(
                "superuser created: {}",
                flags.username.escape_debug()
            ))?;
            Ok(())
        }
        None => Err(CommandError::SuperuserExists),
    }
}
