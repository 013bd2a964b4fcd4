//! What the commands tell the operator.

use std::error::Error;
use std::fmt::Display;
use std::io::{Write as _, stdout};

use crate::error::CommandError;

/// Writes a line to standard output.
pub(crate) fn say(line: impl Display) -> Result<(), CommandError> {
    let mut stdout = stdout().lock();
    let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    written.map_err(CommandError::Output)
}

/// An error with its causes, in one line; a cause that the error before it has told is not repeated.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_line = cause.to_string();
        if !line.ends_with(&cause_line) {
            line.push_str(": ");
            line.push_str(&cause_line);
        }
        source = cause.source();
    }
    without_source_line(line)
}

/// Of PostgreSQL's messages sqlx tells at which line of PostgreSQL's own source they were made,
/// which reads as a line of ours.
fn without_source_line(mut line: String) -> String {
    if let Some((message, number)) = line.rsplit_once(" at line ")
        && number.bytes().all(|byte| byte.is_ascii_digit())
    {
        line.truncate(message.len());
    }
    line
}
