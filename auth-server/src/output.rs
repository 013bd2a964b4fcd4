//! What the commands tell the operator.

use std::error::Error;
use std::fmt::Display;
use std::io::{Write as _, stdout};

/// Writes a line to standard output; whoever closed it does not want it.
pub(crate) fn say(line: impl Display) {
    let mut stdout = stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// An error with its causes, in one line.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
