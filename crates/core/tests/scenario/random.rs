//! Random inputs on random small definitions: nothing panics, every invariant holds, and once the
//! faults stop the saga comes to an end or to a person.

use amends_core::definition::{Computed, Fence, Kind, OnDeadline, Step, Work};
use amends_core::input::{Answer, Evaluation, Outcome, Resolution, Verb};
use amends_core::saga::{Reason, State};
use amends_core::{
    Definition, Direction, Input, Millis, Payload, RunRef, StepIx, StepSet, effects, rules,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::shapes::{Spec, best_effort, pivot, reads, retriable, signal, step};
use crate::world::*;

/// The most inputs of one run: long enough to reach a second round after a dead letter.
const INPUTS_MAX: usize = 120;

/// How many runs there are at least: most end early, and the rare ones are what it is about.
const RUNS_MIN: u32 = 3_000;

/// Rounds of room, answers and timers in which a saga must settle once the faults have stopped:
/// a few for each step and for each redrive.
const SETTLING_ROUNDS_MAX: usize = 400;

/// The steps' names, and one that no step has.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// One step, drawn from numbers so that every drawing is well-formed.
#[derive(Clone, Debug)]
struct Draw {
    kind: u8,
    after: u8,
    fence: u8,
    limits: u8,
    computed: u8,
}

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let draw = (0u8..10, any::<u8>(), 0u8..4, 0u8..4, 0u8..6).prop_map(
        |(kind, after, fence, limits, computed)| Draw { kind, after, fence, limits, computed },
    );
    vec(draw, 1..6)
}

/// Steps before the pivot may turn the saga; from the pivot on they may not. Without a pivot the
/// last steps are retriable, or there is no point of no return at all.
fn definition(draws: &[Draw], shape: u8, deadline: bool) -> Definition {
    let last = draws.len() - 1;
    let decisive = match shape {
        0 => None,
        1 => Some(last),
        _ => Some(last / 2),
    };
    let with_pivot = shape != 2;
    let steps = draws.iter().enumerate().map(|(i, draw)| {
        let name = NAMES[i];
        let spec = match decisive {
            Some(point) if i == point && with_pivot => pivot(name),
            Some(point) if i >= point => after_the_point(draw, name),
            _ => before_the_point(draw, name),
        };
        let mut step = limited(draw, spec).step;
        let before: StepSet = (0..i as u8).map(StepIx).collect();
        // From the point on a step follows all before it, or the order would not be well-formed.
        let follows_all = decisive.is_some_and(|point| i >= point);
        let drawn = before.iter().filter(|s| draw.after & (1 << s.0) != 0).collect();
        step.after = if follows_all { before } else { drawn };
        step.computed = computed(draw, &step);
        step
    });
    let deadline = deadline.then_some(Millis::secs(100));
    Definition::new("Drawn".into(), 1, deadline, steps.collect()).expect("well-formed by drawing")
}

fn before_the_point(draw: &Draw, name: &str) -> Spec {
    match draw.kind {
        0 => reads(name),
        1 => best_effort(name),
        2 => signal(name),
        3 => signal(name).judged(),
        _ => step(name),
    }
}

fn after_the_point(draw: &Draw, name: &str) -> Spec {
    match draw.kind {
        0..3 => best_effort(name),
        3 => signal(name).or_else("null"),
        _ => retriable(name),
    }
}

fn limited(draw: &Draw, spec: Spec) -> Spec {
    let spec = match draw.limits {
        0 => spec.max_attempts(1).undo_attempts(1),
        1 => spec.max_attempts(2),
        2 => spec.within(10),
        _ => spec.accepted_timeout(20),
    };
    match draw.fence {
        0 => spec,
        1 => spec.fence(Fence::Settle),
        2 => spec.fence(Fence::None),
        _ => spec.fence(Fence::Barrier),
    }
}

fn computed(draw: &Draw, step: &Step) -> Computed {
    let plain = step.kind == Kind::Pivot || matches!(step.work, Work::Signal { .. });
    Computed {
        when: !plain && draw.computed == 0,
        for_each: !plain && draw.computed == 1,
        input: draw.computed == 2 && !matches!(step.work, Work::Signal { .. }),
    }
}

