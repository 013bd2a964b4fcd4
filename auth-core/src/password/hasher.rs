//! Hashing and verifying passwords.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

#[cfg(feature = "foreign-hashes")]
use super::foreign::ForeignCeilings;
use super::memory::Memory;
use super::normal::normalise;
use super::params::{Argon2Ceilings, Argon2Params, Ceilings};
use super::pepper::PepperKeys;
use super::pool::{Place, Pool};
use super::recipe::Recipe;
use super::{HashError, HasherSetupError, Password, PasswordHash};

/// Hashes and verifies passwords on a few threads of its own.
///
/// Cheap to clone: the clones share the threads, which end with the last of them. On Linux they leave
/// the cores to others, by 5 steps of niceness. A password undergoes Unicode NFC and nothing else
/// before it is hashed.
///
/// ```
/// use auth_core::password::Verification;
/// use auth_core::{Password, PasswordHasher};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hasher = PasswordHasher::builder().build()?;
/// let hash = hasher.hash(Password::new("correct horse battery staple")).await?;
/// assert!(hash.as_stored().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
///
/// let outcome = hasher.verify(Password::new("Tr0ub4dor&3"), Some(hash)).await?;
/// assert_eq!(outcome, Verification::Mismatch);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PasswordHasher {
    pool: Arc<Pool>,
    recipe: Arc<Recipe>,
}

impl PasswordHasher {
    /// Begins to make a hasher.
    #[must_use]
    pub fn builder() -> PasswordHasherBuilder {
        PasswordHasherBuilder::default()
    }

    /// Hashes a password with the current parameters, the current pepper and a fresh salt.
    ///
    /// Any password of at most [`Password::MAX_BYTES`] is hashed: what a password may be, its
    /// [policy](super::PasswordPolicy) says. A call that is dropped costs no hash that had not yet
    /// begun.
    ///
    /// # Errors
    ///
    /// - [`HashError::Overloaded`] at once, if the queue is full or the wait would be too long;
    /// - [`HashError::TooLong`] if the password is;
    /// - [`HashError::Failed`] if the operating system gives no random numbers or no memory.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        let normal = normalise(&password).ok_or(HashError::TooLong)?;
        let place = self.pool.reserve()?;
        let recipe = Arc::clone(&self.recipe);
        let hash = move |memory: &mut Memory| recipe.hash(memory, &normal);
        self.pool.run(place, hash).await
    }

    /// Verifies a password against a stored hash.
    ///
    /// `None` stands for a user who does not exist: it costs one hash with the current parameters,
    /// as a wrong password does, so that the time tells nothing. The same goes for a hash that
    /// cannot be verified: malformed, of an unknown algorithm or pepper, or costlier than the
    /// [ceilings](Argon2Ceilings); the log says so. A password longer than
    /// [`Password::MAX_BYTES`] never matches and costs no hash, whoever the user is.
    ///
    /// With the feature `foreign-hashes`, a hash of another system is verified as that system does,
    /// against the password as it was typed; a match is [`Verification::MatchOutdated`].
    ///
    /// A hash of another system, or of cheaper parameters than the current ones, costs a current one as well:
    /// the time never tells its user from one who does not exist by being shorter, but may by being
    /// longer, until the user logs in.
    ///
    /// # Errors
    ///
    /// - [`HashError::Overloaded`] at once, if the queue is full or the wait would be too long;
    /// - [`HashError::Failed`] if the operating system gives no memory.
    pub async fn verify(
        &self,
        password: Password,
        hash: Option<PasswordHash>,
    ) -> Result<Verification, HashError> {
        let Some(normal) = normalise(&password) else {
            return Ok(Verification::Mismatch);
        };
        self.compare(self.reserve()?, password, normal, hash).await
    }

    /// Takes a place in the queue for a password whose hash is still to be found, so that what
    /// cannot be hashed costs nothing else either.
    pub(crate) fn reserve(&self) -> Result<Place, HashError> {
        self.pool.reserve()
    }

    /// [`verify`](Self::verify) at a place that was taken before.
    pub(crate) async fn verify_at(
        &self,
        place: Place,
        password: Password,
        hash: Option<PasswordHash>,
    ) -> Result<Verification, HashError> {
        let Some(normal) = normalise(&password) else {
            return Ok(Verification::Mismatch);
        };
        self.compare(place, password, normal, hash).await
    }

    async fn compare(
        &self,
        place: Place,
        password: Password,
        normal: Zeroizing<String>,
        hash: Option<PasswordHash>,
    ) -> Result<Verification, HashError> {
        // Read here and not on the thread, so that what it logs belongs to the caller's span.
        let stored = hash.and_then(|hash| self.recipe.read(&hash));
        // Another system has hashed what was typed.
        let text = match &stored {
            Some(stored) if stored.own().is_none() => Zeroizing::new(password.expose().to_owned()),
            _ => normal,
        };
        let recipe = Arc::clone(&self.recipe);
        let verify = move |memory: &mut Memory| recipe.verify(memory, &text, stored);
        self.pool.run(place, verify).await
    }
}

