//! What the README and the book say first, word for word.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use crate::support::Embedded;

/// The commands between two places of a page, and the lines that they are said to print.
fn session<'p>(page: &'p str, from: &str, to: &str) -> (Vec<&'p str>, Vec<&'p str>) {
    let (_, steps) = page.split_once(from).unwrap();
    let (steps, _) = steps.split_once(to).unwrap();
    let mut commands = Vec::new();
    let mut printed = Vec::new();
    for block in steps.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        for line in block.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push(command),
                None if line.starts_with(' ') => commands.push(line),
                None if line.is_empty() => {}
                None => printed.push(line),
            }
        }
    }
    (commands, printed)
}

#[test]
fn the_first_steps_do_what_the_book_says() {
    let page = include_str!("../../../docs/getting-started.md");
    assert_prints(session(page, "## Log in", "That is the whole"));
}

#[test]
fn fault_e1_the_four_endpoints_do_what_the_readme_says() {
    let page = include_str!("../../../README.md");
    assert_prints(session(page, "## The four endpoints", "All requests"));
}

fn assert_prints((commands, printed): (Vec<&str>, Vec<&str>)) {
    assert!(commands.len() > 6 && printed.len() > 3, "{commands:?}");
    let embedded = Embedded::start(&[]);
    let script = commands
        .join("\n")
        .replace("the printed password", &embedded.password)
        .replace("http://127.0.0.1:8000", &embedded.server.url(""));
    let output = Command::new("sh").args(["-euc", &script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    // `curl -s` ends its output without a line break.
    let mut rest = text.as_str();
    for line in printed {
        for piece in line.split('…') {
            let at = rest.find(piece);
            let at = at.unwrap_or_else(|| panic!("{piece} is missing in {text}"));
            rest = rest.get(at + piece.len()..).unwrap();
        }
    }
}
