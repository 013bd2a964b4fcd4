//! `auth-server`

use std::process::ExitCode;

use auth_server::telemetry::{self, FlushAtEnd};
use auth_server::{cli::Cli, commands, output};

#[tokio::main]
async fn main() -> ExitCode {
    let _flush = FlushAtEnd;
    match commands::run(Cli::read()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_of_the_reader() => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::announce(format_args!("auth-server: {}", output::causes(&error)));
            ExitCode::FAILURE
        }
    }
}
