use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::*;
use crate::audit::AuditEvent;
use crate::mail::{LinkLifetimes, Mail, MailError, MailKind, MailLinks, MailTemplates};
use crate::store::{
    Admission, ClaimedMail, EmailChange, EmailChangeId, EmailChangeStore, EmailChangeUndo,
    EmailConfirmation, Ending, Enrollee, EnrollmentId, EnrollmentStore, NewEmailChange, NewMail,
    NewUser, OutboxStore, ThrottleKey, ThrottleStore, TryBudget, UserFilter, UserStore,
};
use crate::token::ThrottleKeys;
use crate::{
    EmailAddress, EmailVerification, Generation, PasswordHash, SecretKey, SecretKeys, Timestamp,
    User, UserId, Username,
};

const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
const LEASE: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
struct TestClock(AtomicI64);

impl TestClock {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs() as i64, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.0.load(Ordering::SeqCst))
    }
}

#[derive(Debug)]
struct Entry {
    mail: NewMail,
    attempt: u32,
    abandoned: bool,
    reason: String,
}

/// An outbox in memory, and users who are all known and whose addresses wait for verification.
#[derive(Debug, Default)]
struct Outbox {
    entries: Mutex<Vec<Entry>>,
    verified: Mutex<Vec<EmailAddress>>,
    verifications: Mutex<u32>,
    /// How many claims fail.
    failures: AtomicUsize,
    /// How many results are not taken.
    deaf: AtomicUsize,
    /// Notified when a claim finds nothing.
    found_empty: Notify,
}

impl Outbox {
    fn add(&self, to: &str) {
        let to = to.parse().unwrap();
        let mail = NewMail::new(MailKind::VerifyEmail, to, Timestamp::UNIX_EPOCH);
        self.entries.lock().unwrap().push(Entry {
            mail,
            attempt: 0,
            abandoned: false,
            reason: String::new(),
        });
    }

    fn waiting(&self) -> usize {
        let entries = self.entries.lock().unwrap();
        entries.iter().filter(|entry| !entry.abandoned).count()
    }

    fn reasons(&self) -> Vec<String> {
        let entries = self.entries.lock().unwrap();
        entries.iter().map(|entry| entry.reason.clone()).collect()
    }

    fn settle(&self, mail: &ClaimedMail, act: impl FnOnce(&mut Entry)) -> Result<(), StoreError> {
        if fails(&self.deaf) {
            return Err(unavailable());
        }
        let mut entries = self.entries.lock().unwrap();
        let held = |e: &&mut Entry| e.mail.id == mail.id && e.attempt == mail.attempt;
        if let Some(entry) = entries.iter_mut().find(held) {
            act(entry);
        }
        Ok(())
    }
}

fn fails(counter: &AtomicUsize) -> bool {
    let one_less = |left: usize| left.checked_sub(1);
    counter
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
        .is_ok()
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("the test says so".into())
}

#[async_trait]
impl OutboxStore for Outbox {
    async fn enqueue_mail(&self, _: &NewMail) -> Result<(), StoreError> {
        unreachable!("a worker adds no mail")
    }

    async fn claim_mail(
        &self,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<ClaimedMail>, StoreError> {
        if fails(&self.failures) {
            return Err(unavailable());
        }
        let mut entries = self.entries.lock().unwrap();
        let due = |e: &&mut Entry| !e.abandoned && e.mail.due <= now;
        let Some(entry) = entries.iter_mut().find(due) else {
            self.found_empty.notify_one();
            return Ok(None);
        };
        entry.attempt += 1;
        entry.mail.due = now + lease;
        let NewMail { id, kind, to, .. } = entry.mail.clone();
        Ok(Some(ClaimedMail::new(id, kind, to, entry.attempt)))
    }

    async fn complete_mail(&self, mail: &ClaimedMail) -> Result<(), StoreError> {
        self.settle(mail, |_| {})?;
        let mut entries = self.entries.lock().unwrap();
        entries.retain(|entry| entry.mail.id != mail.id);
        Ok(())
    }

    async fn postpone_mail(
        &self,
        mail: &ClaimedMail,
        due: Timestamp,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.settle(mail, |entry| {
            entry.mail.due = due;
            entry.reason = reason.to_owned();
        })
    }

    async fn abandon_mail(
        &self,
        mail: &ClaimedMail,
        _: Timestamp,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.settle(mail, |entry| {
            entry.abandoned = true;
            entry.reason = reason.to_owned();
        })
    }
}

#[async_trait]
impl UserStore for Outbox {
    async fn begin_email_verification(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, Generation)>, StoreError> {
        let Some((user, _)) = self.find_credentials_by_email(email).await? else {
            return Ok(None);
        };
        let mut verifications = self.verifications.lock().unwrap();
        *verifications += 1;
        Ok(Some((user, Generation::new(*verifications))))
    }

