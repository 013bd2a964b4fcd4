use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use super::client::{Client, Subject};

/// How many networks are known at most.
const SLOTS: usize = 32 * 1024;

/// Networks from which somebody has logged in or refreshed a session, as far as this process remembers.
///
/// Each has one slot, which another takes over by chance: a network that is forgotten shares the budgets'
/// tables with strangers until somebody there logs in or refreshes again.
pub(super) struct KnownNetworks {
    /// Zeros that the operating system gives out: what nobody uses takes no memory.
    slots: Mutex<Vec<u32>>,
    hasher: RandomState,
}

impl KnownNetworks {
    pub(super) fn new() -> Self {
        Self {
            slots: Mutex::new(vec![0; SLOTS]),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn add(&self, client: Client) {
        let (index, mark) = self.slot(client.network());
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(index) {
            *slot = mark;
        }
    }

    pub(super) fn contains(&self, client: Client) -> bool {
        let (index, mark) = self.slot(client.network());
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(index) == Some(&mark)
    }

    /// The slot of a network, and what is in it if the network is known.
    fn slot(&self, network: Subject) -> (usize, u32) {
        let hash = self.hasher.hash_one(network);
        // Zero is an empty slot.
        (hash as usize % SLOTS, (hash >> 32) as u32 | 1)
    }
}

impl fmt::Debug for KnownNetworks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownNetworks").finish_non_exhaustive()
    }
}
