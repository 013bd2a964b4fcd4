//! Rows looked up by their ids, many in one statement.

use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection, PgPool};
use uuid::Uuid;

use super::{ACQUIRE_TIMEOUT, ACT_TIMEOUT};
use crate::store::batch::Limits;

/// As many as the statement has parameters. An array instead would be planned anew each time, since
/// PostgreSQL takes an array of unknown length to be long: that costs twice as much as the read.
const MOST: usize = 8;

/// The same statement for one id and for several.
#[derive(Clone, Copy)]
pub(super) struct Lookup {
    pub(super) one: &'static str,
    pub(super) some: &'static str,
}

/// Makes a [`Lookup`] of the columns and tables, and of the column with the id.
macro_rules! lookup {
    ($select:expr, $id:literal) => {
        $crate::store::postgres::lookup::Lookup {
            one: concat!($select, " WHERE ", $id, " = $1"),
            some: concat!(
                $select,
                " WHERE ",
                $id,
                " IN ($1, $2, $3, $4, $5, $6, $7, $8)"
            ),
        }
    };
}
pub(super) use lookup;

/// Of each kind a quarter of the pool's connections at once, which leaves half to everything else.
pub(super) fn limits(pool: &PgPool) -> Limits {
    let connections = usize::try_from(pool.options().get_max_connections()).unwrap_or(usize::MAX);
    Limits {
        statements: (connections / 4).max(1),
        calls: MOST,
        statement: ACT_TIMEOUT,
        queue: ACQUIRE_TIMEOUT,
    }
}

impl Lookup {
    /// Finds the rows of at most [`MOST`] ids, in any order.
    pub(super) async fn find(
        self,
        connection: &mut PgConnection,
        ids: impl ExactSizeIterator<Item = Uuid> + Clone,
    ) -> Result<Vec<PgRow>, Error> {
        let statement = match ids.len() {
            1 => ids.fold(sqlx::query(self.one), |statement, id| statement.bind(id)),
            // Unused parameters repeat an id, which costs nothing.
            _ => {
                let places = ids.cycle().take(MOST);
                places.fold(sqlx::query(self.some), |statement, id| statement.bind(id))
            }
        };
        statement.fetch_all(connection).await
    }
}
