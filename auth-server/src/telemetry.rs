//! The log: text on a terminal, else a JSON object a line; to standard error.

use std::io::{self, IsTerminal as _, Write, stderr};
use std::panic;

use tracing_subscriber::EnvFilter;

use crate::error::CommandError;

/// Starts the log, and lets panics be told there.
///
/// # Errors
///
/// [`CommandError::LogFilter`] if the filter cannot be read.
pub(crate) fn start(filter: &str) -> Result<(), CommandError> {
    let filter = EnvFilter::try_new(filter).map_err(|_| CommandError::LogFilter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Colours would be control characters among those that are not ours.
        .with_ansi(false)
        .with_writer(|| Lines(stderr()));
    // A second start in one process keeps the first log, which is what a test wants.
    if stderr().is_terminal() {
        let _ = builder.try_init();
    } else {
        let _ = builder.json().flatten_event(true).try_init();
    }
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let reason = panic.payload_as_str().unwrap_or("unknown");
    tracing::error!(place, reason, "a panic");
}

/// Writes each event as one line that shows what it holds.
///
/// `tracing-subscriber` escapes some of what comes from outside, in each form and kind of field
/// something else. Here goes what ends a line, runs a terminal, or turns or hides text.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.write_all(event)?;
        Ok(event.len())
    }

    /// An event comes in one piece.
    fn write_all(&mut self, event: &[u8]) -> io::Result<()> {
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        if line.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return self.0.write_all(event);
        }
        let mut escaped = String::with_capacity(event.len());
        for c in String::from_utf8_lossy(line).chars() {
            if misleads(c) {
                // Also the form of JSON, in which these stand in strings only.
                escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                escaped.push(c);
            }
        }
        escaped.push('\n');
        self.0.write_all(escaped.as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Controls, line ends, and the invisible signs that join, part or turn text; all of them have
/// four hexadecimal digits.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    fn logged(json: bool, event: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let builder = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || Lines(writer.clone()));
        if json {
            with_default(builder.json().flatten_event(true).finish(), event);
        } else {
            with_default(builder.finish(), event);
        }
        written.lines()
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
        assert!(event["place"].as_str().unwrap().contains("telemetry.rs"));
    }
}
