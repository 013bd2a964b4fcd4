//! `auth-server`

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use auth_server::{cli::Cli, commands, output};
use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    match commands::run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "auth-server: {}", output::causes(&error));
            ExitCode::FAILURE
        }
    }
}
