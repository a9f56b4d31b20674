//! Many seeds, on all threads.

use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::run::{Outcome, run};

/// Runs seeds in their order, on so many threads, and hands each outcome over, until that is enough.
/// Those under way then come to their end.
pub fn search(
    threads: usize,
    seeds: impl Iterator<Item = u64> + Send,
    enough: impl FnMut(Outcome) -> bool + Send,
) {
    let (seeds, enough) = (Mutex::new(seeds.fuse()), Mutex::new((enough, false)));
    let next = || {
        let over = enough.lock().unwrap_or_else(PoisonError::into_inner).1;
        let seed = || seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
        if over { None } else { seed() }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = next() {
                    let outcome = run(seed, false);
                    let mut enough = enough.lock().unwrap_or_else(PoisonError::into_inner);
                    enough.1 |= enough.0(outcome);
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_run_once_until_it_is_enough() {
        let mut seen = Vec::new();
        search(2, 0..6, |outcome| {
            seen.push(outcome.seed);
            false
        });
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
        let mut runs = 0;
        search(1, 0..6, |_| {
            runs += 1;
            runs == 2
        });
        assert_eq!(runs, 2);
    }
}
