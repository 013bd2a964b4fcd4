//! The threads that hash, and the queue before them.

use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, unbounded};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::error;

use super::HashError;
use super::memory::Memory;

/// How long a thread without work keeps its memory.
const KEEP_MEMORY: Duration = Duration::from_secs(30);

/// How much nicer the threads are than the process, on Linux.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

const QUEUE_LENGTH: &str = "auth_hash_queue_length";

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// Threads of their own, so that hashing never holds up the runtime's; with a bounded queue, so
/// that a flood of logins is refused instead of piling up.
///
/// Where they share the cores with threads that answer requests, those go first: who waits for a hash
/// waits for milliseconds anyway, and a refresh should not.
///
/// The threads end when the pool is dropped, each after the hash it is at.
#[derive(Debug)]
pub(super) struct Pool {
    queue: Sender<Job>,
    /// One for each thread and each place before them.
    places: Arc<Semaphore>,
    capacity: usize,
    threads: u32,
    max_wait: Duration,
    cost: Arc<MeanCost>,
}

/// A place in the queue, and then on a thread, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    /// A wait too long for the clock is no deadline.
    deadline: Option<Instant>,
}

impl Pool {
    /// Starts the threads; each keeps memory of `blocks` KiB from job to job.
    pub(super) fn start(
        threads: NonZeroUsize,
        places: NonZeroUsize,
        max_wait: Duration,
        blocks: usize,
    ) -> io::Result<Self> {
        // What is bounded is the places.
        let (queue, jobs) = unbounded();
        let capacity = places.saturating_add(threads.get()).get();
        let capacity = capacity.min(Semaphore::MAX_PERMITS);
        for number in 0..threads.get() {
            let jobs = jobs.clone();
            thread::Builder::new()
                .name(format!("auth-hash-{number}"))
                .spawn(move || {
                    let_others_go_first();
                    let memory = Memory::new(blocks);
                    #[cfg(feature = "simd-argon2")]
                    let memory = memory.with_simd();
                    work_off(&jobs, memory);
                })?;
        }
        Ok(Self {
            queue,
            places: Arc::new(Semaphore::new(capacity)),
            capacity,
            threads: u32::try_from(threads.get()).unwrap_or(u32::MAX),
            max_wait,
            cost: Arc::default(),
        })
    }

    /// Takes a place, unless there is none or the wait would be too long.
    pub(super) fn reserve(&self) -> Result<Place, HashError> {
        let expected = self.expected_wait();
        if expected > self.max_wait {
            return Err(HashError::overloaded(expected));
        }
        let permit = Arc::clone(&self.places).try_acquire_owned();
        Ok(Place {
            _permit: permit.map_err(|_| HashError::overloaded(expected))?,
            deadline: Instant::now().checked_add(self.max_wait),
        })
    }

    /// Has one of the threads do the work.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce(&mut Memory) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let (reply, answer) = oneshot::channel();
        let cost = Arc::clone(&self.cost);
        let job: Job = Box::new(move |memory| {
            // A caller that has gone shall not cost a hash that others wait for.
            if reply.is_closed() {
                return;
            }
            let started = Instant::now();
            let result = if place.deadline.is_some_and(|deadline| started >= deadline) {
                Err(HashError::overloaded(cost.mean()))
            } else {
                let result = work(memory);
                cost.record(started.elapsed());
                result
            };
            drop(place);
            // An error is the caller's having gone meanwhile.
            let _ = reply.send(result);
        });
        // Before a thread can take it, so that the count is never below zero.
        metrics::gauge!(QUEUE_LENGTH).increment(1);
        self.queue.send(job).map_err(|_| {
            metrics::gauge!(QUEUE_LENGTH).decrement(1);
            HashError::failed("the hashing threads have ended")
        })?;
        answer
            .await
            .map_err(|_| HashError::failed("the hashing job panicked"))?
    }

    fn expected_wait(&self) -> Duration {
        let taken = self.capacity - self.places.available_permits();
        let taken = u32::try_from(taken).unwrap_or(u32::MAX);
        let waiting = taken.saturating_sub(self.threads);
        self.cost.mean().saturating_mul(waiting) / self.threads
    }
}

/// What a job took lately, as a moving average over about eight of them.
#[derive(Debug, Default)]
struct MeanCost(AtomicU64);

