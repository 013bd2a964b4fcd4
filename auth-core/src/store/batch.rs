//! Calls that come at the same time, served by one statement.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, Span};

use crate::store::StoreError;

/// How long who waits leaves others alone with a statement, which the network or the database may
/// hold up: as short as the runtime's clock can tell.
const PATIENCE: Duration = Duration::from_millis(1);

/// How much is shared, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The statements that may be under way at once.
    pub(super) statements: usize,
    /// The calls that one statement serves at most.
    pub(super) calls: usize,
    /// How long a statement may take: many wait for it, and one that hangs must not keep its place.
    pub(super) statement: Duration,
    /// How long a call may wait for its statement to begin.
    pub(super) queue: Duration,
}

/// The answers to the calls, in their order.
pub(super) type Answers<'a, A> =
    Pin<Box<dyn Future<Output = Result<Vec<A>, StoreError>> + Send + 'a>>;

/// Runs the statement that serves the calls.
type Serve<S, Q, A> = fn(&S, Vec<Q>) -> Answers<'_, A>;

/// Calls of one kind.
///
/// A call that finds no statement under way begins one. Else it waits until the one under way has
/// come back, and shares the next with all who wait: fewer statements cost less than more at once.
/// Whenever as many wait as one statement serves, or the one under way is slow, another begins beside
/// it, while there may be more. Every call is answered after the commit of its statement, which has
/// begun after the call. A call that is dropped before its statement begins is not served; after
/// that it is, as the others are.
pub(super) struct Batches<S, Q, A> {
    queue: Mutex<Queue<Q, A>>,
    limits: Limits,
    serve: Serve<S, Q, A>,
}

struct Queue<Q, A> {
    under_way: usize,
    /// Those under way that nobody waits for.
    slow: usize,
    waiting: Vec<Call<Q, A>>,
}

struct Call<Q, A> {
    question: Q,
    since: Instant,
    span: Span,
    answer: oneshot::Sender<Result<A, StoreError>>,
}

