//! Backoffs, whatever their figures: capped, never shorter than the one before, never without end.

use amends_core::Millis;
use amends_core::definition::{Backoff, Jitter};
use proptest::prelude::*;

/// Any span, the extremes as often as the others.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![0..5u64, 0..100_000u64, any::<u64>(), Just(u64::MAX), Just(u64::MAX - 1)]
}

fn tries() -> impl Strategy<Value = u32> {
    prop_oneof![1..70u32, any::<u32>(), Just(u32::MAX), Just(0)]
}

fn factor() -> impl Strategy<Value = u32> {
    prop_oneof![0..110u32, 100..500u32, any::<u32>(), Just(u32::MAX)]
}

fn backoff(initial: u64, max: u64, factor_percent: u32, jitter: Jitter) -> Backoff {
    Backoff { initial: Millis(initial), factor_percent, max: Millis(max), jitter }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pause_is_capped_and_no_figure_overflows(
        initial in span(), max in span(), factor in factor(), n in tries(), chance: u32,
    ) {
        let full = backoff(initial, max, factor, Jitter::Full).pause(n, chance);
        let none = backoff(initial, max, factor, Jitter::None).pause(n, chance);
        prop_assert!(none.0 <= max, "over its cap");
        prop_assert!(full <= none, "a share of a pause is longer than the pause");
        prop_assert!(none.0 >= initial.min(max), "shorter than the first");
    }

    #[test]
    fn no_pause_is_shorter_than_the_one_before(
        initial in span(), max in span(), factor in factor(), n in 1..200u32,
    ) {
        let backoff = backoff(initial, max, factor, Jitter::None);
        let (this, next) = (backoff.pause(n, 0).0, backoff.pause(n + 1, 0).0);
        prop_assert!(this <= next, "{this} then {next}");
        let grows = factor > 100 && this > 0 && this < max;
        prop_assert!(!grows || this < next, "a pause that is to grow stays at {this}");
        prop_assert!(factor > 100 || this == next, "a pause that is to stay grows to {next}");
    }

    #[test]
    fn chance_spreads_over_the_whole_pause(initial in 1..1_000_000u64, chance: u32) {
        let spread = backoff(initial, initial, 200, Jitter::Full);
        prop_assert_eq!(spread.pause(9, 0).0, 0);
        prop_assert_eq!(spread.pause(9, u32::MAX).0, initial);
        let (less, more) = (spread.pause(9, chance), spread.pause(9, chance.saturating_add(1)));
        prop_assert!(less <= more, "more chance is a shorter pause");
    }

    #[test]
    fn a_pause_of_zero_is_asked_for_or_there_is_none(
        initial in 1..100u64, max in 1..100_000u64, factor in factor(), n in tries(),
    ) {
        prop_assert!(backoff(initial, max, factor, Jitter::None).pause(n, 0).0 > 0);
        prop_assert_eq!(backoff(0, max, factor, Jitter::None).pause(n, 0).0, 0);
    }
}

#[test]
fn a_pause_longer_than_any_clock_is_still_one() {
    let endless = backoff(u64::MAX, u64::MAX, u32::MAX, Jitter::Full);
    assert_eq!(endless.pause(u32::MAX, 0).0, 0);
    assert!(endless.pause(u32::MAX, u32::MAX).0 > u64::MAX / 2);
}