impl MeanCost {
    fn mean(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Two threads at once may lose a sample, which does no harm.
    fn record(&self, sample: Duration) {
        let sample = u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX);
        let mean = match self.0.load(Ordering::Relaxed) {
            0 => sample,
            mean => mean - mean / 8 + sample / 8,
        };
        self.0.store(mean, Ordering::Relaxed);
    }
}

/// Lowers the priority of the thread that calls it: what POSIX says of a process, Linux does with a
/// thread.
#[cfg(target_os = "linux")]
fn let_others_go_first() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "hashing goes on at the priority of everything else");
    }
}

#[cfg(not(target_os = "linux"))]
const fn let_others_go_first() {}

fn work_off(jobs: &Receiver<Job>, mut memory: Memory) {
    while let Some(job) = next_job(jobs, &mut memory) {
        metrics::gauge!(QUEUE_LENGTH).decrement(1);
        if catch_unwind(AssertUnwindSafe(|| job(&mut memory))).is_err() {
            error!("a password hashing job panicked; its thread goes on");
            memory.release();
        }
    }
}

/// Takes the next job; while there is none, cleans up.
fn next_job(jobs: &Receiver<Job>, memory: &mut Memory) -> Option<Job> {
    match jobs.try_recv() {
        Ok(job) => return Some(job),
        Err(TryRecvError::Disconnected) => return None,
        Err(TryRecvError::Empty) => memory.wipe(),
    }
    match jobs.recv_timeout(KEEP_MEMORY) {
        Ok(job) => Some(job),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => {
            memory.release();
            jobs.recv().ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::pin::pin;
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;

    use crossbeam_channel::bounded;

    use super::*;
    use crate::password::test_support::poll_once;

    const LONG: Duration = Duration::from_secs(3600);

    impl Pool {
        pub(in crate::password) async fn run_now<T: Send + 'static>(
            &self,
            work: impl FnOnce(&mut Memory) -> Result<T, HashError> + Send + 'static,
        ) -> Result<T, HashError> {
            self.run(self.reserve()?, work).await
        }
    }

    fn pool(threads: usize, places: usize) -> Pool {
        let places = NonZeroUsize::new(places).unwrap();
        Pool::start(NonZeroUsize::new(threads).unwrap(), places, LONG, 8).unwrap()
    }

    /// Keeps a thread busy until the sender is dropped; returns when the thread has taken it.
    async fn occupy(pool: &Arc<Pool>) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel::<()>();
        let (started, has_started) = oneshot::channel();
        let pool = Arc::clone(pool);
        tokio::spawn(async move {
            pool.run_now(move |_| {
                started.send(()).unwrap();
                let _ = released.recv();
                Ok(())
            })
            .await
        });
        has_started.await.unwrap();
        release
    }

    #[tokio::test]
    async fn s12_1_a_full_queue_refuses_at_once() {
        let pool = Arc::new(pool(1, 1));
        let release = occupy(&pool).await;
        let mut queued = pin!(pool.run_now(|_| Ok("queued")));
        assert!(poll_once(queued.as_mut()).await.is_none());
        let refused = poll_once(pin!(pool.run_now(|_| Ok("refused")))).await;
        let Some(Err(HashError::Overloaded { retry_after })) = refused else {
            panic!("not refused at once: {refused:?}");
        };
        assert!(retry_after >= Duration::from_secs(1));
        drop(release);
        assert_eq!(queued.await.unwrap(), "queued");
    }

    #[test]
    fn s12_1_what_is_reserved_is_taken_until_it_is_given_back() {
        let pool = pool(2, 3);
        let mut places: Vec<_> = (0..5).map(|_| pool.reserve().unwrap()).collect();
        let refused = pool.reserve();
        assert!(matches!(refused, Err(HashError::Overloaded { .. })));
        places.pop();
        assert!(pool.reserve().is_ok());
    }

    #[tokio::test]
    async fn s12_1_a_wait_that_would_pass_the_deadline_is_refused_at_once() {
        let pool = Arc::new(pool(1, 8));
        pool.cost.record(LONG);
        let release = occupy(&pool).await;
        let mut first = pin!(pool.run_now(|_| Ok(())));
        assert!(poll_once(first.as_mut()).await.is_none());
        pool.cost.record(LONG * 9);
        let second = poll_once(pin!(pool.run_now(|_| Ok(())))).await;
        let Some(Err(HashError::Overloaded { retry_after })) = second else {
            panic!("not refused at once: {second:?}");
        };
        assert!(retry_after > LONG);
        drop(release);
        first.await.unwrap();
    }

    #[tokio::test]
    async fn s12_1_work_whose_deadline_has_passed_is_not_done() {
        let pool = pool(1, 8);
        let done = Arc::new(AtomicBool::new(false));
        let work = {
            let done = Arc::clone(&done);
            move |_: &mut Memory| {
                done.store(true, Ordering::SeqCst);
                Ok(())
            }
        };
        let place = Place {
            deadline: Some(Instant::now()),
            ..pool.reserve().unwrap()
        };
        let late = pool.run(place, work).await;
        assert!(matches!(late, Err(HashError::Overloaded { .. })));
        assert!(!done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn s12_3_work_whose_caller_has_gone_is_not_done() {
        let pool = Arc::new(pool(1, 8));
        let release = occupy(&pool).await;
        let done = Arc::new(AtomicBool::new(false));
        {
            let done = Arc::clone(&done);
            let mut gone = pin!(pool.run_now(move |_| {
                done.store(true, Ordering::SeqCst);
                Ok(())
            }));
            assert!(poll_once(gone.as_mut()).await.is_none());
        }
        drop(release);
        pool.run_now(|_| Ok(())).await.unwrap();
        assert!(!done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn s12_5_a_panic_fails_its_caller_and_no_other() {
        let pool = pool(1, 8);
        let failed = pool.run_now::<()>(|_| panic!("on purpose")).await;
        assert!(matches!(failed, Err(HashError::Failed(_))));
        assert_eq!(pool.run_now(|_| Ok("next")).await.unwrap(), "next");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_threads_let_others_go_first() {
        let niceness = || rustix::process::getpriority_process(None).map_err(HashError::failed);
        let here = niceness().unwrap();
        let there = pool(1, 8).run_now(move |_| niceness()).await.unwrap();
        assert_eq!(there, (here + NICENESS).min(19));
        assert_eq!(niceness().unwrap(), here);
    }

    #[tokio::test]
    async fn jobs_on_one_thread_share_its_memory() {
        let pool = pool(1, 8);
        let address = || {
            pool.run_now(|memory| {
                let address = memory.lend(8, |blocks| blocks.as_ptr().addr());
                address.map_err(HashError::failed)
            })
        };
        assert_eq!(address().await.unwrap(), address().await.unwrap());
    }

    #[test]
    fn a_thread_without_work_wipes_its_memory() {
        let mut memory = Memory::new(8);
        memory.lend(8, |blocks| blocks[7].as_mut().fill(7)).unwrap();
        assert_eq!(memory.filled(), 1);
        let (queue, jobs) = bounded::<Job>(0);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| next_job(&jobs, &mut memory).is_some());
            // A queue without places hands a job only to a thread that is waiting for one.
            while queue.try_send(Box::new(|_| ())).is_err() {
                thread::yield_now();
            }
            assert!(waiting.join().unwrap());
        });
        assert_eq!(memory.filled(), 0);
    }

    #[tokio::test]
    async fn an_endless_wait_is_allowed() {
        let one = NonZeroUsize::MIN;
        let pool = Pool::start(one, one, Duration::MAX, 8).unwrap();
        pool.run_now(|_| Ok(())).await.unwrap();
    }

    thread_local! {
        static AT_THREAD_END: RefCell<Option<mpsc::Sender<()>>> = const { RefCell::new(None) };
    }

    #[tokio::test]
    async fn the_threads_end_with_the_pool() {
        let pool = pool(1, 8);
        let (alive, ended) = mpsc::channel();
        let leave_behind = move |_: &mut Memory| {
            AT_THREAD_END.set(Some(alive));
            Ok(())
        };
        pool.run_now(leave_behind).await.unwrap();
        assert_eq!(ended.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(pool);
        // The thread's end drops the sender; a thread that never ends would hang the test.
        assert_eq!(ended.recv(), Err(mpsc::RecvError));
    }
}
