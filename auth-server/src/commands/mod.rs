//! The commands.

mod check;
mod create_superuser;
mod events;
mod explain;
mod first_start;
mod keys;
mod mails;
mod migrate;
mod new_password;
mod reload;
mod serve;
mod sessions;
mod time;
mod user_lookup;
mod users;

use crate::cli::{Cli, Command, Serve};
use crate::config::{Config, Needs};
use crate::error::CommandError;
use crate::output::say;
use crate::telemetry;

/// Does what the command line says.
///
/// # Errors
///
/// [`CommandError`] tells the operator what is wrong.
pub async fn run(cli: Cli) -> Result<(), CommandError> {
    let needs = match &cli.command {
        None
        | Some(
            Command::Serve(_)
            | Command::Check
            | Command::CreateSuperuser(_)
            | Command::Users(_)
            | Command::Sessions(_),
        ) => Needs::Node,
        Some(
            Command::Migrate
            | Command::Keys(_)
            | Command::Mails(_)
            | Command::Events(_)
            | Command::Explain(_)
            | Command::OpenApi,
        ) => Needs::Part,
    };
    let config = Config::load_for(needs, &cli.settings, environment())?;
    telemetry::start(&config.log);
    match cli.command {
        None => serve::run(config, cli.serve, cli.settings).await,
        Some(Command::Serve(flags)) => {
            let migrate = flags.migrate || cli.serve.migrate;
            serve::run(config, Serve { migrate }, cli.settings).await
        }
        Some(Command::Migrate) => migrate::run(&config).await,
        Some(Command::CreateSuperuser(flags)) => create_superuser::run(&config, flags).await,
        Some(Command::Users(command)) => users::run(&config, command).await,
        Some(Command::Sessions(command)) => sessions::run(&config, command).await,
        Some(Command::Keys(command)) => keys::run(&config, command),
        Some(Command::Mails(command)) => mails::run(&config, command).await,
        Some(Command::Check) => check::run(&config).await,
        Some(Command::Events(flags)) => events::run(&config, flags).await,
        Some(Command::Explain(flags)) => explain::run(&config, &flags).await,
        Some(Command::OpenApi) => {
            say(auth_tower::api::openapi::document())?;
            Ok(())
        }
    }
}

/// The variables, with a sign in place of what is no text: a setting that has it is refused.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| {
        (
            name.to_string_lossy().into_owned(),
            value.to_string_lossy().into_owned(),
        )
    })
}