    async fn find_email_verification(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, Generation)>, StoreError> {
        let found = self.find_credentials_by_email(email).await?;
        let last = Generation::new(*self.verifications.lock().unwrap());
        Ok(found.map(|(user, _)| (user, last)))
    }

    async fn find_credentials_by_email(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, PasswordHash)>, StoreError> {
        if self.verified.lock().unwrap().contains(email) {
            return Ok(None);
        }
        let username: Username = "Alice".parse().unwrap();
        let stored = email.as_str().replace("typed", "stored").parse().unwrap();
        let id = UserId::generate();
        let user = User::new(id, username, stored, Timestamp::UNIX_EPOCH);
        Ok(Some((user, PasswordHash::from_stored("hash"))))
    }

    async fn create_user(
        &self,
        _: &NewUser,
        _: Option<&NewMail>,
        _: &AuditEvent,
    ) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn create_first_superuser(
        &self,
        _: &NewUser,
        _: &AuditEvent,
    ) -> Result<bool, StoreError> {
        unreachable!()
    }

    async fn find_credentials(
        &self,
        _: &Username,
    ) -> Result<Option<(User, PasswordHash)>, StoreError> {
        unreachable!()
    }

    async fn find_user(&self, _: UserId) -> Result<Option<User>, StoreError> {
        unreachable!()
    }

    async fn list_users(&self, _: &UserFilter) -> Result<Vec<User>, StoreError> {
        unreachable!()
    }

    async fn fill_username_skeletons(
        &self,
        _: Option<UserId>,
        _: u32,
    ) -> Result<Option<UserId>, StoreError> {
        unreachable!()
    }

    async fn replace_password_hash(
        &self,
        _: UserId,
        _: &PasswordHash,
        _: &PasswordHash,
    ) -> Result<bool, StoreError> {
        unreachable!()
    }

    async fn confirm_email(
        &self,
        _: UserId,
        _: &EmailAddress,
        _: Generation,
        _: &AuditEvent,
    ) -> Result<EmailConfirmation, StoreError> {
        unreachable!()
    }
}

#[async_trait]
impl EmailChangeStore for Outbox {
    async fn request_email_change(
        &self,
        _: &NewEmailChange,
        _: &NewMail,
        _: &AuditEvent,
    ) -> Result<bool, StoreError> {
        unreachable!()
    }

    async fn find_email_change(&self, _: EmailChangeId) -> Result<Option<EmailChange>, StoreError> {
        unreachable!()
    }

    async fn confirm_email_change(
        &self,
        _: EmailChangeId,
        _: Timestamp,
        _: &NewMail,
        _: &AuditEvent,
    ) -> Result<bool, StoreError> {
        unreachable!()
    }

    async fn undo_email_change(
        &self,
        _: EmailChangeId,
        _: &EmailChangeUndo,
        _: &Ending,
        _: &AuditEvent,
    ) -> Result<Option<crate::store::Revoked>, StoreError> {
        unreachable!()
    }

    async fn remove_email_changes(&self, _: Timestamp, _: u32) -> Result<u64, StoreError> {
        unreachable!()
    }
}

#[async_trait]
impl EnrollmentStore for Outbox {
    async fn begin_enrollment(
        &self,
        _: &Enrollee,
        _: &NewMail,
        _: &AuditEvent,
    ) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn find_enrollment(&self, _: EnrollmentId) -> Result<Option<Enrollee>, StoreError> {
        unreachable!()
    }

    async fn find_enrollments_of(&self, _: &EmailAddress) -> Result<Vec<Enrollee>, StoreError> {
        Ok(Vec::new())
    }

