//! The engine on the embedded store on a disk that fails and forgets: whatever operation it is that
//! fails, and wherever the power is cut, what was acknowledged is there and every saga ends as it
//! should (`semantics.md` S14, S18, S20, L6).
//!
//! The story is told once on a good disk, which gives every moment at which a process may die or the
//! power be cut; and once for every operation that may fail, until one run meets no fault. Quick by
//! default: some of the places, spread over all of them. `docs/crash-consistency.md` has the rest:
//! all of them, what they come to, and what they found.

mod errors;
#[path = "../inline/mod.rs"]
mod inline;
mod judge;
mod mutants;
mod outside;
mod owners;
mod power;
mod recovery;
mod shop;
mod story;
mod world;

/// How much is tried: some in the quick part, all with `AMENDS_EVERY_PLACE`.
fn some_or_all(some: usize, all: usize) -> usize {
    if std::env::var_os("AMENDS_EVERY_PLACE").is_some() { all } else { some }
}

/// More that fails tells nothing new; and where all fails, no run would be the last.
const FAILED_MAX: usize = 20;

/// Runs a test on a runtime of its own whose clock is paused.
fn paused<T>(work: impl AsyncFnOnce() -> T) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(work())
}

/// What a check that panics said, and after which place in it.
fn tried<T>(check: impl FnOnce() -> T) -> Result<T, String> {
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
    checked.map_err(|panic| match panic.downcast::<String>() {
        Ok(why) => *why,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("it panicked").to_owned(),
    })
}
