//! What may happen to a session.

use std::time::Duration;

use proptest::prelude::*;

/// The client that logs in; it never has two refreshes under way. The others hold copies.
pub(crate) const HONEST: usize = 0;
pub(crate) const CLIENTS: usize = 3;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// A client sends its token; `key` is what it marks the try with.
    Refresh {
        client: usize,
        key: Option<u8>,
        /// Whether the client gets the answer.
        heard: bool,
    },
    /// One of those that wait, counted round and round, does its next call.
    Step(usize),
    /// All of those that wait come to their ends.
    Finish,
    /// A client copies the token of another.
    Copy { from: usize, to: usize },
    /// A client logs out.
    LogOut { client: usize },
    /// The database loses the last rotations of the client that logs in.
    Lose { rotations: usize },
    /// Time passes.
    Wait(Duration),
}

pub(crate) fn script() -> impl Strategy<Value = Vec<Act>> {
    let client = || prop_oneof![3 => Just(HONEST), 2 => 1..CLIENTS];
    let key = prop_oneof![2 => Just(None), 4 => Just(Some(0)), 1 => Just(Some(1))];
    let time = prop_oneof![
        12 => Just(60),
        8 => Just(9 * 60),
        9 => Just(11 * 60),
        9 => Just(65 * 60),
        2 => Just(6 * 3600),
        1 => Just(23 * 3600),
    ];
    let act = prop_oneof![
        10 => (client(), key, prop::bool::weighted(0.6))
            .prop_map(|(client, key, heard)| Act::Refresh { client, key, heard }),
        8 => any::<usize>().prop_map(Act::Step),
        4 => Just(Act::Finish),
        3 => (0..CLIENTS, 1..CLIENTS).prop_map(|(from, to)| Act::Copy { from, to }),
        1 => client().prop_map(|client| Act::LogOut { client }),
        1 => (1_usize..4).prop_map(|rotations| Act::Lose { rotations }),
        4 => time.prop_map(|seconds| Act::Wait(Duration::from_secs(seconds))),
    ];
    prop::collection::vec(act, 6..20)
}