    async fn complete_enrollment(
        &self,
        _: EnrollmentId,
        _: &NewUser,
        _: &AuditEvent,
    ) -> Result<bool, StoreError> {
        unreachable!()
    }

    async fn remove_enrollments(&self, _: Timestamp, _: u32) -> Result<u64, StoreError> {
        unreachable!()
    }
}

#[async_trait]
impl ThrottleStore for Outbox {
    async fn take_tries(&self, _: &[TryBudget], _: Timestamp) -> Result<Admission, StoreError> {
        Ok(Admission::Admitted)
    }

    async fn give_back_tries(&self, _: &[ThrottleKey], _: Timestamp) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn remove_tries(&self, _: Timestamp, _: u32) -> Result<u64, StoreError> {
        unreachable!()
    }
}

/// Answers as scripted, then takes everything; each mail waits for a permit of the gate.
#[derive(Debug)]
struct Postman {
    script: Mutex<VecDeque<MailError>>,
    gate: Semaphore,
    arrived: mpsc::UnboundedSender<Mail>,
    delivered: Mutex<Vec<Mail>>,
}

#[async_trait]
impl MailTransport for Postman {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.arrived.send(mail.clone()).unwrap();
        self.gate.acquire().await.unwrap().forget();
        match self.script.lock().unwrap().pop_front() {
            Some(error) => Err(error),
            None => {
                self.delivered.lock().unwrap().push(mail.clone());
                Ok(())
            }
        }
    }

    async fn check(&self) -> Result<(), MailError> {
        Ok(())
    }
}

struct Office {
    outbox: Arc<Outbox>,
    postman: Arc<Postman>,
    arrivals: mpsc::UnboundedReceiver<Mail>,
    clock: Arc<TestClock>,
    wake: Arc<Notify>,
}

/// An office whose gate is open.
fn office() -> (Office, MailWorker) {
    let (office, worker) = closed_office();
    office.postman.gate.add_permits(1000);
    (office, worker)
}

fn closed_office() -> (Office, MailWorker) {
    let outbox = Arc::new(Outbox::default());
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let postman = Arc::new(Postman {
        script: Mutex::default(),
        gate: Semaphore::new(0),
        arrived,
        delivered: Mutex::default(),
    });
    let clock = Arc::new(TestClock::default());
    let wake = Arc::new(Notify::new());
    let letters = Letters {
        users: outbox.clone(),
        email_changes: outbox.clone(),
        enrollments: outbox.clone(),
        throttle: outbox.clone(),
        throttle_keys: ThrottleKeys::new(&secret_keys()),
        links: links(),
        templates: MailTemplates::default(),
        email_verification: EmailVerification::Required,
        clock: clock.clone(),
    };
    let worker = MailWorker::new(
        outbox.clone(),
        postman.clone(),
        letters,
        clock.clone(),
        wake.clone(),
    )
    .with_lease(LEASE)
    // No test waits for it: one that needs it sets it.
    .with_poll_interval(Duration::from_secs(3600));
    let office = Office {
        outbox,
        postman,
        arrivals,
        clock,
        wake,
    };
    (office, worker)
}

fn links() -> MailLinks {
    let lifetimes = LinkLifetimes {
        verification: LIFETIME,
        password_reset: LIFETIME,
        email_undo: LIFETIME,
        invitation: LIFETIME,
    };
    MailLinks::new(&secret_keys(), "https://auth.example/", lifetimes)
}

fn secret_keys() -> SecretKeys {
    SecretKeys::new(SecretKey::parse("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0").unwrap())
}

impl Office {
    fn answers(&self, errors: impl IntoIterator<Item = MailError>) {
        self.postman.script.lock().unwrap().extend(errors);
    }

    fn delivered_to(&self) -> Vec<String> {
        let delivered = self.postman.delivered.lock().unwrap();
        delivered.iter().map(|mail| mail.to.to_string()).collect()
    }
}

fn temporary() -> MailError {
    MailError::Temporary("451 try later".into())
}

fn permanent(answer: &str) -> MailError {
    MailError::Permanent(answer.into())
}

fn deliveries(set: impl FnOnce(&mut Deliveries)) -> Deliveries {
    let mut deliveries = Deliveries::default();
    set(&mut deliveries);
    deliveries
}

