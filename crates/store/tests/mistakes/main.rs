//! Stores with mistakes built in on purpose: the behaviours, or the differential, must catch each.

mod catalog;
mod journal;
mod mistake;

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};

use amends_store::conformance::differential::Differential;
use amends_store::conformance::{BEHAVIOURS, run};

use mistake::{MISTAKES, Mistake, Mistaken};

/// As many sequences as it takes to see every mistake that shows in one; how short the sequence is
/// does not matter here.
const COMPARED: Differential =
    Differential { cases: 64, operations_max: 40, seed: 7, shrinks_max: 0 };

/// The first behaviour that a store with this mistake does not show.
fn misbehaviour(mistake: Mistake) -> Option<String> {
    let misbehaves = BEHAVIOURS.iter().find(|behaviour| {
        let installation = Mistaken::by(Some(mistake));
        let runs = || run(behaviour.topic, behaviour.name, &installation);
        catch_unwind(AssertUnwindSafe(runs)).is_err()
    });
    misbehaves.map(|behaviour| format!("{}::{}", behaviour.topic, behaviour.name))
}

/// What differs after an operation because of it.
fn difference(mistake: Mistake) -> Option<String> {
    let found = COMPARED.run(|| Box::new(Mistaken::by(Some(mistake))));
    found.err().map(|difference| difference.question)
}

#[test]
fn every_mistake_is_caught() {
    // The panics of stores with mistakes are what is looked for, and not worth a word.
    set_hook(Box::new(|_| {}));
    let mut uncaught = Vec::new();
    let (mut by_behaviours, mut by_differential) = (0, 0);
    println!("{} mistakes", MISTAKES.len());
    for (mistake, words) in MISTAKES {
        let (behaviour, difference) = (misbehaviour(*mistake), difference(*mistake));
        by_behaviours += usize::from(behaviour.is_some());
        by_differential += usize::from(difference.is_some());
        if behaviour.is_none() && difference.is_none() {
            uncaught.push(words);
        }
        let behaviour = behaviour.unwrap_or_else(|| "-".to_owned());
        let difference = difference.unwrap_or_else(|| "-".to_owned());
        let difference: String = difference.chars().take(40).collect();
        println!("  {words}: {behaviour}; {difference}");
    }
    println!("caught by behaviours: {by_behaviours}, by the differential: {by_differential}");
    let _ = std::panic::take_hook();
    assert!(uncaught.is_empty(), "nothing catches a store that {uncaught:?}");
}

#[test]
fn a_store_without_a_mistake_is_as_it_must_be() {
    for behaviour in BEHAVIOURS {
        run(behaviour.topic, behaviour.name, &Mistaken::by(None));
    }
    let compared = COMPARED.run(|| Box::new(Mistaken::by(None)));
    let compared = compared.unwrap_or_else(|difference| panic!("{difference}"));
    println!("{compared}");
    assert!(compared.readings > 100 * compared.operations / 2);
}

#[test]
fn a_difference_is_shown_as_the_shortest_sequence() {
    let mistaken = || Mistaken::by(Some(Mistake::KeepsTheFirstNote));
    let found = Differential { cases: 256, seed: 7, ..Differential::default() }
        .run(|| Box::new(mistaken()));
    let difference = found.unwrap_err();
    assert_eq!(difference.operations.len(), 2, "{difference}");
    let shown = difference.to_string();
    let parts =
        ["   1. PutNote", "   2. PutNote", "asked:    note ", "expected: Some(", "found:    Some("];
    for part in parts {
        assert!(shown.contains(part), "{part:?} is not in: {shown}");
    }
}
