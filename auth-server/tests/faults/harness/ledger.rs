//! What was acknowledged, and what of it a fresh connection finds when the dust has settled.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use uuid::Uuid;

use super::database::Database;

/// A kind of act whose acknowledgement is a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Logout,
    Registration,
    PasswordReset,
    PasswordChange,
    RoleChange,
    RevocationOfAll,
    Rotation,
}

/// An acknowledged act, as the database must know it.
#[derive(Clone, Debug)]
pub enum Act {
    Logout {
        session: Uuid,
        token: String,
    },
    Registration {
        username: String,
    },
    PasswordReset {
        user: Uuid,
    },
    PasswordChange {
        user: Uuid,
    },
    RoleChange {
        user: Uuid,
        role: String,
    },
    RevocationOfAll {
        user: Uuid,
    },
    Rotation {
        session: Uuid,
        generation: i32,
        newest: String,
    },
}

impl Act {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Logout { .. } => Kind::Logout,
            Self::Registration { .. } => Kind::Registration,
            Self::PasswordReset { .. } => Kind::PasswordReset,
            Self::PasswordChange { .. } => Kind::PasswordChange,
            Self::RoleChange { .. } => Kind::RoleChange,
            Self::RevocationOfAll { .. } => Kind::RevocationOfAll,
            Self::Rotation { .. } => Kind::Rotation,
        }
    }
}

/// A position in PostgreSQL's write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

impl Position {
    /// Reads the form that PostgreSQL prints: two hexadecimal numbers with a slash between them.
    pub fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let high = u64::from_str_radix(high, 16).ok()?;
        let low = u64::from_str_radix(low, 16).ok()?;
        Some(Self((high << 32) | low))
    }
}

/// An act and where the log stood when its acknowledgement had come: the act is at or before that.
#[derive(Clone, Debug)]
pub struct Entry {
    /// In the order of the acknowledgements.
    pub number: usize,
    pub act: Act,
    pub position: Option<Position>,
}

/// The clients' notes.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<Vec<Entry>>,
    /// Answers other than an acknowledgement, by kind and status; 0 where none came.
    refusals: Mutex<BTreeMap<(Kind, u16), usize>>,
}

impl Ledger {
    pub fn acknowledge(&self, act: Act, position: Option<Position>) {
        let mut entries = self.entries.lock().unwrap();
        let number = entries.len();
        entries.push(Entry {
            number,
            act,
            position,
        });
    }

    pub fn refuse(&self, kind: Kind, status: u16) {
        let mut refusals = self.refusals.lock().unwrap();
        *refusals.entry((kind, status)).or_default() += 1;
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    pub fn len(&self) -> usize {
        self.entries.lock().unwrap().len()
    }

    pub fn refusals(&self) -> BTreeMap<(Kind, u16), usize> {
        self.refusals.lock().unwrap().clone()
    }

    /// Looks up, on a connection of its own, everything that was acknowledged after the first
    /// `skipped` entries.
    pub async fn settle(&self, url: &str, skipped: usize) -> Balance {
        let mut database = Database::connect(url).await;
        let mut balance = Balance {
            refusals: self.refusals(),
            ..Balance::default()
        };
        for entry in self.entries().into_iter().skip(skipped) {
            let is_found = database.has(&entry.act).await;
            let line = balance.lines.entry(entry.act.kind()).or_default();
            line.acknowledged += 1;
            if is_found {
                line.found += 1;
            } else {
                balance.lost.push(entry);
            }
        }
        balance
    }
}

/// A line of the balance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    pub acknowledged: usize,
    pub found: usize,
}

/// What was acknowledged, found and lost.
#[derive(Debug, Default)]
pub struct Balance {
    pub lines: BTreeMap<Kind, Line>,
    pub lost: Vec<Entry>,
    pub refusals: BTreeMap<(Kind, u16), usize>,
}

impl Balance {
    /// Takes out of what is lost the acts that the old primary committed later than this position,
    /// or may have committed later; gives how many those are. The old primary's are the entries
    /// before the given number.
    pub fn forgive_after(&mut self, cut: Position, before: usize) -> usize {
        let all = self.lost.len();
        self.lost.retain(|entry| {
            let is_kept = entry.position.is_some_and(|position| position <= cut);
            entry.number >= before || is_kept
        });
        all - self.lost.len()
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18}{:>14}{:>10}{:>8}",
            "kind", "acknowledged", "found", "lost"
        )?;
        for (kind, line) in &self.lines {
            let (kind, lost) = (format!("{kind:?}"), line.acknowledged - line.found);
            writeln!(
                f,
                "{kind:<18}{:>14}{:>10}{lost:>8}",
                line.acknowledged, line.found
            )?;
        }
        for ((kind, status), count) in &self.refusals {
            writeln!(f, "{count} of kind {kind:?} were answered {status}")?;
        }
        Ok(())
    }
}
