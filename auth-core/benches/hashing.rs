//! How much of Argon2's speed the hashing pool keeps (P1, P2).
//!
//! Prints the hashes per second of the pool, asked by 16 at once, and of bare loops with as many
//! threads over the crates that compute them, their memory reused; each the median of interleaved
//! rounds. With the feature `simd-argon2` the pool uses `argon2-rust`, without it `argon2`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "it prints its result")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use auth_core::{Argon2Params, Password, PasswordHasher};

const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_secs(1);
const CLIENTS: usize = 16;
const PASSWORD: &str = "correct horse battery staple";
const SALT: &[u8; 16] = b"sixteen bytes...";

fn threads() -> usize {
    thread::available_parallelism().unwrap().get()
}

/// Hashes per second of as many threads as cores, each with what `prepare` makes.
fn looped<T>(prepare: impl Fn() -> T + Sync, hash: impl Fn(&mut T) + Sync) -> f64 {
    let done = AtomicUsize::new(0);
    let (done, prepare, hash) = (&done, &prepare, &hash);
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(move || {
                let mut state = prepare();
                while started.elapsed() < ROUND {
                    hash(&mut state);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

fn argon2_alone() -> f64 {
    let cost = Argon2Params::default();
    let params = Params::new(cost.memory_kib(), cost.passes(), cost.lanes(), Some(32)).unwrap();
    let blocks = params.block_count();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    looped(
        || vec![Block::new(); blocks],
        |blocks| {
            let mut output = [0; 32];
            let password = PASSWORD.as_bytes();
            argon2
                .hash_password_into_with_memory(password, SALT, &mut output, blocks)
                .unwrap();
        },
    )
}

#[cfg(feature = "simd-argon2")]
fn argon2_rust_alone() -> f64 {
    use argon2_rust::params::Memory;
    use argon2_rust::{Algorithm, Argon2, Params, Version};

    let cost = Argon2Params::default();
    let params = Params::builder()
        .memory(Memory::kib(u64::from(cost.memory_kib())))
        .passes(cost.passes())
        .lanes(cost.lanes())
        .build()
        .unwrap();
    looped(
        || Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hasher(),
        |hasher| {
            let mut output = [0; 32];
            let password = PASSWORD.as_bytes();
            hasher.hash_into(password, SALT, &mut output).unwrap();
        },
    )
}

async fn pool(hasher: &PasswordHasher) -> f64 {
    let started = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let hasher = hasher.clone();
        clients.spawn(async move {
            let mut done = 0_usize;
            while started.elapsed() < ROUND {
                // As much work as a login with a wrong password.
                let _ = hasher.verify(Password::new(PASSWORD), None).await.unwrap();
                done += 1;
            }
            done
        });
    }
    let done: usize = clients.join_all().await.into_iter().sum();
    done as f64 / started.elapsed().as_secs_f64()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let hasher = PasswordHasher::builder().build().unwrap();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let argon2 = argon2_alone();
        #[cfg(feature = "simd-argon2")]
        let fastest = argon2_rust_alone();
        #[cfg(not(feature = "simd-argon2"))]
        let fastest = argon2;
        rounds.push((argon2, fastest, pool(&hasher).await));
    }
    println!(
        "hashes per second, {} threads, median of {ROUNDS} rounds",
        threads()
    );
    println!(
        "  argon2 alone       {:6.1}",
        median(rounds.iter().map(|round| round.0))
    );
    if cfg!(feature = "simd-argon2") {
        println!(
            "  argon2-rust alone  {:6.1}",
            median(rounds.iter().map(|round| round.1))
        );
    }
    println!(
        "  the pool           {:6.1}",
        median(rounds.iter().map(|round| round.2))
    );
    println!("median of the ratios");
    let ratio = |of: fn(&(f64, f64, f64)) -> f64| median(rounds.iter().map(of));
    println!(
        "  pool / argon2      {:6.3}",
        ratio(|round| round.2 / round.0)
    );
    if cfg!(feature = "simd-argon2") {
        println!(
            "  pool / argon2-rust {:6.3}",
            ratio(|round| round.2 / round.1)
        );
    }
}
