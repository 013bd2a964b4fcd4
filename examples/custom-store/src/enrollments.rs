//! Enrollments.

use async_trait::async_trait;
use auth_core::audit::AuditEvent;
use auth_core::store::{
    Enrollee, EnrollmentId, EnrollmentOrigin, EnrollmentStore, NewMail, NewUser, StoreError,
};
use auth_core::{EmailAddress, PasswordHash, Timestamp};

use crate::MemoryStore;

#[async_trait]
impl EnrollmentStore for MemoryStore {
    async fn begin_enrollment(
        &self,
        enrollment: &Enrollee,
        mail: &NewMail,
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        let mut tables = self.lock();
        let key = enrollment.email.key().to_owned();
        tables.enrollments.insert(key, enrollment.clone());
        tables.insert_mail(mail);
        tables.events.insert(event.id, event.clone());
        Ok(())
    }

    async fn find_enrollment(&self, id: EnrollmentId) -> Result<Option<Enrollee>, StoreError> {
        let tables = self.lock();
        let mut all = tables.enrollments.values();
        Ok(all.find(|enrollment| enrollment.id == id).cloned())
    }

    async fn find_enrollment_of(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<Enrollee>, StoreError> {
        Ok(self.lock().enrollments.get(email.key()).cloned())
    }

    async fn complete_enrollment(
        &self,
        id: EnrollmentId,
        user: &NewUser,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        let pending =
            |enrollment: &&Enrollee| enrollment.id == id && enrollment.completed_at.is_none();
        let Some(mut enrollment) = tables.enrollments.values().find(pending).cloned() else {
            return Ok(false);
        };
        tables.insert_user(user, event.at)?;
        enrollment.completed_at = Some(event.at);
        if let EnrollmentOrigin::SignUp { password_hash, .. } = &mut enrollment.origin {
            *password_hash = PasswordHash::from_stored("!");
        }
        let key = enrollment.email.key().to_owned();
        tables.enrollments.insert(key, enrollment);
        tables.events.insert(event.id, event.clone());
        Ok(true)
    }

    async fn remove_enrollments(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut tables = self.lock();
        let mut old: Vec<_> = tables.enrollments.values().cloned().collect();
        old.retain(|enrollment| enrollment.expires_at < before);
        old.sort_by_key(|enrollment| enrollment.expires_at);
        let removed = old.iter().take(limit as usize);
        Ok(removed
            .filter_map(|enrollment| tables.enrollments.remove(enrollment.email.key()))
            .count() as u64)
    }
}
