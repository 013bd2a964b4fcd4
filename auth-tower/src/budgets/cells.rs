use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;

use super::client::Subject;

/// How many rows a table has; a subject has one cell in each.
const ROWS: usize = 4;

/// A table that never grows and never forgets: a count-min sketch.
///
/// A map would have to evict when it is full, and a client with enough addresses could then choose whose
/// count is lost. Here a subject counts in one cell of each row, and the least of them decides: two subjects
/// must share all cells to share a budget, and a full table refuses too much instead of too little.
///
/// Clones are the same table.
#[derive(Clone)]
pub(super) struct Cells(Arc<Table>);

struct Table {
    /// Row after row. Zeros that the operating system gives out: what nobody counts in takes no memory.
    cells: Mutex<Vec<u64>>,
    per_row: usize,
    /// Random, so that nobody can look for networks that share cells with another's.
    hasher: RandomState,
}

/// What a budget is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Access {
    /// Whether there is anything left; nothing is spent.
    Look(Subject),
    /// To spend one request.
    Spend(Subject),
}

impl Cells {
    /// Makes a table with this many cells of eight bytes in each of its four rows, 65,536 at most.
    pub(super) fn new(per_row: usize) -> Self {
        Self(Arc::new(Table {
            cells: Mutex::new(vec![0; ROWS * per_row]),
            per_row,
            hasher: RandomState::new(),
        }))
    }

    /// Takes over what a subject has spent in another table.
    pub(super) fn take_over(&self, other: &Self, subject: Subject) {
        let spent = least(&other.0.lock(), other.0.of(subject));
        raise(&mut self.0.lock(), self.0.of(subject), spent);
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&**self.0.lock())
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Vec<u64>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the cells of a subject are: sixteen bits of one hash choose each.
    fn of(&self, subject: Subject) -> [usize; ROWS] {
        let hash = self.hasher.hash_one(subject);
        std::array::from_fn(|row| {
            let bits = (hash >> (16 * row)) & 0xFFFF;
            row * self.per_row + bits as usize % self.per_row
        })
    }
}

impl StateStore for Cells {
    type Key = Access;

    fn measure_and_replace<T, F, E>(&self, access: &Access, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (subject, spends) = match *access {
            Access::Look(subject) => (subject, false),
            Access::Spend(subject) => (subject, true),
        };
        let own = self.0.of(subject);
        let mut cells = self.0.lock();
        let spent = NonZeroU64::new(least(&cells, own)).map(|it| Nanos::new(it.get()));
        let (result, next) = decide(spent)?;
        if spends {
            raise(&mut cells, own, next.as_u64());
        }
        Ok(result)
    }
}

/// What a subject has spent at most: others may have spent the rest.
fn least(cells: &[u64], own: [usize; ROWS]) -> u64 {
    let own = own.into_iter().filter_map(|index| cells.get(index));
    own.min().copied().unwrap_or_default()
}

/// Raises the cells of a subject; where others have spent more, that stays.
fn raise(cells: &mut [u64], own: [usize; ROWS], spent: u64) {
    for index in own {
        if let Some(cell) = cells.get_mut(index) {
            *cell = spent.max(*cell);
        }
    }
}

impl fmt::Debug for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cells").finish_non_exhaustive()
    }
}
