//! A store whose calls wait for their turn, so that a test decides how they interleave.

use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use auth_core::audit::AuditEvent;
use auth_core::store::{
    AccountChange, AccountStore, Admission, ClaimedMail, ClockReading, EmailChange, EmailChangeId,
    EmailChangeStore, EmailChangeUndo, EmailConfirmation, Ending, Enrollee, EnrollmentId,
    EnrollmentStore, EventFilter, EventStore, HousekeepingStore, NewEmailChange, NewMail,
    NewSession, NewUser, OutboxStore, RevocationFeed, RevocationStore, Revoked, SessionRotation,
    SessionStore, Store, StoreError, ThrottleKey, ThrottleStore, TryBudget, UserFilter, UserStore,
};
use auth_core::{
    EmailAddress, Generation, PasswordHash, Session, SessionId, Timestamp, User, UserId, Username,
};
use futures_util::future::{BoxFuture, poll_fn};

/// What a use case asks the store for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Rotate,
    Follow,
    Find,
    Touch,
    Revoke,
}

/// How far a use case has come.
pub(crate) enum Progress<T> {
    /// It waits before this call.
    At(Call),
    Done(T),
}

/// Lets one call of one use case pass at a time.
///
/// Nothing runs beside the use case that is being driven, so that the gate need not know who
/// waits at it.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    may_pass: bool,
    waiting: Option<Call>,
}

impl Gate {
    async fn pass(&self, call: Call) {
        poll_fn(|_| {
            let mut state = self.0.lock().unwrap();
            if std::mem::take(&mut state.may_pass) {
                return Poll::Ready(());
            }
            state.waiting = Some(call);
            Poll::Pending
        })
        .await;
    }

    /// Runs a use case that has just begun up to its first call.
    pub(crate) async fn begin<T>(&self, case: &mut BoxFuture<'_, T>) -> Progress<T> {
        poll_fn(|context| match case.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Progress::Done(done)),
            Poll::Pending => match self.0.lock().unwrap().waiting.take() {
                Some(call) => Poll::Ready(Progress::At(call)),
                None => Poll::Pending,
            },
        })
        .await
    }

    /// Lets the call pass that a use case waits before, and runs it up to the next one.
    pub(crate) async fn step<T>(&self, case: &mut BoxFuture<'_, T>) -> Progress<T> {
        self.0.lock().unwrap().may_pass = true;
        self.begin(case).await
    }
}

#[derive(Debug)]
pub(crate) struct GatedStore {
    store: Arc<dyn Store>,
    gate: Arc<Gate>,
}

impl GatedStore {
    pub(crate) fn new(store: Arc<dyn Store>, gate: Arc<Gate>) -> Self {
        Self { store, gate }
    }
}

#[async_trait]
impl SessionStore for GatedStore {
    async fn create_session(
        &self,
        session: &NewSession,
        checked: &PasswordHash,
        event: &AuditEvent,
    ) -> Result<Option<Revoked>, StoreError> {
        self.store.create_session(session, checked, event).await
    }

