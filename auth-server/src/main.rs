//! `auth-server`

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use auth_server::{cli::Cli, commands, output};

#[tokio::main]
async fn main() -> ExitCode {
    match commands::run(Cli::read()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "auth-server: {}", output::causes(&error));
            ExitCode::FAILURE
        }
    }
}
