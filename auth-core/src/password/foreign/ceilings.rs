//! What a hash of another system may cost.

/// The most that a stored hash of another system may cost to verify.
///
/// As [`Argon2Ceilings`](crate::password::Argon2Ceilings), which hold for Argon2 in any form. The
/// defaults leave room for what other systems make, and for a few seconds of one thread at worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignCeilings {
    pub(super) pbkdf2_iterations: u32,
    pub(super) scrypt_memory_kib: u32,
    pub(super) scrypt_work_kib: u32,
    pub(super) bcrypt_cost: u32,
}

impl ForeignCeilings {
    /// The iterations of PBKDF2, times the blocks of its output; by default 5,000,000. Django 6.0
    /// makes 1,200,000 for one block.
    #[must_use]
    pub const fn with_pbkdf2_iterations(mut self, iterations: u32) -> Self {
        self.pbkdf2_iterations = iterations;
        self
    }

    /// The memory of scrypt, 128 × `r` × `N` bytes and a little; by default 256 MiB. Django makes
    /// 16 MiB, and OWASP recommends up to 128.
    ///
    /// It is fetched for this once: at worst as many times as there are threads.
    #[must_use]
    pub const fn with_scrypt_memory_kib(mut self, memory_kib: u32) -> Self {
        self.scrypt_memory_kib = memory_kib;
        self
    }

    /// The memory that scrypt fills in all, 128 × `r` × `N` × `p` bytes; by default 1 GiB. Django
    /// fills 80 MiB.
    #[must_use]
    pub const fn with_scrypt_work_kib(mut self, work_kib: u32) -> Self {
        self.scrypt_work_kib = work_kib;
        self
    }

    /// The cost of bcrypt, each more of which doubles the time; by default 15. Django makes 12.
    #[must_use]
    pub const fn with_bcrypt_cost(mut self, cost: u32) -> Self {
        self.bcrypt_cost = cost;
        self
    }
}

impl Default for ForeignCeilings {
    fn default() -> Self {
        Self {
            pbkdf2_iterations: 5_000_000,
            scrypt_memory_kib: 256 * 1024,
            scrypt_work_kib: 1024 * 1024,
            bcrypt_cost: 15,
        }
    }
}
