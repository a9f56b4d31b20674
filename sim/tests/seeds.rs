//! A seed is a run: the same every time. And the first few of them, with everything that ever found
//! something, break no law.

use amends_sim::regressions;
use amends_sim::run::run;

#[test]
fn the_same_seed_twice_is_the_same_run() {
    for seed in [0, 1, 7] {
        let (one, other) = (run(seed, true), run(seed, true));
        assert!(one.lines > 50, "something happens");
        let differ = one.trace.iter().zip(&other.trace).find(|(one, other)| one != other);
        assert_eq!(differ, None);
        assert_eq!((one.hash, one.lines), (other.hash, other.lines));
    }
}

#[test]
fn another_seed_is_another_run() {
    assert_ne!(run(0, false).hash, run(1, false).hash);
}

#[test]
fn the_first_seeds_and_the_regressions_break_no_law() {
    let regressions = regressions::all().into_iter().map(|regression| regression.seed);
    for seed in (0..25).chain(regressions) {
        let outcome = run(seed, true);
        let lines: Vec<&str> = outcome.trace.iter().map(|(_, line)| &**line).collect();
        let trace = lines.join("\n");
        assert!(!outcome.is_broken(), "seed {seed}: {:?}\n{trace}", outcome.violations);
    }
}
