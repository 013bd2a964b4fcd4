//! The log: text on a terminal, else a JSON object a line; to standard error.
//!
//! Everything that goes to standard error goes through one queue, written by one
//! thread: nothing else waits for whoever reads it.

mod json;
mod lines;
mod queue;

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write, stderr};
use std::panic;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use json::JsonLine;
use queue::Queue;

/// The metric that counts the lines which nobody could read.
pub(crate) const DROPPED_LINES: &str = "auth_log_lines_dropped_total";

/// How long the end of the process waits for a log that nobody reads.
const LONGEST_FLUSH: Duration = Duration::from_secs(1);

static QUEUE: LazyLock<Arc<Queue>> = LazyLock::new(|| {
    let queue = Arc::new(Queue::default());
    let lines = Arc::clone(&queue);
    let is_json = !stderr().is_terminal();
    // Without the thread no line is ever read: the process serves all the same.
    let _ = thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || lines.write_to(stderr(), |dropped| report(dropped, is_json)));
    queue
});

/// Starts the log, and lets panics be told there.
pub(crate) fn start(filter: &str) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        // Colours would be control characters among those that are not ours.
        .with_ansi(false)
        // They would go to standard error, past the queue.
        .log_internal_errors(false)
        .with_writer(|| Events(|line| QUEUE.push(line)));
    // A second start in one process keeps the first log, which is what a test wants.
    if stderr().is_terminal() {
        let _ = builder.try_init();
    } else {
        let builder = builder.fmt_fields(JsonFields::new());
        let _ = builder.event_format(JsonLine).try_init();
    }
    panic::set_hook(Box::new(log_panic));
}

/// Writes a line to standard error that has the same form in every log.
pub fn announce(line: impl Display) {
    QUEUE.push(format!("{line}\n").into_bytes());
}

/// Waits, when it is dropped, until the log is written; not long, since nobody may read it.
#[derive(Debug)]
pub struct FlushAtEnd;

impl Drop for FlushAtEnd {
    fn drop(&mut self) {
        QUEUE.flush(LONGEST_FLUSH);
    }
}

/// How many lines of the log were dropped since the start.
pub(crate) fn dropped_lines() -> u64 {
    QUEUE.dropped()
}

fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let reason = panic.payload_as_str().unwrap_or("unknown");
    tracing::error!(place, reason, "a panic");
}

/// The line that stands where others are missing. It is no event: those go through the queue.
fn report(dropped: u64, is_json: bool) -> String {
    const MESSAGE: &str =
        "lines of the log were dropped: it could not be written, or was not read fast enough";
    let (at, level, target) = (timestamp(), "WARN", module_path!());
    if is_json {
        let line = json!({
            "timestamp": at, "level": level, "message": MESSAGE, "dropped": dropped, "target": target,
        });
        return format!("{line}\n");
    }
    format!("{at}  {level} {target}: {MESSAGE} dropped={dropped}\n")
}

fn timestamp() -> String {
    let mut timestamp = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    timestamp
}

/// Hands each event on as one line; an event comes in one piece.
struct Events<F>(F);

impl<F: FnMut(Vec<u8>)> Write for Events<F> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        (self.0)(lines::line(event));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;

    use super::*;

    fn logged(json: bool, event: impl FnOnce()) -> Vec<String> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&written);
        let builder = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || {
                let lines = Arc::clone(&lines);
                Events(move |line| lines.lock().unwrap().push(String::from_utf8(line).unwrap()))
            });
        if json {
            let builder = builder.fmt_fields(JsonFields::new());
            with_default(builder.event_format(JsonLine).finish(), event);
        } else {
            with_default(builder.finish(), event);
        }
        let lines = written.lock().unwrap();
        lines
            .iter()
            .map(|line| line.strip_suffix('\n').unwrap().to_owned())
            .collect()
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Repeating);

    /// Tells its cause itself, as many do.
    #[derive(Debug, thiserror::Error)]
    #[error("middle: {0}")]
    struct Repeating(#[source] io::Error);

    #[test]
    fn fault_d3_an_error_comes_with_all_its_causes_once_and_the_request_once() {
        let lines = logged(true, || {
            let request = tracing::info_span!("request", id = "7", client = tracing::field::Empty);
            let error = Outer(Repeating(io::Error::other("inner")));
            let error = &error as &dyn std::error::Error;
            request.in_scope(|| tracing::error!(error, code = 500, late = true, "failed"));
        });
        let [line] = lines.as_slice() else {
            panic!("not one line: {lines:?}")
        };
        let mut event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event["timestamp"].take().is_string());
        let expected = json!({
            "timestamp": null, "level": "ERROR", "message": "failed", "error": "outer: middle: inner",
            "code": 500, "late": true, "target": module_path!(),
            "span": {"name": "request", "id": "7"},
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn s14_3_text_from_outside_is_escaped_in_both_forms() {
        let hostile = "a\r\n\0\u{1b}[31m\u{85}\u{9b}31m\u{2028}\u{202e}\u{2066}\u{feff}é";
        for json in [true, false] {
            let lines = logged(json, || {
                tracing::info!(field = hostile, shown = %hostile, "message {hostile}");
            });
            let [line] = lines.as_slice() else {
                panic!("not one line: {lines:?}")
            };
            let shown = |c: char| c == 'é' || (' '..='~').contains(&c);
            assert!(line.chars().all(shown), "{line:?}");
            if json {
                let event: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(event["field"], hostile);
                assert_eq!(event["shown"], hostile);
            }
        }
    }

    #[test]
    fn s12_5_a_panic_is_logged_once_in_one_line() {
        let lines = logged(true, || {
            let usual = panic::take_hook();
            panic::set_hook(Box::new(log_panic));
            let caught = catch_unwind(|| panic!("first\nsecond"));
            panic::set_hook(usual);
            assert!(caught.is_err());
        });
        let [line] = lines.as_slice() else {
            panic!("not one line: {lines:?}")
        };
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["reason"], "first\nsecond");
        assert!(event["place"].as_str().unwrap().contains("telemetry"));
    }
}
