//! How transactions end.

use super::stored::Change;

/// What to do with a transaction whose statements all succeeded.
#[derive(Clone, Copy, Debug)]
pub(super) enum End<T> {
    Commit(T),
    RollBack(T),
}

/// Only a change that was made is committed.
impl From<Change> for End<Change> {
    fn from(change: Change) -> Self {
        match change {
            Change::Done(_) => Self::Commit(change),
            Change::NoSuchUser | Change::LastSuperuser | Change::EmailReserved => {
                Self::RollBack(change)
            }
        }
    }
}
