//! What is not well-formed, each with the smallest definition that shows it.

use std::sync::Arc;

use amends_core::definition::{IllFormed, Kind, STEPS_MAX};
use amends_core::{Definition, Direction, Millis, StepIx, StepSet};

use crate::shapes::{Spec, best_effort, define, pivot, reads, retriable, signal, step};

const fn at(place: u8) -> StepIx {
    StepIx(place)
}

fn wrong<const N: usize>(specs: [Spec; N]) -> Vec<IllFormed> {
    define(specs, None).err().unwrap_or_default()
}

#[test]
fn no_steps() {
    assert_eq!(wrong([]), [IllFormed::NoSteps]);
}

#[test]
fn too_many_steps() {
    let steps = |n: usize| (0..n).map(|i| reads(&format!("s{i}")).step).collect();
    let define = |n| Definition::new("Wide".into(), 1, None, steps(n));
    assert!(define(STEPS_MAX).is_ok(), "the most there may be");
    assert_eq!(define(STEPS_MAX + 1).err(), Some(vec![IllFormed::TooManySteps]));
}

#[test]
fn bad_name() {
    for name in ["", "a.b", "."] {
        assert_eq!(wrong([step(name)]), [IllFormed::BadName(at(0))], "{name:?}");
    }
    assert_eq!(wrong([step("a"), step("b"), step("a")]), [IllFormed::BadName(at(2))]);
}

#[test]
fn bad_order() {
    let itself: StepSet = [at(0)].into_iter().collect();
    let mut spec = step("a");
    spec.step.after = itself;
    let found = Definition::new("Loop".into(), 1, None, vec![spec.step]);
    assert_eq!(found.err(), Some(vec![IllFormed::BadOrder(at(0))]));
    assert_eq!(wrong([step("a").after(["b"]), step("b").after([])]), [IllFormed::BadOrder(at(0))]);
}

#[test]
fn second_pivot() {
    assert!(wrong([pivot("p"), pivot("q")]).contains(&IllFormed::SecondPivot(at(1))));
}

#[test]
fn pivot_not_plain() {
    assert_eq!(wrong([pivot("p").when()]), [IllFormed::PivotNotPlain(at(0))]);
    assert_eq!(wrong([pivot("p").for_each()]), [IllFormed::PivotNotPlain(at(0))]);
    assert_eq!(wrong([pivot("p").input()]), []);
}

#[test]
fn never_undone() {
    for kind in [Kind::Pivot, Kind::BestEffort] {
        let mut spec = step("a");
        spec.step.kind = kind;
        assert_eq!(wrong([spec]), [IllFormed::NeverUndone(at(0))], "{kind:?}");
    }
    let mut spec = step("r");
    spec.step.kind = Kind::Retriable;
    assert_eq!(wrong([pivot("p"), spec]), [IllFormed::NeverUndone(at(1))]);
}

#[test]
fn signal_not_plain() {
    for spec in [signal("s").when(), signal("s").for_each(), signal("s").input()] {
        assert_eq!(wrong([spec]), [IllFormed::SignalNotPlain(at(0))]);
    }
    let mut spec = signal("s");
    spec.step.kind = Kind::BestEffort;
    assert_eq!(wrong([spec]), [IllFormed::SignalNotPlain(at(0))]);
}

#[test]
fn turns_too_late() {
    let late = [IllFormed::TurnsTooLate { step: at(1), point: at(0) }];
    assert_eq!(wrong([pivot("p"), step("a")]), late, "after the pivot");
    assert_eq!(wrong([pivot("p"), reads("a")]), late, "a read can turn the saga too");
    assert_eq!(wrong([pivot("p"), signal("s")]), late, "a signal that may refuse");
    assert_eq!(wrong([pivot("p"), signal("s").or_else("1").judged()]), late, "or is judged");
    let beside = [IllFormed::TurnsTooLate { step: at(0), point: at(1) }];
    assert_eq!(wrong([step("a"), pivot("p").after([])]), beside, "beside the pivot");
    assert_eq!(wrong([step("a"), retriable("r").after([])]), beside, "beside a retriable step");
    assert_eq!(wrong([pivot("p"), signal("s").or_else("1")]), [], "it may only continue");
    assert_eq!(wrong([pivot("p"), best_effort("m")]), []);
}

