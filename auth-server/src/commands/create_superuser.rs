//! `auth-server createsuperuser`

use auth_core::{Bootstrap, Password, Registration};

use crate::cli::CreateSuperuser;
use crate::config::{Config, Database};
use crate::error::CommandError;
use crate::node::{self, NodeKeys, NodeStore};
use crate::output::say;

const VARIABLE: &str = "AUTH_SUPERUSER_PASSWORD";

pub(super) async fn run(config: &Config, flags: CreateSuperuser) -> Result<(), CommandError> {
    let store = NodeStore::open(config).await?;
    match config.database {
        Database::Sqlite(_) => store.migrate().await?,
        Database::Postgres(_) => store.require_migrated().await?,
    }
    let password = if flags.noinput {
        password_of_environment()?
    } else {
        ask_for_password()?
    };
    let public_url = config
        .public_url
        .as_deref()
        .unwrap_or("http://127.0.0.1:8000");
    let engine = node::engine(config, &store, NodeKeys::load(config)?, public_url)?;
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
            ));
            Ok(())
        }
        None => Err(CommandError::SuperuserExists),
    }
}

fn password_of_environment() -> Result<Password, CommandError> {
    std::env::var(VARIABLE)
        .map(Password::new)
        .map_err(|_| CommandError::Password("AUTH_SUPERUSER_PASSWORD: must be set with --noinput"))
}

fn ask_for_password() -> Result<Password, CommandError> {
    let ask = |prompt| rpassword::prompt_password(prompt).map(Password::new);
    let password = ask("Password: ").map_err(CommandError::Terminal)?;
    let again = ask("Password, again: ").map_err(CommandError::Terminal)?;
    if bool::from(subtle::ConstantTimeEq::ct_eq(
        password.expose().as_bytes(),
        again.expose().as_bytes(),
    )) {
        Ok(password)
    } else {
        Err(CommandError::Password("the two passwords differ"))
    }
}