/// An input in numbers; what it means depends on where the saga stands.
#[derive(Clone, Debug)]
struct Move {
    what: u8,
    step: u8,
    run: u8,
    undo: bool,
    number: u8,
    says: u8,
    flag: bool,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = (0u8..40, 0u8..6, 0u8..3, any::<bool>(), 0u8..8, 0u8..22, any::<bool>()).prop_map(
        |(what, step, run, undo, number, says, flag)| Move {
            what,
            step,
            run: run.saturating_sub(1),
            undo,
            number,
            says,
            flag,
        },
    );
    vec(one, 0..INPUTS_MAX)
}

fn make(saga: &mut World, by: &Move) {
    let run = RunRef { step: StepIx(by.step), run: by.run };
    let direction = if by.undo { Direction::Compensation } else { Direction::Action };
    let input = match by.what {
        0..10 => {
            saga.room_for_all();
            return;
        }
        10..20 => return answer_latest(saga, by),
        20..23 => Input::Answer(Answer {
            run,
            direction,
            round: by.number.checked_sub(4).map(u32::from),
            attempt: Some(u32::from(by.number)).filter(|_| by.flag),
            own_exchange: by.says.is_multiple_of(2),
            outcome: outcome(by.says),
        }),
        23..28 => {
            let seconds =
                saga.seconds() + [0, 1, 5, 10, 30, 60, 200, 4_000][usize::from(by.number)];
            if by.flag {
                saga.run_to(seconds)
            } else {
                saga.asleep_to(seconds).tick()
            };
            return;
        }
        28..31 => Input::Evaluated { step: run.step, value: evaluation(by) },
        31 => Input::Signal { name: NAMES[usize::from(by.step)].into(), body: "1".into() },
        32 => Input::Outage { lasted: Millis::secs(u64::from(by.number) * 20) },
        33 => Input::Unbound { run },
        34 => saga.room_input(run, direction),
        35 => Input::Lost { run, direction },
        _ => Input::Verb { verb: verb(saga, by, run, direction), act: act() },
    };
    // A refusal is an answer too; what it must not do is checked in `give`.
    let _ = saga.give(input);
}

/// An answer that fits: to the latest attempt of something that is in flight.
fn answer_latest(saga: &mut World, by: &Move) {
    let in_flight = open_attempts(saga);
    if in_flight.is_empty() {
        return;
    }
    let (run, direction, round, attempt) = in_flight[usize::from(by.step) % in_flight.len()];
    let attempt = Some(attempt).filter(|_| by.flag);
    let (round, own_exchange) = (Some(round), by.flag);
    saga.answer(Answer { run, direction, round, attempt, own_exchange, outcome: outcome(by.says) });
}

fn open_attempts(saga: &World) -> Vec<(RunRef, Direction, u32, u32)> {
    let both = [Direction::Action, Direction::Compensation];
    let commands =
        saga.saga.runs().flat_map(|(at, run)| both.map(|direction| (at, run, direction)));
    commands
        .filter_map(|(at, run, direction)| {
            let sendings = run.sendings(direction)?;
            Some((at, direction, sendings.round, sendings.open?.number))
        })
        .collect()
}

fn outcome(says: u8) -> Outcome {
    match says {
        0..8 => completed("1"),
        8 => undone(),
        9 => nothing_undone(),
        10 | 11 => refused("NO"),
        12 | 13 => transient(),
        14 => busy(),
        15 | 16 => unknown(),
        17 => off_contract(),
        18 => accepted(),
        19 => gone(),
        20 => gone_unproven(),
        _ => not_sent(),
    }
}

fn evaluation(by: &Move) -> Evaluation {
    match by.number {
        0 => Evaluation::Skip,
        1 | 2 => Evaluation::Data,
        3 => Evaluation::Failed(fault("EXPRESSION")),
        4 => Evaluation::Judged { refused: by.flag },
        n => Evaluation::Inputs(vec![Some(Payload::from("1")); usize::from(n) - 4]),
    }
}

fn verb(saga: &World, by: &Move, run: RunRef, direction: Direction) -> Verb {
    let force = by.flag;
    let deadline = saga.now + Millis::secs(u64::from(by.number) * 30);
    match by.says {
        0 => Verb::Cancel,
        1 | 2 => Verb::Pause,
        3 | 4 => Verb::Resume,
        5 | 6 => Verb::Retry { run, direction },
        7 | 8 => Verb::Resolve { run, direction, resolution: Resolution::Refused, force },
        9 | 10 => {
            let resolution = Resolution::Completed("2".into());
            Verb::Resolve { run, direction, resolution, force }
        }
        11 | 12 => Verb::Skip { run, direction, force },
        13 | 14 => Verb::Edit { run, direction, body: "3".into(), force },
        15 | 16 => Verb::Extend { run: Some(run), deadline },
        17 | 18 => Verb::Extend { run: None, deadline },
        _ => Verb::Acknowledge { run },
    }
}

