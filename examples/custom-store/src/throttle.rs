//! Tries that may fail.

use async_trait::async_trait;
use auth_core::Timestamp;
use auth_core::store::{
    Admission, LoginSettlement, StoreError, ThrottleKey, ThrottleStore, TryBudget, TryRecord,
};

use crate::{MemoryStore, Tables};

#[async_trait]
impl ThrottleStore for MemoryStore {
    async fn take_tries(
        &self,
        budgets: &[TryBudget],
        now: Timestamp,
    ) -> Result<Admission, StoreError> {
        let mut tables = self.lock();
        let mut taken = Vec::new();
        for budget in budgets {
            let mut record = tables.tries(budget.key, now);
            if let Err(until) = record.take(budget, now) {
                return Ok(Admission::refused(budget.key, until));
            }
            taken.push((budget.key, record));
        }
        tables.tries.extend(taken);
        Ok(Admission::Admitted)
    }

    async fn give_back_tries(
        &self,
        keys: &[ThrottleKey],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.lock().give_back_tries(keys, now);
        Ok(())
    }

    async fn remove_tries(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut removed = 0;
        self.lock().tries.retain(|_, record| {
            let stays = record.forget_at >= before || removed == u64::from(limit);
            removed += u64::from(!stays);
            stays
        });
        Ok(removed)
    }
}

impl Tables {
    fn tries(&self, key: ThrottleKey, now: Timestamp) -> TryRecord {
        let known = self.tries.get(&key).copied();
        known.unwrap_or(TryRecord::new(now))
    }

    fn give_back_tries(&mut self, keys: &[ThrottleKey], now: Timestamp) {
        for key in keys {
            if let Some(record) = self.tries.get_mut(key) {
                record.give_back(now);
            }
        }
    }

    pub(crate) fn settle(&mut self, settlement: &LoginSettlement, now: Timestamp) {
        if let Some(key) = &settlement.forgotten {
            self.tries.remove(key);
        }
        self.give_back_tries(&settlement.given_back, now);
        if let Some((key, until)) = settlement.known {
            let mut record = self.tries(key, now);
            record.know(until);
            self.tries.insert(key, record);
        }
    }
}
