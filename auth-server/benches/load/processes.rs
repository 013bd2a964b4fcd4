//! What processes cost: their processor time and their memory, as Linux tells.

use std::fs;
use std::time::Duration;

/// Linux counts processor time in hundredths of a second, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processes that are measured together; none, where nothing is to be measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes(Vec<u32>);

impl Processes {
    pub(crate) fn one(id: u32) -> Self {
        Self(vec![id])
    }

    /// A process and all that it has started.
    pub(crate) fn tree(root: u32) -> Self {
        let mut ids = vec![root];
        let mut next = 0;
        while let Some(&id) = ids.get(next) {
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
            let children = children.unwrap_or_default();
            ids.extend(
                children
                    .split_whitespace()
                    .filter_map(|id| id.parse::<u32>().ok()),
            );
            next += 1;
        }
        Self(ids)
    }

    pub(crate) fn add(&mut self, others: &Self) {
        self.0.extend(&others.0);
    }

    /// The processor time that they have used.
    pub(crate) fn busy(&self) -> Option<Duration> {
        if self.0.is_empty() {
            return None;
        }
        let times = self.0.iter().map(|id| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The second field, a name, may hold anything; the last parenthesis ends it.
            let (_, fields) = stat.rsplit_once(')')?;
            let mut fields = fields.split_whitespace().skip(11);
            let user: f64 = fields.next()?.parse().ok()?;
            let system: f64 = fields.next()?.parse().ok()?;
            Some((user + system) / TICKS_PER_SECOND)
        });
        times.sum::<Option<f64>>().map(Duration::from_secs_f64)
    }

    /// The memory that they hold, in MiB; what they share counts once.
    pub(crate) fn memory(&self) -> Option<f64> {
        self.sum("smaps_rollup", "Pss:")
    }

    /// The most memory that each has held, in MiB.
    pub(crate) fn peak_memory(&self) -> Option<f64> {
        self.sum("status", "VmHWM:")
    }

    fn sum(&self, file: &str, field: &str) -> Option<f64> {
        let sizes = self.0.iter().map(|id| {
            let text = fs::read_to_string(format!("/proc/{id}/{file}")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix(field))?;
            let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
            Some(kib / 1024.0)
        });
        sizes.sum()
    }
}