#[test]
fn retriable_before_pivot() {
    let found = wrong([retriable("r"), pivot("p")]);
    assert_eq!(found, [IllFormed::RetriableBeforePivot(at(0))]);
    let beside = wrong([pivot("p"), retriable("r").after([])]);
    assert_eq!(beside, [IllFormed::RetriableBeforePivot(at(1))]);
    assert_eq!(wrong([step("a"), retriable("r")]), [], "without a pivot it is fine");
}

#[test]
fn zero_limit() {
    let mut undo = step("a");
    undo.step.undo.timeout = Millis::ZERO;
    for spec in [
        step("a").timeout(0),
        step("a").deadline(0),
        step("a").max_attempts(0),
        step("a").undo_attempts(0),
        undo,
    ] {
        assert_eq!(wrong([spec]), [IllFormed::ZeroLimit(at(0))]);
    }
}

#[test]
fn zero_limit_of_what_is_accepted() {
    assert_eq!(wrong([step("a").accepted_timeout(0)]), [IllFormed::ZeroLimit(at(0))]);
}

#[test]
fn all_that_is_wrong_is_reported() {
    let found = wrong([step("").timeout(0), pivot("p").when(), pivot("p")]);
    for expected in [
        IllFormed::BadName(at(0)),
        IllFormed::ZeroLimit(at(0)),
        IllFormed::PivotNotPlain(at(1)),
        IllFormed::BadName(at(2)),
        IllFormed::SecondPivot(at(2)),
    ] {
        assert!(found.contains(&expected), "{expected:?} is missing in {found:?}");
    }
}

#[test]
fn the_order_is_worked_out() {
    let def = define(
        [step("a"), step("b"), step("c").after(["a"]), step("d").after(["b", "c"])],
        Some(60),
    )
    .expect("well-formed");
    let set = |places: &[u8]| places.iter().map(|&place| at(place)).collect::<StepSet>();
    let ancestors: Vec<StepSet> = def.indices().map(|step| def.ancestors(step)).collect();
    assert_eq!(ancestors, [set(&[]), set(&[0]), set(&[0]), set(&[0, 1, 2])]);
    let descendants: Vec<StepSet> = def.indices().map(|step| def.descendants(step)).collect();
    assert_eq!(descendants, [set(&[1, 2, 3]), set(&[3]), set(&[3]), set(&[])]);
    assert_eq!(def.find("c"), Some(at(2)));
    assert_eq!(def.find("e"), None);
    assert_eq!(def.deadline(), Some(Millis::secs(60)));
    assert_eq!(def.saga_type(), &Arc::from("Order"));
}

#[test]
fn a_definition_says_what_it_was_made_of() {
    let steps = || [step("a"), reads("b"), signal("s"), pivot("p"), retriable("r")];
    let made = define(steps(), Some(9)).unwrap();
    assert_eq!((&**made.saga_type(), made.deadline()), ("Order", Some(Millis::secs(9))));
    for version in [1, 7] {
        let steps = made.steps().to_vec();
        let again = Definition::new("Order".into(), version, None, steps).unwrap();
        assert_eq!((again.version(), again.deadline()), (version, None));
    }
    assert_eq!((made.pivot(), made.find("p")), (Some(at(3)), Some(at(3))));
    assert_eq!((define([step("a")], None).unwrap().pivot(), made.find("q")), (None, None));
    let commands = |place| {
        let named = |direction| {
            made.step(at(place)).command(direction).map(|command| command.name.to_string())
        };
        [named(Direction::Action), named(Direction::Compensation)]
    };
    assert_eq!(commands(0), [Some("do-a".to_owned()), Some("undo-a".to_owned())]);
    assert_eq!(commands(1), [Some("do-b".to_owned()), None]);
    assert_eq!(commands(2), [None, None]);
}
