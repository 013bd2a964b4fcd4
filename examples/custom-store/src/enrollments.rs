//! Enrollments.

use std::cmp::Reverse;

use async_trait::async_trait;
use auth_core::audit::AuditEvent;
use auth_core::store::{
    Enrollee, EnrollmentId, EnrollmentOrigin, EnrollmentStore, NewMail, NewUser, Placement,
    StoreError,
};
use auth_core::{EmailAddress, PasswordHash, Timestamp};

use crate::{MemoryStore, Tables};

impl Tables {
    fn enrollments_of(&self, email: &EmailAddress) -> Vec<Enrollee> {
        let all = self.enrollments.values();
        let of_address = all.filter(|enrollment| enrollment.email.key() == email.key());
        of_address.cloned().collect()
    }
}

#[async_trait]
impl EnrollmentStore for MemoryStore {
    async fn begin_enrollment(
        &self,
        enrollment: &Enrollee,
        mail: &NewMail,
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        let mut tables = self.lock();
        let others = tables.enrollments_of(&enrollment.email);
        match enrollment.place_among(&others) {
            Placement::Beside => {
                tables.enrollments.insert(enrollment.id, enrollment.clone());
            }
            Placement::InPlaceOf(other) => {
                tables.enrollments.remove(&other);
                tables.enrollments.insert(enrollment.id, enrollment.clone());
            }
            Placement::Nowhere => {}
        }
        tables.insert_mail(mail);
        tables.events.insert(event.id, event.clone());
        Ok(())
    }

    async fn find_enrollment(&self, id: EnrollmentId) -> Result<Option<Enrollee>, StoreError> {
        Ok(self.lock().enrollments.get(&id).cloned())
    }

    async fn find_enrollments_of(&self, email: &EmailAddress) -> Result<Vec<Enrollee>, StoreError> {
        let mut found = self.lock().enrollments_of(email);
        found.sort_by_key(|enrollment| Reverse((enrollment.begun_at, enrollment.id)));
        Ok(found)
    }

    async fn complete_enrollment(
        &self,
        id: EnrollmentId,
        user: &NewUser,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        let found = tables.enrollments.get(&id).cloned();
        let pending = found.filter(|enrollment| enrollment.completed_at.is_none());
        let Some(mut enrollment) = pending else {
            return Ok(false);
        };
        tables.insert_user(user, event.at)?;
        enrollment.completed_at = Some(event.at);
        if let EnrollmentOrigin::SignUp { password_hash, .. } = &mut enrollment.origin {
            *password_hash = PasswordHash::from_stored("!");
        }
        for other in tables.enrollments_of(&enrollment.email) {
            tables.enrollments.remove(&other.id);
        }
        tables.enrollments.insert(id, enrollment);
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
            .filter_map(|enrollment| tables.enrollments.remove(&enrollment.id))
            .count() as u64)
    }
}