    async fn find_session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.gate.pass(Call::Find).await;
        self.store.find_session(id).await
    }

    async fn list_sessions(
        &self,
        user: UserId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        self.store.list_sessions(user, now, limit).await
    }

    async fn rotate_session(
        &self,
        rotation: &SessionRotation,
    ) -> Result<Option<Session>, StoreError> {
        self.gate.pass(Call::Rotate).await;
        self.store.rotate_session(rotation).await
    }

    async fn follow_session(
        &self,
        rotation: &SessionRotation,
        to: Generation,
        event: &AuditEvent,
    ) -> Result<Option<Session>, StoreError> {
        self.gate.pass(Call::Follow).await;
        self.store.follow_session(rotation, to, event).await
    }

    async fn touch_session(
        &self,
        id: SessionId,
        now: Timestamp,
        unused_since: Timestamp,
    ) -> Result<(), StoreError> {
        self.gate.pass(Call::Touch).await;
        self.store.touch_session(id, now, unused_since).await
    }

    async fn revoke_session(
        &self,
        id: SessionId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Option<UserId>, StoreError> {
        self.gate.pass(Call::Revoke).await;
        self.store.revoke_session(id, ending, event).await
    }

    async fn revoke_user_sessions(
        &self,
        user: UserId,
        except: Option<SessionId>,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Revoked, StoreError> {
        let store = &self.store;
        store
            .revoke_user_sessions(user, except, ending, event)
            .await
    }

    async fn revoke_all_sessions(
        &self,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<u64, StoreError> {
        self.store.revoke_all_sessions(ending, event).await
    }

    async fn revoke_sessions_begun_before(
        &self,
        begun_before: Timestamp,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<u64, StoreError> {
        let store = &self.store;
        store
            .revoke_sessions_begun_before(begun_before, ending, event)
            .await
    }
}

#[async_trait]
impl AccountStore for GatedStore {
    async fn change_user(
        &self,
        id: UserId,
        change: &AccountChange,
        ending: &Ending,
        events: &[AuditEvent],
    ) -> Result<Option<Revoked>, StoreError> {
        self.store.change_user(id, change, ending, events).await
    }

    async fn delete_user(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Option<Revoked>, StoreError> {
        self.store.delete_user(id, ending, event).await
    }
}

#[async_trait]
impl EmailChangeStore for GatedStore {
    async fn request_email_change(
        &self,
        change: &NewEmailChange,
        mail: &NewMail,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        self.store.request_email_change(change, mail, event).await
    }

    async fn find_email_change(
        &self,
        id: EmailChangeId,
    ) -> Result<Option<EmailChange>, StoreError> {
        self.store.find_email_change(id).await
    }

    async fn confirm_email_change(
        &self,
        id: EmailChangeId,
        undo_until: Timestamp,
        notice: &NewMail,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let store = &self.store;
        store
            .confirm_email_change(id, undo_until, notice, event)
            .await
    }

    async fn undo_email_change(
        &self,
        id: EmailChangeId,
        undo: &EmailChangeUndo,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Option<Revoked>, StoreError> {
        self.store.undo_email_change(id, undo, ending, event).await
    }

    async fn remove_email_changes(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.store.remove_email_changes(before, limit).await
    }
}

#[async_trait]
impl EnrollmentStore for GatedStore {
    async fn begin_enrollment(
        &self,
        enrollment: &Enrollee,
        mail: &NewMail,
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        self.store.begin_enrollment(enrollment, mail, event).await
    }

    async fn find_enrollment(&self, id: EnrollmentId) -> Result<Option<Enrollee>, StoreError> {
        self.store.find_enrollment(id).await
    }

    async fn find_enrollments_of(&self, email: &EmailAddress) -> Result<Vec<Enrollee>, StoreError> {
        self.store.find_enrollments_of(email).await
    }

    async fn complete_enrollment(
        &self,
        id: EnrollmentId,
        user: &NewUser,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        self.store.complete_enrollment(id, user, event).await
    }

    async fn remove_enrollments(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.store.remove_enrollments(before, limit).await
    }
}

#[async_trait]
impl RevocationStore for GatedStore {
    async fn follow_revocations(&self) -> Result<Box<dyn RevocationFeed>, StoreError> {
        self.store.follow_revocations().await
    }

    async fn remove_revocations(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.store.remove_revocations(before, limit).await
    }
}

#[async_trait]
impl ThrottleStore for GatedStore {
    async fn take_tries(
        &self,
        budgets: &[TryBudget],
        now: Timestamp,
    ) -> Result<Admission, StoreError> {
        self.store.take_tries(budgets, now).await
    }

    async fn give_back_tries(
        &self,
        keys: &[ThrottleKey],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.store.give_back_tries(keys, now).await
    }

    async fn remove_tries(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.store.remove_tries(before, limit).await
    }
}

#[async_trait]
impl Store for GatedStore {
    async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }

    async fn read_clock(&self) -> Result<Option<ClockReading>, StoreError> {
        self.store.read_clock().await
    }
}

#[async_trait]
impl UserStore for GatedStore {
    async fn create_user(
        &self,
        user: &NewUser,
        mail: Option<&NewMail>,
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        self.store.create_user(user, mail, event).await
    }

    async fn create_first_superuser(
        &self,
        user: &NewUser,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        self.store.create_first_superuser(user, event).await
    }

    async fn find_credentials(
        &self,
        username: &Username,
    ) -> Result<Option<(User, PasswordHash)>, StoreError> {
        self.store.find_credentials(username).await
    }

    async fn find_credentials_by_email(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, PasswordHash)>, StoreError> {
        self.store.find_credentials_by_email(email).await
    }

    async fn find_user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.store.find_user(id).await
    }

    async fn list_users(&self, filter: &UserFilter) -> Result<Vec<User>, StoreError> {
        self.store.list_users(filter).await
    }

    async fn fill_username_skeletons(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Option<UserId>, StoreError> {
        self.store.fill_username_skeletons(after, limit).await
    }

    async fn replace_password_hash(
        &self,
        id: UserId,
        current: &PasswordHash,
        replacement: &PasswordHash,
    ) -> Result<bool, StoreError> {
        self.store
            .replace_password_hash(id, current, replacement)
            .await
    }

    async fn begin_email_verification(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, Generation)>, StoreError> {
        self.store.begin_email_verification(email).await
    }

    async fn find_email_verification(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, Generation)>, StoreError> {
        self.store.find_email_verification(email).await
    }

    async fn confirm_email(
        &self,
        id: UserId,
        email: &EmailAddress,
        verification: Generation,
        event: &AuditEvent,
    ) -> Result<EmailConfirmation, StoreError> {
        self.store
            .confirm_email(id, email, verification, event)
            .await
    }
}

#[async_trait]
impl OutboxStore for GatedStore {
    async fn enqueue_mail(&self, mail: &NewMail) -> Result<(), StoreError> {
        self.store.enqueue_mail(mail).await
    }

    async fn claim_mail(
        &self,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<ClaimedMail>, StoreError> {
        self.store.claim_mail(now, lease).await
    }

    async fn complete_mail(&self, mail: &ClaimedMail) -> Result<(), StoreError> {
        self.store.complete_mail(mail).await
    }

    async fn postpone_mail(
        &self,
        mail: &ClaimedMail,
        due: Timestamp,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.store.postpone_mail(mail, due, reason).await
    }

    async fn abandon_mail(
        &self,
        mail: &ClaimedMail,
        now: Timestamp,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.store.abandon_mail(mail, now, reason).await
    }
}

#[async_trait]
impl EventStore for GatedStore {
    async fn append_events(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        self.store.append_events(events).await
    }

    async fn list_events(&self, filter: &EventFilter) -> Result<Vec<AuditEvent>, StoreError> {
        self.store.list_events(filter).await
    }

    async fn remove_events(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.store.remove_events(before, limit).await
    }
}

#[async_trait]
impl HousekeepingStore for GatedStore {
    async fn acquire_lease(
        &self,
        name: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store.acquire_lease(name, now, until).await
    }

    async fn remove_expired_sessions(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.store.remove_expired_sessions(before, limit).await
    }

    async fn remove_abandoned_mails(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.store.remove_abandoned_mails(before, limit).await
    }
}