/// What a verification shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Verification {
    /// The password is right.
    Match,
    /// The password is right, but its hash is not of the current kind: algorithm, parameters or
    /// pepper differ. Hash the password anew and replace the hash.
    MatchOutdated,
    /// The password is wrong, or there is no hash that it could be verified against.
    Mismatch,
}

impl Verification {
    /// Whether the password is right.
    #[must_use]
    pub const fn is_match(self) -> bool {
        matches!(self, Self::Match | Self::MatchOutdated)
    }
}

/// Makes a [`PasswordHasher`].
#[derive(Clone, Debug)]
pub struct PasswordHasherBuilder {
    params: Argon2Params,
    ceilings: Ceilings,
    peppers: PepperKeys,
    threads: Option<NonZeroUsize>,
    queue: Option<NonZeroUsize>,
    max_wait: Duration,
}

impl PasswordHasherBuilder {
    /// The places in the queue for each thread, unless they are set.
    const QUEUE_PER_THREAD: usize = 64;

    /// What new hashes cost; by default `m=19456,t=2,p=1`.
    #[must_use]
    pub const fn with_params(mut self, params: Argon2Params) -> Self {
        self.params = params;
        self
    }

    /// What a stored hash may cost to verify; by default 256 MiB, 16 passes, 16 lanes.
    ///
    /// A hash that needs more memory than new ones gets it for itself alone: at worst as many times
    /// the ceiling as there are threads.
    #[must_use]
    pub const fn with_ceilings(mut self, ceilings: Argon2Ceilings) -> Self {
        self.ceilings.argon2 = ceilings;
        self
    }

    /// What a stored hash of another system may cost to verify.
    #[cfg(feature = "foreign-hashes")]
    #[must_use]
    pub const fn with_foreign_ceilings(mut self, ceilings: ForeignCeilings) -> Self {
        self.ceilings.foreign = ceilings;
        self
    }

    /// The keys that hashes depend on beside the database; by default none.
    #[must_use]
    pub fn with_peppers(mut self, peppers: PepperKeys) -> Self {
        self.peppers = peppers;
        self
    }

    /// The threads; by default as many as cores. Each holds the memory of one hash while it works.
    #[must_use]
    pub const fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// How many passwords may wait for a thread; by default 64 for each thread. A login counts from
    /// before its hash is looked up.
    #[must_use]
    pub const fn with_queue(mut self, places: NonZeroUsize) -> Self {
        self.queue = Some(places);
        self
    }

    /// How long a password may wait for a thread, so that nobody is answered who has given up;
    /// by default 10 seconds.
    #[must_use]
    pub const fn with_max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// - [`HasherSetupError::PepperIdRepeated`] if two peppers have one id;
    /// - [`HasherSetupError::MaxWaitZero`] if nothing may wait at all;
    /// - [`HasherSetupError::Thread`] if the operating system gives no thread.
    pub fn build(self) -> Result<PasswordHasher, HasherSetupError> {
        if let Some(id) = self.peppers.repeated_id() {
            return Err(HasherSetupError::PepperIdRepeated(id.to_owned()));
        }
        if self.max_wait.is_zero() {
            return Err(HasherSetupError::MaxWaitZero);
        }
        let threads = self
            .threads
            .or_else(|| thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN);
        let per_thread = NonZeroUsize::MIN.saturating_add(Self::QUEUE_PER_THREAD - 1);
        let queue = self.queue.unwrap_or(threads.saturating_mul(per_thread));
        let blocks = usize::try_from(self.params.memory_kib()).unwrap_or(usize::MAX);
        let pool =
            Pool::start(threads, queue, self.max_wait, blocks).map_err(HasherSetupError::Thread)?;
        let mut ceilings = self.ceilings;
        ceilings.argon2 = ceilings.argon2.raised_to(self.params);
        Ok(PasswordHasher {
            pool: Arc::new(pool),
            recipe: Arc::new(Recipe {
                params: self.params,
                ceilings,
                peppers: self.peppers,
            }),
        })
    }
}