impl<S, Q, A> Batches<S, Q, A>
where
    S: Clone + Send + Sync + 'static,
    Q: Clone + Send + 'static,
    A: Send + 'static,
{
    pub(super) fn new(limits: Limits, serve: Serve<S, Q, A>) -> Self {
        let queue = Queue {
            under_way: 0,
            slow: 0,
            waiting: Vec::new(),
        };
        Self {
            queue: Mutex::new(queue),
            limits,
            serve,
        }
    }

    /// Has the question answered by the store.
    pub(super) async fn call(self: &Arc<Self>, store: &S, question: Q) -> Result<A, StoreError> {
        let (answer, answered) = oneshot::channel();
        let call = Call {
            question,
            since: Instant::now(),
            span: Span::current(),
            answer,
        };
        let turn = {
            let mut queue = self.lock();
            queue.waiting.push(call);
            let full = queue.waiting.len().is_multiple_of(self.limits.calls);
            let due = full || queue.under_way == queue.slow;
            due.then(|| self.begin(&mut queue, store)).flatten()
        };
        if let Some(turn) = turn {
            turn.spawn();
        }
        let lost = |_| StoreError::Unavailable("the statement was cut off".into());
        answered.await.map_err(lost)?
    }

    /// Takes the turn for one more statement, if there may be one.
    fn begin(self: &Arc<Self>, queue: &mut Queue<Q, A>, store: &S) -> Option<Turn<S, Q, A>> {
        if queue.under_way >= self.limits.statements {
            return None;
        }
        queue.under_way += 1;
        Some(Turn {
            batches: Arc::clone(self),
            store: store.clone(),
            is_slow: false,
            is_given_back: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Queue<Q, A>> {
        // Nothing panics between two changes.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S, Q, A> fmt::Debug for Batches<S, Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// One of the statements that may be under way at once.
struct Turn<S, Q, A> {
    batches: Arc<Batches<S, Q, A>>,
    store: S,
    is_slow: bool,
    is_given_back: bool,
}

impl<S, Q, A> Turn<S, Q, A>
where
    S: Clone + Send + Sync + 'static,
    Q: Clone + Send + 'static,
    A: Send + 'static,
{
    /// In a task of its own: who waits does not depend on who came first. Not under the lock: a
    /// runtime that ends drops the turn at once, which takes it.
    fn spawn(self) {
        tokio::spawn(self.serve_all());
    }

    async fn serve_all(mut self) {
        while let Some(calls) = self.next() {
            self.serve(calls).await;
        }
    }

    /// Takes those who wait, or gives the turn back: no call falls between the two.
    fn next(&mut self) -> Option<Vec<Call<Q, A>>> {
        let limits = &self.batches.limits;
        let mut queue = self.batches.lock();
        queue.slow -= usize::from(mem::take(&mut self.is_slow));
        let too_late = |call: &mut Call<Q, A>| call.since.elapsed() > limits.queue;
        for call in queue.waiting.extract_if(.., too_late) {
            let waited = StoreError::Unavailable("no statement began in time".into());
            let _ = call.answer.send(Err(waited));
        }
        queue.waiting.retain(|call| !call.answer.is_closed());
        let rest = queue.waiting.len().min(limits.calls);
        let rest = queue.waiting.split_off(rest);
        let calls = mem::replace(&mut queue.waiting, rest);
        if calls.is_empty() {
            queue.under_way -= 1;
            self.is_given_back = true;
            return None;
        }
        Some(calls)
    }

    async fn serve(&mut self, calls: Vec<Call<Q, A>>) {
        let questions = calls.iter().map(|call| call.question.clone()).collect();
        // In the log, a statement belongs to a request only if it serves no other.
        let span = match calls.as_slice() {
            [alone] => alone.span.clone(),
            _ => Span::none(),
        };
        // An error of `send` is the caller's having gone meanwhile.
        match self.ask(questions).instrument(span).await {
            Ok(answers) => {
                for (call, answer) in calls.into_iter().zip(answers) {
                    let _ = call.answer.send(Ok(answer));
                }
            }
            // It did nothing. What one of them suffers from shall not be the others' fault.
            Err(StoreError::Failed(_)) if calls.len() > 1 => {
                for call in calls {
                    let alone = self.ask(vec![call.question]);
                    let alone = alone.instrument(call.span).await;
                    let answer = alone.and_then(|answers| {
                        let none = || StoreError::Failed("a call without an answer".into());
                        answers.into_iter().next().ok_or_else(none)
                    });
                    let _ = call.answer.send(answer);
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for call in calls {
                    let cause = Box::new(Arc::clone(&error));
                    let _ = call.answer.send(Err(match *error {
                        StoreError::Failed(_) => StoreError::Failed(cause),
                        _ => StoreError::Unavailable(cause),
                    }));
                }
            }
        }
    }

    async fn ask(&mut self, questions: Vec<Q>) -> Result<Vec<A>, StoreError> {
        let limit = self.batches.limits.statement;
        let mut answers = (self.batches.serve)(&self.store, questions);
        if let Ok(answers) = timeout(PATIENCE, &mut answers).await {
            return answers;
        }
        if !mem::replace(&mut self.is_slow, true) {
            let turn = {
                let mut queue = self.batches.lock();
                queue.slow += 1;
                let due = !queue.waiting.is_empty();
                due.then(|| self.batches.begin(&mut queue, &self.store))
                    .flatten()
            };
            if let Some(turn) = turn {
                turn.spawn();
            }
        }
        let in_time = timeout(limit.saturating_sub(PATIENCE), answers).await;
        in_time.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".into())))
    }
}

/// A turn that was cut off, by the end of its runtime or a panic: who waits is told, if no other
/// turn is there to serve them.
impl<S, Q, A> Drop for Turn<S, Q, A> {
    fn drop(&mut self) {
        if !self.is_given_back {
            let queue = self.batches.queue.lock();
            let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
            queue.under_way -= 1;
            queue.slow -= usize::from(self.is_slow);
            if queue.under_way == 0 {
                queue.waiting.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio::sync::Semaphore;
    use tokio::time::advance;

    use super::*;

    /// Answered with its number, once there is a permit for its statement.
    #[derive(Clone)]
    struct Question {
        number: u32,
        permits: Arc<Semaphore>,
        statements: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    const MOST: usize = 64;

    const DAMAGED: u32 = 13;
    const AWAY: u32 = 14;
    const PANICS: u32 = 15;

    fn serve((): &(), questions: Vec<Question>) -> Answers<'_, u32> {
        Box::pin(async move {
            let numbers: Vec<_> = questions.iter().map(|question| question.number).collect();
            let first = questions.first().unwrap();
            first.statements.lock().unwrap().push(numbers.clone());
            first.permits.acquire().await.unwrap().forget();
            assert!(!numbers.contains(&PANICS), "on purpose");
            if numbers.contains(&DAMAGED) {
                return Err(StoreError::Failed("damaged".into()));
            }
            if numbers.contains(&AWAY) {
                return Err(StoreError::Unavailable("away".into()));
            }
            Ok(numbers)
        })
    }

    struct World {
        batches: Arc<Batches<(), Question, u32>>,
        permits: Arc<Semaphore>,
        statements: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    impl World {
        fn new(statements: usize) -> Self {
            let limits = Limits {
                statements,
                calls: MOST,
                statement: Duration::from_secs(10),
                queue: Duration::from_secs(3),
            };
            Self {
                batches: Arc::new(Batches::new(limits, serve)),
                permits: Arc::new(Semaphore::new(0)),
                statements: Arc::default(),
            }
        }

        fn call(&self, number: u32) -> Pin<Box<dyn Future<Output = Result<u32, StoreError>> + '_>> {
            let question = Question {
                number,
                permits: Arc::clone(&self.permits),
                statements: Arc::clone(&self.statements),
            };
            self.batches.call(&(), question).boxed_local()
        }

        fn statements(&self) -> Vec<Vec<u32>> {
            self.statements.lock().unwrap().clone()
        }

        async fn until_statements(&self, number: usize) {
            while self.statements().len() < number {
                tokio::task::yield_now().await;
            }
        }

        /// Makes a call, and those of the numbers while its statement is under way.
        async fn crowd(&self, numbers: &[u32]) -> Vec<Result<u32, StoreError>> {
            let mut first = self.call(0);
            assert!(first.as_mut().now_or_never().is_none());
            self.until_statements(1).await;
            let mut calls: Vec<_> = numbers.iter().map(|number| self.call(*number)).collect();
            for call in &mut calls {
                assert!(call.as_mut().now_or_never().is_none());
            }
            self.permits.add_permits(100);
            assert_eq!(first.await.unwrap(), 0);
            join_all(calls).await
        }
    }

    #[tokio::test]
    async fn calls_share_the_statement_after_the_one_under_way() {
        let world = World::new(1);
        let answers = world.crowd(&[1, 2, 3]).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, [1, 2, 3]);
        assert_eq!(world.statements(), [vec![0], vec![1, 2, 3]]);
        assert_eq!(world.call(4).await.unwrap(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_as_a_statement_serves_begin_one_beside_another() {
        let world = World::new(2);
        let numbers = 100..=100 + u32::try_from(MOST).unwrap();
        let mut calls: Vec<_> = numbers.map(|number| world.call(number)).collect();
        for call in &mut calls {
            assert!(call.as_mut().now_or_never().is_none());
            world.until_statements(1).await;
        }
        world.until_statements(2).await;
        let sizes: Vec<_> = world.statements().iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, MOST]);
        world.permits.add_permits(2);
        assert!(
            join_all(calls)
                .await
                .into_iter()
                .all(|answer| answer.is_ok())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_slow_statement_has_one_beside_it() {
        let world = World::new(2);
        let (mut slow, mut waits) = (world.call(0), world.call(1));
        assert!(slow.as_mut().now_or_never().is_none());
        world.until_statements(1).await;
        assert!(waits.as_mut().now_or_never().is_none());
        advance(PATIENCE).await;
        world.until_statements(2).await;
        // Whoever comes now finds one under way that is not slow yet.
        let mut comes = world.call(2);
        assert!(comes.as_mut().now_or_never().is_none());
        world.permits.add_permits(3);
        let answers = join_all([slow, waits, comes]).await;
        assert!(answers.into_iter().all(|answer| answer.is_ok()));
        assert_eq!(world.statements(), [[0], [1], [2]]);
    }

    #[tokio::test]
    async fn what_one_call_suffers_from_is_not_the_others_fault() {
        let world = World::new(1);
        let answers = world.crowd(&[1, DAMAGED, 3]).await;
        assert!(matches!(
            answers.as_slice(),
            [Ok(1), Err(StoreError::Failed(_)), Ok(3)]
        ));
    }

    #[tokio::test]
    async fn s15_2_what_may_have_been_done_is_not_done_again() {
        let world = World::new(1);
        for answer in world.crowd(&[1, AWAY, 3]).await {
            assert!(matches!(answer, Err(StoreError::Unavailable(_))));
        }
        assert_eq!(world.statements().len(), 2);
    }

    #[tokio::test]
    async fn s12_3_a_caller_that_has_gone_is_not_served_and_takes_nobody_along() {
        let world = World::new(1);
        let mut first = world.call(0);
        assert!(first.as_mut().now_or_never().is_none());
        world.until_statements(1).await;
        let (mut second, mut third) = (world.call(1), world.call(2));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        drop((first, second));
        world.permits.add_permits(100);
        assert_eq!(third.await.unwrap(), 2);
        assert_eq!(world.statements(), [vec![0], vec![2]]);
    }

    #[tokio::test]
    async fn s12_5_a_panic_tells_those_who_wait_and_stops_nobody_after_them() {
        let world = World::new(1);
        let answers = world.crowd(&[1, PANICS]).await;
        assert!(answers.iter().all(Result::is_err));
        assert_eq!(world.call(2).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn s12_5_a_turn_that_panics_leaves_who_waits_to_the_others() {
        let world = World::new(2);
        let mut first = world.call(PANICS);
        assert!(first.as_mut().now_or_never().is_none());
        world.until_statements(1).await;
        advance(PATIENCE).await;
        let mut second = world.call(2);
        assert!(second.as_mut().now_or_never().is_none());
        world.until_statements(2).await;
        let mut third = world.call(3);
        assert!(third.as_mut().now_or_never().is_none());
        world.permits.add_permits(1);
        assert!(first.await.is_err());
        world.permits.add_permits(100);
        assert_eq!((second.await.unwrap(), third.await.unwrap()), (2, 3));
    }

    #[test]
    fn s12_5_a_runtime_that_has_ended_tells_those_who_call() {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let _entered = handle.enter();
        let world = World::new(1);
        let answer = world.call(1).now_or_never();
        assert!(matches!(answer, Some(Err(StoreError::Unavailable(_)))));
    }

    #[tokio::test(start_paused = true)]
    async fn s12_3_a_statement_that_hangs_keeps_its_place_for_a_time_only() {
        let world = World::new(1);
        let start = Instant::now();
        let hangs = world.call(0);
        assert!(matches!(hangs.await, Err(StoreError::Unavailable(_))));
        assert_eq!(start.elapsed().as_secs(), 10);
        world.permits.add_permits(1);
        assert_eq!(world.call(1).await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn s12_3_who_has_waited_too_long_is_told_and_not_served() {
        let world = World::new(1);
        let (hangs, waits) = (world.call(0), world.call(1));
        let hangs = async {
            let answer = hangs.await;
            world.permits.add_permits(100);
            answer
        };
        let later = async {
            world.until_statements(1).await;
            waits.await
        };
        let (hanging, waiting) = tokio::join!(hangs, later);
        assert!(hanging.is_err() && waiting.is_err());
        assert_eq!(world.statements(), [vec![0]]);
        assert_eq!(world.call(2).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn no_statement_serves_more_than_the_most() {
        let world = World::new(1);
        let numbers: Vec<u32> = (100..100 + 2 * u32::try_from(MOST).unwrap()).collect();
        let answers = world.crowd(&numbers).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, numbers);
        assert_eq!(world.statements().len(), 3);
    }
}
