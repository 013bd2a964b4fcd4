//! The log: text on a terminal, else a JSON object a line; to standard error.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

use crate::error::CommandError;

/// Starts the log.
///
/// # Errors
///
/// [`CommandError::LogFilter`] if the filter cannot be read.
pub(crate) fn start(filter: &str) -> Result<(), CommandError> {
    let filter = EnvFilter::try_new(filter).map_err(|_| CommandError::LogFilter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    // A second start in one process keeps the first log, which is what a test wants.
    if stderr().is_terminal() {
        let _ = builder.try_init();
    } else {
        let _ = builder.json().flatten_event(true).try_init();
    }
    Ok(())
}