#[tokio::test]
async fn delivers_what_is_due_and_empties_the_outbox() {
    let (office, worker) = office();
    for name in ["a", "b", "c", "d", "e", "f"] {
        office.outbox.add(&format!("{name}@example.org"));
    }
    let done = worker.deliver_due().await.unwrap();
    assert_eq!(done, deliveries(|d| d.sent = 6));
    assert_eq!(office.delivered_to().len(), 6);
    assert_eq!(office.outbox.waiting(), 0);
    assert_eq!(worker.deliver_due().await.unwrap(), Deliveries::default());
}

#[tokio::test]
async fn s8_3_the_link_begins_with_the_configured_url_and_goes_to_the_stored_address() {
    let (office, worker) = office();
    office.outbox.add("typed@example.org");
    worker.deliver_due().await.unwrap();

    let delivered = office.postman.delivered.lock().unwrap();
    let [mail] = delivered.as_slice() else {
        panic!("{delivered:?}");
    };
    assert_eq!(mail.to.as_str(), "stored@example.org");
    let html = mail.html.replace("&#x2f;", "/");
    for text in [&mail.text, &html] {
        assert!(text.contains("https://auth.example/api/register/verify/?token="));
        assert!(text.contains("Alice"));
    }
}

#[tokio::test]
async fn a_mail_that_is_owed_no_longer_is_not_sent() {
    let (office, worker) = office();
    office.outbox.add("bob@example.org");
    let verified = "bob@example.org".parse().unwrap();
    office.outbox.verified.lock().unwrap().push(verified);

    let done = worker.deliver_due().await.unwrap();
    assert_eq!(done, deliveries(|d| d.not_owed = 1));
    assert_eq!(office.outbox.waiting(), 0);
    assert!(office.delivered_to().is_empty());
}

#[tokio::test]
async fn s8_5_a_temporary_failure_is_retried_after_a_growing_pause_with_a_fresh_link() {
    let (office, worker) = office();
    office.outbox.add("bob@example.org");
    office.answers([temporary(), temporary()]);
    let postponed = deliveries(|d| d.postponed = 1);
    let nothing = Deliveries::default();

    assert_eq!(worker.deliver_due().await.unwrap(), postponed);
    office.clock.advance(Duration::from_secs(29));
    assert_eq!(worker.deliver_due().await.unwrap(), nothing, "too early");
    office.clock.advance(Duration::from_secs(10));
    assert_eq!(worker.deliver_due().await.unwrap(), postponed);
    office.clock.advance(Duration::from_secs(59));
    assert_eq!(worker.deliver_due().await.unwrap(), nothing, "too early");
    office.clock.advance(Duration::from_secs(20));
    let sent = deliveries(|d| d.sent = 1);
    assert_eq!(worker.deliver_due().await.unwrap(), sent);
    let begun = *office.outbox.verifications.lock().unwrap();
    assert_eq!(begun, 1, "the links of all tries are good");
}

#[tokio::test]
async fn a_mail_that_always_fails_is_given_up_after_about_three_days() {
    let (office, worker) = office();
    office.outbox.add("bob@example.org");
    office.answers((0..1000).map(|_| temporary()));

    let mut hours = 0;
    while office.outbox.waiting() > 0 {
        worker.deliver_due().await.unwrap();
        office.clock.advance(Duration::from_secs(60 * 60));
        hours += 1;
    }
    assert!((60..=150).contains(&hours), "{hours}");
    let reasons = office.outbox.reasons();
    assert_eq!(reasons, ["the mail could not be sent now: 451 try later"]);
}

#[tokio::test]
async fn the_number_of_tries_can_be_set() {
    let (office, worker) = office();
    let worker = worker.with_max_attempts(NonZeroU32::MIN);
    office.outbox.add("bob@example.org");
    office.answers([temporary()]);
    let done = worker.deliver_due().await.unwrap();
    assert_eq!(done, deliveries(|d| d.abandoned = 1));
}

#[tokio::test]
async fn s14_2_a_refused_mail_is_given_up_with_a_reason_that_holds_neither_address_nor_link() {
    let (office, worker) = office();
    office.outbox.add("bob@example.org");
    office.answers([permanent(
        "550 <bob@example.org> refused https://auth.example/?token=x",
    )]);
    let done = worker.deliver_due().await.unwrap();
    assert_eq!(done, deliveries(|d| d.abandoned = 1));
    let reasons = office.outbox.reasons();
    assert_eq!(
        reasons,
        ["the mail cannot be sent: 550 [address] refused [...]"]
    );
}

