//! Names of all scripts, compared by what they look like.

use super::Engine;
use crate::{AuthError, UsernamePolicy};

/// How many users are looked at in one transaction.
const BATCH: u32 = 500;

impl Engine {
    /// With [`UsernamePolicy::Unicode`], has the names of users that were there before compared with
    /// new ones, too; call it when a node starts, before it serves.
    ///
    /// It takes a few seconds for each 100,000 users the first time, and looks only at those without
    /// a skeleton from then on: users who were imported, or registered by a node with another
    /// policy, and those who look like a user who was there first. With another policy it does
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`AuthError::Storage`] if the store cannot answer.
    pub async fn fill_username_skeletons(&self) -> Result<(), AuthError> {
        let inner = &self.inner;
        if inner.usernames != UsernamePolicy::Unicode {
            return Ok(());
        }
        let mut last = None;
        loop {
            last = inner.store.fill_username_skeletons(last, BATCH).await?;
            if last.is_none() {
                return Ok(());
            }
        }
    }
}
