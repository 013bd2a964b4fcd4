use std::fmt;

use async_trait::async_trait;

use super::StoreError;
use crate::Timestamp;

/// What removes that which nobody needs any more: of each kind, the oldest first, and not more at
/// once than the database does beside its other work.
#[async_trait]
pub trait HousekeepingStore: fmt::Debug + Send + Sync + 'static {
    /// Takes the lease of this name until a time, unless somebody has it at `now`; returns whether
    /// it did. Of many calls at once, one takes it.
    ///
    /// Nobody gives it back: it ends by itself, also when its holder has crashed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn acquire_lease(
        &self,
        name: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Removes up to `limit` sessions that expire before a time, revoked or not; returns how many.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn remove_expired_sessions(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Removes up to `limit` mails that were given up before a time; returns how many.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Failed`].
    async fn remove_abandoned_mails(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError>;
}
