//! S8 for any order of steps: whatever finished when, the undos go against the order, and each waits
//! for those of the steps that depend on it.

use amends_core::input::{Answer, Outcome, Verb};
use amends_core::saga::State;
use amends_core::{
    Definition, Direction, Event, Input, Millis, Payload, RunRef, StepIx, StepSet, Time,
};
use amends_invariants::Watched;
use proptest::prelude::*;

use crate::shapes::step;
use crate::world::act;

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// Steps with a compensation; of each a mask says which of those before it it follows.
fn definition(masks: &[u8]) -> Definition {
    let steps = masks.iter().enumerate().map(|(i, mask)| {
        let before = (0..i as u8).map(StepIx).filter(|before| mask & 1 << before.0 != 0);
        let mut step = step(NAMES[i]).step;
        step.after = before.collect::<StepSet>();
        step
    });
    Definition::new("Drawn".into(), 1, None, steps.collect()).expect("well-formed")
}

/// Answers one of the attempts that are out, which one the draw says; `None` when none is.
fn answer(saga: &mut Watched, draw: u8) -> Option<RunRef> {
    let open = saga.open_attempts();
    let one = *open.get(usize::from(draw).checked_rem(open.len())?)?;
    let undo = one.direction == Direction::Compensation;
    let outcome = Outcome::Completed { result: "1".into(), undone: undo.then_some(true) };
    saga.give(Input::Answer(Answer {
        run: one.run,
        direction: one.direction,
        round: Some(one.round),
        attempt: Some(one.number),
        own_exchange: true,
        outcome,
    }))
    .expect("the answer is taken");
    Some(one.run)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn s8_undos_go_against_the_order_whatever_finished_when(
        masks in prop::collection::vec(any::<u8>(), 1..=NAMES.len()),
        finishing in prop::collection::vec(any::<u8>(), 0..=NAMES.len()),
        undoing in prop::collection::vec(any::<u8>(), 2 * NAMES.len()),
    ) {
        let mut saga = Watched::start(definition(&masks), Time(1_000_000), Payload::from("{}"));
        for draw in finishing {
            saga.room_for_all();
            answer(&mut saga, draw);
        }
        if saga.saga.state.ended() {
            return Ok(()); // every step has finished: there is nothing left to undo it for
        }
        saga.room_for_all();
        saga.give(Input::Verb { verb: Verb::Cancel, act: act() }).expect("it may be cancelled");
        let mut undone = StepSet::EMPTY;
        for draw in undoing {
            saga.pass(saga.now + Millis::secs(1), true);
            let sent = |(_, event): &(Time, Event)| match event {
                Event::Sent { command, .. } if command.direction == Direction::Compensation => {
                    Some(command.run.step)
                }
                _ => None,
            };
            for step in saga.history.iter().filter_map(sent) {
                for dependent in saga.def.descendants(step).iter() {
                    let asked = saga.saga.runs_of(dependent).iter().any(|r| r.action.is_some());
                    let ended = undone.contains(dependent);
                    prop_assert!(!asked || ended, "{step:?} is undone before {dependent:?}");
                }
            }
            let undos = saga.open_attempts();
            let is_undo = |run: RunRef| {
                undos.iter().any(|open| open.run == run && open.direction == Direction::Compensation)
            };
            if let Some(run) = answer(&mut saga, draw).filter(|run| is_undo(*run)) {
                undone.insert(run.step);
            }
        }
        saga.faults_stop();
        prop_assert_eq!(saga.saga.state, State::Failed);
        for (at, run) in saga.saga.runs().filter(|(_, run)| run.action.is_some()) {
            let ended = run.undo.as_ref().is_some_and(|undo| undo.end.is_some());
            prop_assert!(ended, "{at:?} stands");
        }
    }
}
