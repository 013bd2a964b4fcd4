//! What a line of the log may hold.

use std::fmt::Write as _;

/// Makes one line of an event, that shows what it holds.
///
/// `tracing-subscriber` escapes some of what comes from outside, in each form and kind of field
/// something else. Here goes what ends a line, runs a terminal, or turns or hides text.
pub(super) fn line(event: &[u8]) -> Vec<u8> {
    let line = event.strip_suffix(b"\n").unwrap_or(event);
    if line.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return event.to_vec();
    }
    let mut escaped = String::with_capacity(event.len());
    for c in String::from_utf8_lossy(line).chars() {
        if misleads(c) {
            // Also the form of JSON, in which these stand in strings only.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped.push('\n');
    escaped.into_bytes()
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