impl Default for PasswordHasherBuilder {
    fn default() -> Self {
        Self {
            params: Argon2Params::default(),
            ceilings: Ceilings::default(),
            peppers: PepperKeys::default(),
            threads: None,
            queue: None,
            max_wait: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::super::Pepper;
    use super::super::test_support::poll_once;
    use super::*;

    fn builder() -> PasswordHasherBuilder {
        PasswordHasher::builder().with_params(Argon2Params::insecure_for_tests())
    }

    fn password(text: &str) -> Password {
        Password::new(text)
    }

    #[tokio::test]
    async fn a_password_matches_its_hash_and_no_other() {
        let hasher = builder().build().unwrap();
        let hash = hasher.hash(password("right")).await.unwrap();
        let right = hasher.verify(password("right"), Some(hash.clone())).await;
        assert_eq!(right.unwrap(), Verification::Match);
        for wrong in ["wrong", "", " right", "right ", "Right"] {
            let outcome = hasher.verify(password(wrong), Some(hash.clone())).await;
            assert_eq!(outcome.unwrap(), Verification::Mismatch, "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn s2_4_one_spelling_verifies_the_other() {
        let hasher = builder().build().unwrap();
        let nfc = hasher.hash(password("caf\u{e9} cr\u{e8}me")).await.unwrap();
        let nfd = password("cafe\u{301} cre\u{300}me");
        let outcome = hasher.verify(nfd, Some(nfc)).await.unwrap();
        assert_eq!(outcome, Verification::Match);
        let ligature = hasher.hash(password("of\u{fb01}ce")).await.unwrap();
        let outcome = hasher.verify(password("office"), Some(ligature)).await;
        assert_eq!(outcome.unwrap(), Verification::Mismatch);
    }

    #[tokio::test]
    async fn s4_2_what_cannot_be_verified_is_a_mismatch() {
        let hasher = builder().build().unwrap();
        for stored in [None, Some(PasswordHash::from_stored("!unusable"))] {
            let outcome = hasher.verify(password("any"), stored).await.unwrap();
            assert_eq!(outcome, Verification::Mismatch);
        }
    }

    /// A hasher that refuses whatever would have to be hashed.
    async fn saturated(probe: impl AsyncFnOnce(PasswordHasher)) {
        let one = NonZeroUsize::MIN;
        let hasher = builder().with_threads(one).with_queue(one).build().unwrap();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let mut busy = pin!(hasher.pool.run_now(move |_| {
            started.send(()).unwrap();
            Ok(released.recv().is_err())
        }));
        assert!(poll_once(busy.as_mut()).await.is_none());
        has_started.await.unwrap();
        let mut queued = pin!(hasher.hash(password("queued")));
        assert!(poll_once(queued.as_mut()).await.is_none());
        probe(hasher.clone()).await;
        drop(release);
        assert!(busy.await.unwrap());
        queued.await.unwrap();
    }

    #[tokio::test]
    async fn s2_2_an_over_long_password_is_a_mismatch_without_a_hash() {
        let long = || Password::new("a".repeat(Password::MAX_BYTES + 1));
        saturated(async |hasher| {
            for stored in [None, Some(PasswordHash::from_stored("!unusable"))] {
                let outcome = hasher.verify(long(), stored).await.unwrap();
                assert_eq!(outcome, Verification::Mismatch);
            }
            let hash = hasher.hash(long()).await;
            assert!(matches!(hash, Err(HashError::TooLong)));
        })
        .await;
    }

    #[tokio::test]
    async fn s4_2_every_other_verification_costs_a_hash() {
        saturated(async |hasher| {
            for text in ["", "any"] {
                for stored in [None, Some(PasswordHash::from_stored("!unusable"))] {
                    let outcome = hasher.verify(password(text), stored).await;
                    assert!(matches!(outcome, Err(HashError::Overloaded { .. })));
                }
            }
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn s12_1_each_of_500_logins_is_answered_or_refused() {
        let hasher = builder().build().unwrap();
        let mut logins = tokio::task::JoinSet::new();
        for _ in 0..500 {
            let hasher = hasher.clone();
            logins.spawn(async move { hasher.verify(password("any"), None).await });
        }
        let mut mismatches = 0;
        for outcome in logins.join_all().await {
            match outcome {
                Ok(Verification::Mismatch) => mismatches += 1,
                Err(HashError::Overloaded { .. }) => {}
                other => panic!("neither answered nor refused: {other:?}"),
            }
        }
        assert!(mismatches >= PasswordHasherBuilder::QUEUE_PER_THREAD);
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let pepper = || Pepper::new("a", [1; 32]).unwrap();
        let keys = PepperKeys::default()
            .with_current(pepper())
            .add_fallback(pepper());
        let repeated = builder().with_peppers(keys).build();
        assert!(matches!(repeated, Err(HasherSetupError::PepperIdRepeated(id)) if id == "a"));
        let zero = builder().with_max_wait(Duration::ZERO).build();
        assert!(matches!(zero, Err(HasherSetupError::MaxWaitZero)));
    }

    #[test]
    fn s1_3_the_ceilings_never_shut_out_new_hashes() {
        let low = Argon2Ceilings::new(8, 1, 1);
        let hasher = builder().with_ceilings(low).build().unwrap();
        assert_eq!(hasher.recipe.ceilings.argon2, Argon2Ceilings::new(32, 1, 1));
    }

    #[test]
    fn s13_3_debug_shows_no_pepper() {
        let key = *b"canarycanarycanarycanarycanary!!";
        let keys = PepperKeys::default().with_current(Pepper::new("a", key).unwrap());
        let builder = builder().with_peppers(keys);
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert!(
            !shown.contains("canary") && !shown.contains("99, 97"),
            "{shown}"
        );
    }
}
