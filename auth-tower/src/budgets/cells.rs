use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

use auth_core::ClientNetwork;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};

/// How many cells of eight bytes a budget has.
const CELLS: usize = 8 * 1024;

/// A table that never grows and never forgets.
///
/// A map would have to evict when it is full, and who has enough addresses could then choose whose
/// count is lost. Here a full table refuses too much instead of too little.
pub(super) struct Cells {
    cells: Box<[InMemoryState]>,
    /// Random, so that nobody can look for networks that share a cell with another's.
    hasher: RandomState,
}

impl Cells {
    pub(super) fn new() -> Self {
        Self {
            cells: (0..CELLS).map(|_| InMemoryState::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.cells)
    }
}

impl StateStore for Cells {
    type Key = ClientNetwork;

    fn measure_and_replace<T, F, E>(&self, client: &ClientNetwork, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let index = self.hasher.hash_one(client) as usize % CELLS;
        let cell = self.cells.get(index);
        cell.expect("a remainder is less than the divisor")
            .measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

impl fmt::Debug for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cells").finish_non_exhaustive()
    }
}
