//! Small definitions drawn from numbers, so that every drawing is well-formed.

use amends_core::definition::{
    Backoff, Command, Computed, Fence, Jitter, Kind, OnDeadline, Retry, Step, UndoPolicy, Work,
};
use amends_core::{Definition, Millis, Payload, StepIx, StepSet};

/// The most steps that are drawn: enough for a diamond before the pivot and steps after it.
pub const STEPS_MAX: usize = 6;

/// The steps' names, and one that no step has.
pub(crate) const NAMES: [&str; STEPS_MAX + 1] = ["a", "b", "c", "d", "e", "f", "g"];

/// One step, in numbers; each is read modulo what it chooses from.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// What it does, as far as its place allows.
    pub kind: u8,
    /// Which of the steps before it it follows, a bit each.
    pub after: u8,
    /// Its fence.
    pub fence: u8,
    /// Its times and its number of attempts.
    pub limits: u8,
    /// Its expressions.
    pub computed: u8,
}

/// The definition of these steps, of which there is at least one.
///
/// Steps before the point of no return may turn the saga; from it on they may not. `shape` says
/// where it is: nowhere, a pivot at the end, retriable steps from the middle on, or a pivot there.
pub(crate) fn definition(draws: &[Draw], shape: u8, deadline: bool) -> Definition {
    let last = draws.len() - 1;
    let shape = shape % 4;
    let decisive = match shape {
        0 => None,
        1 => Some(last),
        _ => Some(last / 2),
    };
    let with_pivot = shape != 2;
    let steps = draws.iter().enumerate().map(|(i, draw)| {
        let (kind, work) = match decisive {
            Some(point) if i == point && with_pivot => command(i, Kind::Pivot),
            Some(point) if i >= point => after_the_point(draw, i),
            _ => before_the_point(draw, i),
        };
        let before: StepSet = (0..i as u8).map(StepIx).collect();
        // From the point on a step follows all before it, or the order would not be well-formed.
        let follows_all = decisive.is_some_and(|point| i >= point);
        let drawn = before.iter().filter(|s| draw.after & (1 << s.0) != 0).collect();
        let after = if follows_all { before } else { drawn };
        let computed = computed(draw, kind, &work);
        limited(draw, Step { kind, work, after, computed, ..plain(i) })
    });
    let deadline = deadline.then_some(Millis::secs(100));
    Definition::new("Drawn".into(), 1, deadline, steps.collect()).expect("well-formed by drawing")
}

fn plain(i: usize) -> Step {
    let pause = Backoff {
        initial: Millis::secs(1),
        factor_percent: 200,
        max: Millis::secs(8),
        jitter: if i.is_multiple_of(2) { Jitter::Full } else { Jitter::None },
    };
    let (kind, work) = undoable(i);
    Step {
        name: NAMES[i].into(),
        kind,
        work,
        after: StepSet::EMPTY,
        computed: Computed::default(),
        timeout: Millis::secs(10),
        accepted_timeout: None,
        deadline: Millis::secs(60),
        retry: Retry { max_attempts: None, backoff: pause },
        fence: None,
        undo: UndoPolicy { timeout: Millis::secs(30), max_attempts: 3, backoff: pause },
    }
}

fn named(i: usize, verb: &str) -> Command {
    Command { service: "Svc".into(), name: format!("{verb}-{}", NAMES[i]).into() }
}

fn undoable(i: usize) -> (Kind, Work) {
    let (action, compensation) = (named(i, "do"), Some(named(i, "undo")));
    (Kind::Compensatable, Work::Command { action, compensation })
}

fn command(i: usize, kind: Kind) -> (Kind, Work) {
    (kind, Work::Command { action: named(i, "do"), compensation: None })
}

fn signal(i: usize, on_deadline: OnDeadline, judged: bool) -> (Kind, Work) {
    (Kind::Compensatable, Work::Signal { signal: NAMES[i].into(), on_deadline, judged })
}

fn before_the_point(draw: &Draw, i: usize) -> (Kind, Work) {
    match draw.kind % 10 {
        0 => command(i, Kind::Compensatable), // it only reads
        1 => command(i, Kind::BestEffort),
        2 => signal(i, OnDeadline::Refuse, false),
        3 => signal(i, OnDeadline::Refuse, true),
        _ => undoable(i),
    }
}

fn after_the_point(draw: &Draw, i: usize) -> (Kind, Work) {
    match draw.kind % 10 {
        0..3 => command(i, Kind::BestEffort),
        3 => signal(i, OnDeadline::Continue(Payload::from("null")), false),
        _ => command(i, Kind::Retriable),
    }
}

fn limited(draw: &Draw, mut step: Step) -> Step {
    match draw.limits % 4 {
        0 => {
            step.retry.max_attempts = Some(1);
            step.undo.max_attempts = 1;
        }
        1 => step.retry.max_attempts = Some(2),
        2 => (step.timeout, step.deadline) = (Millis::secs(10), Millis::secs(10)),
        _ => step.accepted_timeout = Some(Millis::secs(20)),
    }
    let fence = [None, Some(Fence::Settle), Some(Fence::None), Some(Fence::Barrier)];
    Step { fence: fence[usize::from(draw.fence % 4)], ..step }
}

fn computed(draw: &Draw, kind: Kind, work: &Work) -> Computed {
    let signal = matches!(work, Work::Signal { .. });
    let plain = kind == Kind::Pivot || signal;
    let drawn = draw.computed % 6;
    Computed {
        when: !plain && drawn == 0,
        for_each: !plain && drawn == 1,
        input: !signal && drawn == 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let (_, waits) = before_the_point(&draw(2), 0);
        assert!(matches!(waits, Work::Signal { on_deadline: OnDeadline::Refuse, .. }));
    }
}
