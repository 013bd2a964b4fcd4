//! What the field does to a running server: clients that hang up, databases that fail over, stop,
//! fill up or fall silent. `docs/faults.md` tells of the parts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod connections;
mod disk;
mod harness;
mod logs;
mod machines;
mod passwords;
mod poolers;
mod storms;
#[path = "../support/mod.rs"]
mod support;
mod tables;
