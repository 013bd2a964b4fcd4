//! The memory that Argon2 fills.

use std::collections::TryReserveError;

use argon2::Block;
use zeroize::Zeroize;

#[cfg(feature = "simd-argon2")]
use super::simd::Simd;

/// The least number of blocks to ask the allocator for, 33 MiB; what is not used is never touched
/// and so costs address space only.
///
/// glibc maps blocks above 32 MiB by themselves and unmaps them when they are freed. Smaller ones
/// move into the arenas of the threads from the second time on, which keep and even multiply them:
/// two threads that fetched and freed 19 MiB four times held 97 MiB, and now hold none.
const MIN_RESERVED: usize = 33 * 1024;

/// The memory of one hashing thread, kept from hash to hash: not to fetch it from the operating
/// system each time is worth a tenth of the throughput.
///
/// What a hash leaves in it is overwritten by the next one. Since it would let who reads it guess
/// the password faster than the stored hash does, it is wiped when no next one waits: that costs
/// no throughput. The memory comes with the first hash, and goes after a while without any.
/// `argon2-rust` wipes its memory after each hash.
pub(super) struct Memory {
    blocks: Vec<Block>,
    keep: usize,
    used: usize,
    #[cfg(feature = "simd-argon2")]
    simd: Option<Simd>,
}

impl Memory {
    /// Makes a memory that keeps this many blocks, of 1 KiB each.
    pub(super) const fn new(keep: usize) -> Self {
        Self {
            blocks: Vec::new(),
            keep,
            used: 0,
            #[cfg(feature = "simd-argon2")]
            simd: None,
        }
    }

    /// Has `argon2-rust` hash in memory of its own, as much as is kept, if it can be trusted.
    #[cfg(feature = "simd-argon2")]
    pub(super) fn with_simd(mut self) -> Self {
        self.simd = Simd::new(self.keep);
        self
    }

    /// What to hash with before `argon2`.
    #[cfg(feature = "simd-argon2")]
    pub(super) const fn simd(&mut self) -> Option<&mut Simd> {
        self.simd.as_mut()
    }

    /// Lends out at least this many blocks; more than are kept are fetched for this once.
    pub(super) fn lend<T>(
        &mut self,
        count: usize,
        borrower: impl FnOnce(&mut [Block]) -> T,
    ) -> Result<T, TryReserveError> {
        if count > self.keep {
            let mut blocks = allocate(count)?;
            let result = borrower(&mut blocks);
            wipe(&mut blocks);
            return Ok(result);
        }
        if self.blocks.is_empty() {
            self.blocks = allocate(self.keep)?;
        }
        self.used = self.used.max(count);
        Ok(borrower(&mut self.blocks))
    }

    /// Wipes what hashes have left.
    pub(super) fn wipe(&mut self) {
        let used = std::mem::take(&mut self.used);
        wipe(self.blocks.iter_mut().take(used));
    }

    /// Wipes the memory and gives it back.
    pub(super) fn release(&mut self) {
        self.wipe();
        self.blocks = Vec::new();
        #[cfg(feature = "simd-argon2")]
        if let Some(simd) = &mut self.simd {
            simd.release();
        }
    }

    #[cfg(test)]
    pub(super) fn filled(&self) -> usize {
        let filled = |block: &&Block| block.as_ref().iter().any(|&word| word != 0);
        self.blocks.iter().filter(filled).count()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.wipe();
    }
}

fn allocate(count: usize) -> Result<Vec<Block>, TryReserveError> {
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(count.max(MIN_RESERVED))?;
    blocks.resize(count, Block::new());
    Ok(blocks)
}

fn wipe<'a>(blocks: impl IntoIterator<Item = &'a mut Block>) {
    blocks.into_iter().for_each(Zeroize::zeroize);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(blocks: &mut [Block]) -> *const Block {
        for block in blocks.iter_mut() {
            block.as_mut().fill(7);
        }
        blocks.as_ptr()
    }

    #[test]
    fn the_same_memory_serves_hash_after_hash() {
        let mut memory = Memory::new(8);
        let first = memory.lend(8, fill).unwrap();
        let second = memory.lend(8, fill).unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn no_memory_is_held_before_the_first_hash_and_after_the_release() {
        let mut memory = Memory::new(8);
        assert_eq!(memory.blocks.capacity(), 0);
        memory.lend(8, fill).unwrap();
        memory.release();
        assert_eq!(memory.blocks.capacity(), 0);
    }

    #[test]
    fn memory_is_of_a_size_that_is_given_back_for_good() {
        let mut memory = Memory::new(8);
        memory.lend(8, fill).unwrap();
        assert!(memory.blocks.capacity() * Block::SIZE > 32 << 20);
        assert_eq!(memory.blocks.len(), 8);
    }

    #[test]
    fn wiping_leaves_nothing_of_a_hash() {
        let mut memory = Memory::new(8);
        memory.lend(8, fill).unwrap();
        memory.lend(4, fill).unwrap();
        assert_eq!(memory.filled(), 8);
        memory.wipe();
        assert_eq!(memory.filled(), 0);
    }

    #[test]
    fn s1_3_a_costlier_hash_gets_more_memory_that_is_not_kept() {
        let mut memory = Memory::new(8);
        let count = memory.lend(64, |blocks| blocks.len()).unwrap();
        assert_eq!(count, 64);
        assert_eq!(memory.blocks.capacity(), 0);
    }

    #[test]
    fn s1_3_memory_that_does_not_exist_is_an_error_and_no_abort() {
        assert!(Memory::new(8).lend(usize::MAX / 1024, |_| ()).is_err());
    }
}
