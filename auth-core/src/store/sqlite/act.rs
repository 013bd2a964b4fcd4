//! Acts on the database: each runs to its end, within a limit, on a connection of its own.

use std::io::{self, ErrorKind};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, Error, Sqlite, SqliteConnection, SqlitePool};
use tokio::time::timeout;

use super::{SqliteStore, error};
use crate::store::StoreError;
use crate::store::run_to_end::run_to_end;
use crate::store::transaction::End;

/// How long an act may take once it has its connection.
pub(super) const ACT_TIMEOUT: Duration = Duration::from_secs(10);

/// An act under way.
type Running<'c, T> = Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'c>>;

/// What an act does on its connection, with its arguments.
type Act<A, T> = for<'c> fn(&'c mut SqliteConnection, &'c A) -> Running<'c, T>;

impl SqliteStore {
    /// Runs statements that change nothing, beside the writer.
    pub(super) async fn read<A, T>(&self, arguments: A, act: Act<A, T>) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let held = self.hold(&self.readers).await?;
        run_to_end(limited(state(held, arguments, act))).await
    }

    /// Runs one statement that commits by itself.
    pub(super) async fn write<A, T>(&self, arguments: A, act: Act<A, T>) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let held = self.hold(&self.writer).await?;
        run_to_end(limited(state(held, arguments, act))).await
    }

    /// Runs a transaction, which is opened and ended here. It is the only one that writes.
    pub(super) async fn transact<A, T>(
        &self,
        arguments: A,
        act: Act<A, End<T>>,
    ) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let held = self.hold(&self.writer).await?;
        run_to_end(limited(transact(held, arguments, act))).await
    }

    /// As [`transact`](Self::transact), but the commit does not wait for the disk: it may be lost
    /// if the machine fails (not if the process does) before the next commit that waits. Only for
    /// what can be replayed from elsewhere.
    pub(super) async fn transact_unflushed<A, T>(
        &self,
        arguments: A,
        act: Act<A, End<T>>,
    ) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let held = self.hold(&self.writer).await?;
        run_to_end(limited(transact_unflushed(held, arguments, act))).await
    }

    /// A caller that goes away while it waits for the connection leaves nothing behind.
    async fn hold(&self, pool: &SqlitePool) -> Result<Held, StoreError> {
        let connection = pool.acquire().await.map_err(error::store_error)?;
        Ok(Held {
            connection: Some(connection),
            is_replaceable: self.is_file,
        })
    }
}

async fn limited<T>(act: impl Future<Output = sqlx::Result<T>>) -> Result<T, StoreError> {
    let in_time = timeout(ACT_TIMEOUT, act).await;
    let late = || {
        Error::Io(io::Error::new(
            ErrorKind::TimedOut,
            "the database took too long",
        ))
    };
    in_time
        .unwrap_or_else(|_| Err(late()))
        .map_err(error::store_error)
}

async fn state<A, T>(mut held: Held, arguments: A, act: Act<A, T>) -> sqlx::Result<T> {
    let outcome = act(&mut held, &arguments).await;
    if outcome.as_ref().err().is_none_or(error::is_answer) {
        held.keep();
    }
    outcome
}

async fn transact<A, T>(mut held: Held, arguments: A, act: Act<A, End<T>>) -> sqlx::Result<T> {
    let (outcome, is_sound) = transaction(&mut held, BEGIN, &arguments, act).await;
    if is_sound {
        held.keep();
    }
    outcome
}

/// Before and afterwards the connection's commits wait for the disk; if that cannot be restored,
/// the connection is closed.
async fn transact_unflushed<A, T>(
    mut held: Held,
    arguments: A,
    act: Act<A, End<T>>,
) -> sqlx::Result<T> {
    let (outcome, is_sound) = transaction(&mut held, BEGIN_UNFLUSHED, &arguments, act).await;
    if is_sound && sqlx::raw_sql(FLUSHED).execute(&mut *held).await.is_ok() {
        held.keep();
    }
    outcome
}

/// There is one writer: who begins is going to write.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// In one message to the driver's thread. SQLite lets nobody change it within a transaction.
const BEGIN_UNFLUSHED: &str = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE";

/// As a connection is opened.
const FLUSHED: &str = "PRAGMA synchronous = FULL";

/// Also returns whether the connection is sound. SQLite ends some transactions by itself, such as
/// one that fills the disk, and the driver's count of them is then wrong for good.
async fn transaction<A, T>(
    connection: &mut SqliteConnection,
    begin: &'static str,
    arguments: &A,
    act: Act<A, End<T>>,
) -> (sqlx::Result<T>, bool) {
    let mut transaction = match connection.begin_with(begin).await {
        Ok(transaction) => transaction,
        Err(error) => {
            let is_sound = error::is_answer(&error);
            return (Err(error), is_sound);
        }
    };
    let (value, ended) = match act(&mut transaction, arguments).await {
        Ok(End::Commit(value)) => (value, transaction.commit().await),
        Ok(End::RollBack(value)) => (value, transaction.rollback().await),
        Err(error) => {
            let is_sound = error::is_answer(&error) && transaction.rollback().await.is_ok();
            return (Err(error), is_sound);
        }
    };
    let is_sound = ended.is_ok();
    (ended.map(|()| value), is_sound)
}

/// A connection, which is closed and replaced unless it is [kept](Self::keep): whoever is cut off
/// leaves it in a state that nobody knows, such as inside a transaction.
struct Held {
    /// `None` once it is kept.
    connection: Option<PoolConnection<Sqlite>>,
    /// A database in memory is gone with its connection.
    is_replaceable: bool,
}

impl Held {
    /// Gives the connection, on which nothing is under way, back to its pool.
    fn keep(mut self) {
        drop(self.connection.take());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && self.is_replaceable
        {
            drop(connection.detach());
        }
    }
}

impl Deref for Held {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.connection.as_ref().expect(UNTIL_KEPT)
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().expect(UNTIL_KEPT)
    }
}

const UNTIL_KEPT: &str = "the connection is there until it is kept, which takes what holds it";
