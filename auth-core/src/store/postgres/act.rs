//! Acts on the database: each runs to its end, within a limit, on a connection of its own.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, timeout_at};

use super::connection::Guarding;
use super::lease::Lease;
use super::{MAX_ATTEMPTS, PostgresStore, connection, error};
use crate::store::StoreError;
use crate::store::run_to_end::run_to_end;
use crate::store::transaction::End;

/// How long an act may take, from the call to the answer.
///
/// The database cancels a statement a second earlier, which
/// spares the connection. This limit ends what the database does not answer at all.
pub(super) const ACT_TIMEOUT: Duration = Duration::from_secs(10);

/// An act under way.
type Running<'c, T> = Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'c>>;

/// What an act does on its connection, with its arguments.
type Act<A, T> = for<'c> fn(&'c mut PgConnection, &'c A) -> Running<'c, T>;

/// Whether an act may run twice when its connection broke before the answer came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Replay {
    /// The second run changes nothing that the first has not.
    Safe,
    /// The second run would answer differently, or do something again.
    Unsafe,
}

/// How a transaction is isolated from others, whatever the database's default is.
#[derive(Clone, Copy)]
pub(super) enum Isolation {
    ReadCommitted,
    Serializable,
}

impl Isolation {
    /// The statements that open a transaction, in one message to the database.
    pub(super) const fn begin(self, guarding: Guarding) -> &'static str {
        match (self, guarding) {
            (Self::ReadCommitted, Guarding::Session) => begin!("READ COMMITTED"),
            (Self::ReadCommitted, Guarding::Transaction) => begin!("READ COMMITTED", guarded),
            (Self::ReadCommitted, Guarding::Pooler) => begin!("READ COMMITTED", pooled),
            (Self::Serializable, Guarding::Session) => begin!("SERIALIZABLE"),
            (Self::Serializable, Guarding::Transaction) => begin!("SERIALIZABLE", guarded),
            (Self::Serializable, Guarding::Pooler) => begin!("SERIALIZABLE", pooled),
        }
    }
}

/// Opens a transaction, guards it, and forgets the statements that others have prepared on a
/// connection that a pooler passes around: the driver gives the same names to other statements.
macro_rules! begin {
    ($isolation:literal) => {
        concat!("BEGIN ISOLATION LEVEL ", $isolation)
    };
    ($isolation:literal, guarded) => {
        concat!(begin!($isolation), "; ", connection::guard!("true"))
    };
    ($isolation:literal, pooled) => {
        concat!(begin!($isolation, guarded), "; DEALLOCATE ALL")
    };
}
use begin;

/// The form of an act on its connection.
enum Form<A, T> {
    /// A statement that changes nothing.
    Read(Act<A, T>),
    /// One statement, which commits by itself.
    Write(Act<A, T>),
    Transaction(Isolation, Act<A, End<T>>),
}

impl<A, T> Clone for Form<A, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, T> Copy for Form<A, T> {}