#[tokio::test]
async fn s8_5_a_result_that_the_store_did_not_take_is_made_good_after_the_lease() {
    let (office, worker) = office();
    office.outbox.add("bob@example.org");
    office.outbox.deaf.store(1, Ordering::SeqCst);

    let done = worker.deliver_due().await.unwrap();
    assert_eq!(done, deliveries(|d| d.unsettled = 1));
    assert_eq!(worker.deliver_due().await.unwrap(), Deliveries::default());
    office.clock.advance(LEASE);
    let sent = deliveries(|d| d.sent = 1);
    assert_eq!(worker.deliver_due().await.unwrap(), sent);
}

#[tokio::test]
async fn one_pass_reports_a_store_that_fails() {
    let (office, worker) = office();
    office.outbox.failures.store(1, Ordering::SeqCst);
    assert!(worker.deliver_due().await.is_err());
}

#[tokio::test]
async fn a_transport_that_hangs_is_given_no_longer_than_the_lease() {
    let (office, worker) = closed_office();
    let worker = worker.with_lease(Duration::from_millis(1));
    office.outbox.add("bob@example.org");
    let done = worker.deliver_due().await.unwrap();
    assert_eq!(done, deliveries(|d| d.postponed = 1));
}

#[tokio::test]
async fn a_slow_mail_does_not_stop_the_others_and_the_number_at_once_is_limited() {
    let (mut office, worker) = closed_office();
    for name in ["a", "b", "c"] {
        office.outbox.add(&format!("{name}@example.org"));
    }
    let worker = worker.with_concurrency(NonZeroUsize::new(2).unwrap());
    let pass = tokio::spawn(async move { worker.deliver_due().await.unwrap() });

    office.arrivals.recv().await.unwrap();
    office.arrivals.recv().await.unwrap();
    assert!(office.arrivals.try_recv().is_err(), "two at once, no more");
    office.postman.gate.add_permits(1);
    office.arrivals.recv().await.unwrap();
    office.postman.gate.add_permits(2);
    assert_eq!(pass.await.unwrap(), deliveries(|d| d.sent = 3));
}

#[tokio::test]
async fn a_running_worker_is_woken_and_ends_after_the_mail_in_hand() {
    let (mut office, worker) = closed_office();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(worker.run(async { stopped.await.unwrap_or_default() }));
    office.outbox.found_empty.notified().await;

    office.outbox.add("bob@example.org");
    office.wake.notify_one();
    office.arrivals.recv().await.unwrap();
    stop.send(()).unwrap();
    tokio::task::yield_now().await;
    assert!(!running.is_finished());
    office.postman.gate.add_permits(1);
    running.await.unwrap();
    assert_eq!(office.delivered_to(), ["bob@example.org"]);
    assert_eq!(office.outbox.waiting(), 0);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_hanging_mail_for_ever() {
    let (mut office, worker) = closed_office();
    let worker = worker.with_shutdown_grace(Duration::from_millis(1));
    office.outbox.add("bob@example.org");
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(worker.run(async { stopped.await.unwrap_or_default() }));
    office.arrivals.recv().await.unwrap();
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(office.outbox.waiting(), 1, "the mail is still owed");
}

#[tokio::test]
async fn a_running_worker_finds_mails_of_other_nodes_and_survives_a_failing_store() {
    let (mut office, worker) = office();
    let worker = worker.with_poll_interval(Duration::from_millis(1));
    office.outbox.failures.store(3, Ordering::SeqCst);
    let (_stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(worker.run(async { stopped.await.unwrap_or_default() }));
    office.outbox.add("bob@example.org");
    let mail = office.arrivals.recv().await.unwrap();
    assert_eq!(mail.to.as_str(), "bob@example.org");
    running.abort();
}

#[test]
fn a_failing_store_is_asked_less_and_less_often() {
    let (_, worker) = office();
    let worker = worker.with_poll_interval(Duration::from_secs(5));
    let seconds = |failures| worker.pause(failures).as_secs();
    assert_eq!([0, 1, 2, 3, 4, 99].map(seconds), [5, 10, 20, 40, 60, 60]);
}
