//! Commands that refuse.

use std::process::Command;
use std::time::{Duration, Instant};

/// How long one that cannot work may take to say so.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a command that must fail by itself, and gives what it said.
pub fn refusal(mut command: Command) -> String {
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it goes on: {:?}", child.wait_with_output().unwrap());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let said = child.wait_with_output().unwrap();
    assert!(!said.status.success(), "{said:?}");
    let said = [said.stdout, said.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}
