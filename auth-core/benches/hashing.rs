//! The hashing pool under more callers than threads, beside a plain loop over the crate `argon2`
//! with as many threads and the memory reused.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use auth_core::{Password, PasswordHasher};
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use futures_util::future::join_all;
use tokio::runtime::Runtime;

const PASSWORD: &str = "correct horse battery";

/// How many logins wait at the same time.
const CALLERS: u64 = 16;

/// Shares so many hashes among so many who hash.
fn share(hashes: u64, among: u64, number: u64) -> u64 {
    hashes / among + u64::from(number < hashes % among)
}

fn pool(runtime: &Runtime, hasher: &PasswordHasher, hashes: u64) -> Duration {
    let started = Instant::now();
    runtime.block_on(join_all((0..CALLERS).map(|caller| async move {
        for _ in 0..share(hashes, CALLERS, caller) {
            hasher.hash(Password::new(PASSWORD)).await.unwrap();
        }
    })));
    started.elapsed()
}

fn plain_loop(threads: u64, hashes: u64) -> Duration {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let params = Params::new(19_456, 2, 1, Some(32)).unwrap();
                let mut blocks = vec![Block::new(); params.block_count()];
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let mut output = [0; 32];
                for _ in 0..share(hashes, threads, thread) {
                    let salt = b"sixteen bytes of";
                    argon2
                        .hash_password_into_with_memory(
                            PASSWORD.as_bytes(),
                            salt,
                            &mut output,
                            &mut blocks,
                        )
                        .unwrap();
                }
            });
        }
    });
    started.elapsed()
}

fn hashing(c: &mut Criterion) {
    let threads = available_parallelism().unwrap().get() as u64;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let hasher = PasswordHasher::builder().build().unwrap();
    let mut group = c.benchmark_group("Argon2id, m=19456,t=2,p=1");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.bench_function("the pool", |b| {
        b.iter_custom(|hashes| pool(&runtime, &hasher, hashes));
    });
    group.bench_function("a plain loop", |b| {
        b.iter_custom(|hashes| plain_loop(threads, hashes));
    });
    group.finish();
}

criterion_group!(benches, hashing);
criterion_main!(benches);
