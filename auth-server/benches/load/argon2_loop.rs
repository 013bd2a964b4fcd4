//! A plain loop over the crate `argon2`: what the machine can hash without a server around it.

use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::Outcome;
use crate::sample::{Latencies, Sample};

/// Hashes with the parameters of the server for so long, on as many threads as there are cores,
/// each with its memory reused.
pub(crate) fn run(duration: Duration) -> Outcome<Sample> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let started = Instant::now();
    let latencies = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| scope.spawn(move || hash_until(started + duration)))
            .collect();
        let mut all = Latencies::default();
        for thread in threads {
            all.add(&thread.join().map_err(|_| "a hashing thread panicked")??);
        }
        Outcome::Ok(all)
    })?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(Sample::new(latencies, seconds, None))
}

fn hash_until(end: Instant) -> Outcome<Latencies> {
    let params = Params::new(19_456, 2, 1, Some(32)).map_err(|error| error.to_string())?;
    let mut blocks = vec![Block::new(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut latencies = Latencies::default();
    let mut output = [0; 32];
    while Instant::now() < end {
        let started = Instant::now();
        argon2
            .hash_password_into_with_memory(
                crate::support::PASSWORD.as_bytes(),
                b"sixteen bytes of",
                &mut output,
                &mut blocks,
            )
            .map_err(|error| error.to_string())?;
        latencies.record(started.elapsed());
    }
    Ok(latencies)
}
