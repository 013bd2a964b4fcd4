//! Calls that come at the same time, served by one statement.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::PostgresStore;
use crate::store::StoreError;

/// How much is shared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The statements that may be under way at once.
    pub(super) statements: usize,
    /// The calls that one statement serves at most.
    pub(super) calls: usize,
}

/// The answers to the calls, in their order.
type Answers<A> = Pin<Box<dyn Future<Output = Result<Vec<A>, StoreError>> + Send>>;

/// Runs the statement that serves the calls.
type Serve<Q, A> = fn(PostgresStore, Vec<Q>) -> Answers<A>;

/// Calls of one kind.
///
/// While fewer statements are under way than may be at once, a call is served alone and at once.
/// Else it waits until one of them has come back, and shares the next one with all who wait. Every
/// call is answered after the commit of its statement, which has begun after the call. A call that
/// is dropped before its statement begins is not served; after that it is, as the others are.
pub(super) struct Batches<Q, A> {
    queue: Mutex<Queue<Q, A>>,
    limits: Limits,
    serve: Serve<Q, A>,
}

struct Queue<Q, A> {
    under_way: usize,
    waiting: Vec<Call<Q, A>>,
}

struct Call<Q, A> {
    question: Q,
    answer: oneshot::Sender<Result<A, StoreError>>,
}

impl<Q, A> Batches<Q, A>
where
    Q: Clone + Send + 'static,
    A: Send + 'static,
{
    pub(super) fn new(limits: Limits, serve: Serve<Q, A>) -> Self {
        let queue = Queue {
            under_way: 0,
            waiting: Vec::new(),
        };
        Self {
            queue: Mutex::new(queue),
            limits,
            serve,
        }
    }

    pub(super) async fn call(
        self: &Arc<Self>,
        store: &PostgresStore,
        question: Q,
    ) -> Result<A, StoreError> {
        let (answer, answered) = oneshot::channel();
        let call = Call { question, answer };
        let may_begin = {
            let mut queue = self.lock();
            queue.waiting.push(call);
            let may_begin = queue.under_way < self.limits.statements;
            queue.under_way += usize::from(may_begin);
            may_begin
        };
        if may_begin {
            // A task of its own: who waits does not depend on who came first.
            let turn = Turn {
                batches: Arc::clone(self),
                is_given_back: false,
            };
            tokio::spawn(turn.serve_all(store.clone()));
        }
        let lost = |_| StoreError::Unavailable("the statement was cut off".into());
        answered.await.map_err(lost)?
    }

    fn lock(&self) -> MutexGuard<'_, Queue<Q, A>> {
        // Nothing panics between two changes.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q, A> fmt::Debug for Batches<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// One of the statements that may be under way at once.
struct Turn<Q, A>
where
    Q: Clone + Send + 'static,
    A: Send + 'static,
{
    batches: Arc<Batches<Q, A>>,
    is_given_back: bool,
}

impl<Q, A> Turn<Q, A>
where
    Q: Clone + Send + 'static,
    A: Send + 'static,
{
    async fn serve_all(mut self, store: PostgresStore) {
        while let Some(calls) = self.next() {
            self.serve(&store, calls).await;
        }
    }

    /// Takes those who wait, or gives the turn back: no call falls between the two.
    fn next(&mut self) -> Option<Vec<Call<Q, A>>> {
        let mut queue = self.batches.lock();
        queue.waiting.retain(|call| !call.answer.is_closed());
        let rest = queue.waiting.len().min(self.batches.limits.calls);
        let rest = queue.waiting.split_off(rest);
        let calls = mem::replace(&mut queue.waiting, rest);
        if calls.is_empty() {
            queue.under_way -= 1;
            self.is_given_back = true;
            return None;
        }
        Some(calls)
    }

    async fn serve(&self, store: &PostgresStore, calls: Vec<Call<Q, A>>) {
        let serve = self.batches.serve;
        let questions = calls.iter().map(|call| call.question.clone()).collect();
        // An error of `send` is the caller's having gone meanwhile.
        match serve(store.clone(), questions).await {
            Ok(answers) => {
                for (call, answer) in calls.into_iter().zip(answers) {
                    let _ = call.answer.send(Ok(answer));
                }
            }
            // It did nothing. What one of them suffers from shall not be the others' fault.
            Err(StoreError::Failed(_)) if calls.len() > 1 => {
                for call in calls {
                    let alone = serve(store.clone(), vec![call.question]).await;
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
}

/// A turn that was cut off, by the end of its runtime or a panic: who waits is told.
impl<Q, A> Drop for Turn<Q, A>
where
    Q: Clone + Send + 'static,
    A: Send + 'static,
{
    fn drop(&mut self) {
        if !self.is_given_back {
            let mut queue = self.batches.lock();
            queue.under_way -= 1;
            queue.waiting.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

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

    fn serve(_: PostgresStore, questions: Vec<Question>) -> Answers<u32> {
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
        batches: Arc<Batches<Question, u32>>,
        store: PostgresStore,
        permits: Arc<Semaphore>,
        statements: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    impl World {
        fn new(statements: usize) -> Self {
            let limits = Limits {
                statements,
                calls: MOST,
            };
            Self {
                batches: Arc::new(Batches::new(limits, serve)),
                store: PostgresStore::connect("postgres://localhost/none").unwrap(),
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
            self.batches.call(&self.store, question).boxed_local()
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

    #[tokio::test]
    async fn a_call_that_finds_room_goes_at_once_and_alone() {
        let world = World::new(2);
        let (mut one, mut other) = (world.call(1), world.call(2));
        assert!(one.as_mut().now_or_never().is_none());
        world.until_statements(1).await;
        assert!(other.as_mut().now_or_never().is_none());
        world.until_statements(2).await;
        assert_eq!(world.statements(), [[1], [2]]);
        world.permits.add_permits(2);
        assert_eq!((one.await.unwrap(), other.await.unwrap()), (1, 2));
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