/// The faults are over: whoever is asked answers, whatever waits is given, time passes.
fn faults_stop(saga: &mut World) {
    if saga.saga.paused.is_some() {
        saga.ask(Ask::Resume);
    }
    for _ in 0..SETTLING_ROUNDS_MAX {
        if !rules::live(&saga.def, &saga.saga) {
            return;
        }
        for step in effects::evaluations(&saga.def, &saga.saga) {
            let value = match &saga.def.step(step).work {
                Work::Signal { .. } => Evaluation::Judged { refused: false },
                Work::Command { .. } => Evaluation::Inputs(vec![None]),
            };
            saga.give(Input::Evaluated { step, value }).expect("it is to be evaluated");
        }
        saga.room_for_all();
        for (run, direction, round, attempt) in open_attempts(saga) {
            let (round, attempt) = (Some(round), Some(attempt));
            let outcome = if direction == Direction::Action { completed("1") } else { undone() };
            saga.answer(Answer { run, direction, round, attempt, own_exchange: true, outcome });
        }
        if let Some(due) = effects::next_due(&saga.def, &saga.saga, saga.now) {
            saga.now = saga.now.max(due);
            saga.tick();
        }
    }
    // L3: what is left waits for a person by rule, not for want of an answer.
    let by_rule = [Reason::OutcomeUnknown, Reason::Expression, Reason::Contradicted];
    let person = saga.saga.attention.iter().any(|a| by_rule.contains(&a.reason));
    assert!(person, "neither an end nor a person's: {:#?}", saga.saga);
}

/// What an end promises, as far as the saga itself can tell (S1, S2).
fn an_end_means_what_it_says(saga: &World) {
    let runs = || saga.saga.runs().map(|(at, run)| (saga.def.step(at.step), run));
    match saga.saga.state {
        State::Completed => {
            for (step, run) in runs().filter(|(step, _)| step.kind != Kind::BestEffort) {
                let by_hand = run.by.is_some();
                assert!(by_hand || run.result.is_some(), "{} is not done", step.name);
                assert!(run.undo.is_none(), "{} was undone in a completed saga", step.name);
            }
        }
        State::Failed if !rules::live(&saga.def, &saga.saga) => {
            for (step, run) in runs().filter(|(step, _)| step.compensation().is_some()) {
                let undone = run.undo.as_ref().is_some_and(|undo| undo.end.is_some());
                assert!(run.result.is_none() || undone, "{} stands", step.name);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(RUNS_MIN),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_the_invariants_hold_and_the_saga_comes_to_an_end_or_to_a_person(
        draws in draws(),
        shape in 0u8..4,
        deadline in any::<bool>(),
        moves in moves(),
    ) {
        let mut saga = World::start(definition(&draws, shape, deadline));
        for by in &moves {
            make(&mut saga, by);
        }
        faults_stop(&mut saga);
        an_end_means_what_it_says(&saga);
    }
}

#[test]
fn the_drawings_reach_every_kind_and_shape() {
    let draw = |kind| Draw { kind, after: 255, fence: 0, limits: 3, computed: 5 };
    let all: Vec<Draw> = [4, 0, 1, 4].map(draw).into();
    let kinds = |shape| -> Vec<Kind> {
        definition(&all, shape, false).steps().iter().map(|step| step.kind).collect()
    };
    use Kind::{BestEffort, Compensatable, Pivot, Retriable};
    assert_eq!(kinds(0), [Compensatable, Compensatable, BestEffort, Compensatable]);
    assert_eq!(kinds(1), [Compensatable, Compensatable, BestEffort, Pivot]);
    assert_eq!(kinds(2), [Compensatable, BestEffort, BestEffort, Retriable]);
    assert_eq!(kinds(3), [Compensatable, Pivot, BestEffort, Retriable]);
    let waits = before_the_point(&draw(2), "s").step.work;
    assert!(matches!(waits, Work::Signal { on_deadline: OnDeadline::Refuse, .. }));
}