impl PostgresStore {
    /// Runs one statement that changes nothing.
    pub(super) async fn read<A, T>(&self, arguments: A, act: Act<A, T>) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.run(Replay::Safe, arguments, Form::Read(act)).await
    }

    /// Runs one statement that commits by itself.
    pub(super) async fn write<A, T>(
        &self,
        replay: Replay,
        arguments: A,
        act: Act<A, T>,
    ) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.run(replay, arguments, Form::Write(act)).await
    }

    /// Runs a transaction, which is opened and ended here. Each of its statements sees what was
    /// committed before it, such as the session of a login that held the lock on the user.
    pub(super) async fn transact<A, T>(
        &self,
        replay: Replay,
        arguments: A,
        act: Act<A, End<T>>,
    ) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let form = Form::Transaction(Isolation::ReadCommitted, act);
        self.run(replay, arguments, form).await
    }

    /// Runs a transaction as if there were no other while it runs.
    pub(super) async fn transact_serializable<A, T>(
        &self,
        replay: Replay,
        arguments: A,
        act: Act<A, End<T>>,
    ) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let form = Form::Transaction(Isolation::Serializable, act);
        self.run(replay, arguments, form).await
    }

    /// Attempts the act, again where that is right.
    ///
    /// A caller that goes away while it waits for a connection leaves nothing behind.
    async fn run<A, T>(
        &self,
        replay: Replay,
        arguments: A,
        form: Form<A, T>,
    ) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let arguments = Arc::new(arguments);
        let deadline = Instant::now() + ACT_TIMEOUT;
        let mut attempt = 1;
        let mut replayed = false;
        let mut renewed = false;
        loop {
            let lease = match self.leases.acquire(deadline).await {
                Ok(lease) => lease,
                Err(error) if !renewed && self.renews(&error) => {
                    renewed = true;
                    continue;
                }
                Err(error) => return Err(self.no_connection(error)),
            };
            let act = perform(form, lease, Arc::clone(&arguments), deadline);
            let error = match run_to_end(act).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let is_late = Instant::now() >= deadline;
            if error::is_broken(&error) {
                self.health.note_failure();
                if replay == Replay::Unsafe || replayed || is_late {
                    return Err(error::store_error(error));
                }
                replayed = true;
            } else if error::is_conflict(&error) && attempt < MAX_ATTEMPTS && !is_late {
                tokio::time::sleep(Duration::from_millis(1 << attempt)).await;
                attempt += 1;
            } else {
                return Err(error::store_error(error));
            }
        }
    }
}

async fn perform<A, T>(
    form: Form<A, T>,
    lease: Lease,
    arguments: Arc<A>,
    deadline: Instant,
) -> sqlx::Result<T> {
    let arguments = arguments.as_ref();
    let act = async {
        match (form, lease.guarding()) {
            (Form::Write(act), Guarding::Session)
            | (Form::Read(act), Guarding::Session | Guarding::Transaction) => {
                state(lease, arguments, act).await
            }
            (Form::Read(act) | Form::Write(act), Guarding::Transaction | Guarding::Pooler) => {
                let isolation = Isolation::ReadCommitted;
                transact(lease, isolation, arguments, act, End::Commit).await
            }
            (Form::Transaction(isolation, act), _) => {
                transact(lease, isolation, arguments, act, |end| end).await
            }
        }
    };
    // An act that is late loses its connection, which is dropped with it.
    let in_time = timeout_at(deadline, act).await;
    in_time.unwrap_or_else(|_| Err(connection::late("the database did not answer in time")))
}

/// Runs one statement.
async fn state<A, T>(mut lease: Lease, arguments: &A, act: Act<A, T>) -> sqlx::Result<T> {
    let outcome = act(&mut lease, arguments).await;
    if outcome.as_ref().err().is_none_or(error::is_answer) {
        lease.keep();
    }
    outcome
}

/// Runs a transaction; `end` says how it ends when its statements succeeded.
async fn transact<A, O, T>(
    mut lease: Lease,
    isolation: Isolation,
    arguments: &A,
    act: Act<A, O>,
    end: fn(O) -> End<T>,
) -> sqlx::Result<T> {
    let begin = isolation.begin(lease.guarding());
    let mut transaction = lease.begin_with(begin).await?;
    let outcome = match act(&mut transaction, arguments).await.map(end) {
        Ok(End::Commit(value)) => {
            transaction.commit().await?;
            Ok(value)
        }
        Ok(End::RollBack(value)) => {
            transaction.rollback().await?;
            Ok(value)
        }
        // What went wrong first is what matters.
        Err(error) if !error::is_answer(&error) => return Err(error),
        Err(error) => match transaction.rollback().await {
            Ok(()) => Err(error),
            Err(_) => return Err(error),
        },
    };
    lease.keep();
    outcome
}
