//! Inputs drawn from numbers: what one means depends on where the saga stands.

use amends_core::input::{Answer, Evaluation, Outcome, Resolution, Verb};
use amends_core::saga::{Act, Fault};
use amends_core::{Direction, Input, Millis, Payload, RunRef, StepIx};

use crate::Watched;
use crate::definition_drawn::NAMES;

/// The most inputs of one script: long enough to reach a second round after a dead letter.
pub const INPUTS_MAX: usize = 120;

/// An input in numbers; each is read modulo what it chooses from.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// Which input.
    pub what: u8,
    /// Which step it is about.
    pub step: u8,
    /// Which of the step's runs.
    pub run: u8,
    /// Whether it is about the undo.
    pub undo: bool,
    /// A round, an attempt, a span of time.
    pub number: u8,
    /// What is said: an outcome or a verb.
    pub says: u8,
    /// The other of two ways.
    pub flag: bool,
}

/// Lets it happen. A refusal is an answer too; what it must not do, the saga's watch asserts.
pub(crate) fn make(saga: &mut Watched, by: &Move) {
    let number = by.number % 8;
    let run = RunRef { step: StepIx(by.step % NAMES.len() as u8), run: by.run % 2 };
    let direction = if by.undo { Direction::Compensation } else { Direction::Action };
    let input = match by.what % 40 {
        0..10 => return saga.room_for_all(),
        10..20 => match answer_to_latest(saga, by) {
            Some(answer) => answer,
            None => return,
        },
        20..23 => Input::Answer(Answer {
            run,
            direction,
            round: number.checked_sub(4).map(u32::from),
            attempt: Some(u32::from(number)).filter(|_| by.flag),
            own_exchange: by.says.is_multiple_of(2),
            outcome: outcome(by.says),
        }),
        23..28 => {
            let span = [0, 1, 5, 10, 30, 60, 200, 4_000][usize::from(number)];
            let until = saga.now + Millis::secs(span);
            if by.flag {
                return saga.pass(until, true);
            }
            // Nobody ticked in the meantime.
            saga.now = until;
            Input::Tick
        }
        28..31 => Input::Evaluated { step: run.step, value: evaluation(number, by.flag) },
        31 => Input::Signal { name: NAMES[usize::from(run.step.0)].into(), body: "1".into() },
        32 => Input::Outage { lasted: Millis::secs(u64::from(number) * 20) },
        33 => Input::Unbound { run },
        34 => saga.room(run, direction),
        35 => Input::Lost { run, direction },
        _ => Input::Verb { verb: verb(saga, by, number, run, direction), act: act() },
    };
    let _ = saga.give(input);
}

/// An answer that fits: to the latest attempt of something that is in flight.
fn answer_to_latest(saga: &Watched, by: &Move) -> Option<Input> {
    let in_flight = saga.open_attempts();
    let open = in_flight.get(usize::from(by.step).checked_rem(in_flight.len())?)?;
    Some(Input::Answer(Answer {
        run: open.run,
        direction: open.direction,
        round: Some(open.round),
        attempt: Some(open.number).filter(|_| by.flag),
        own_exchange: by.flag,
        outcome: outcome(by.says),
    }))
}

fn act() -> Act {
    Act { by: "kim".into(), reason: "looked it up".into() }
}

pub(crate) fn completed(undone: Option<bool>) -> Outcome {
    Outcome::Completed { result: "1".into(), undone }
}

fn fault(code: &str) -> Fault {
    Fault::new(code, "as drawn")
}

fn outcome(says: u8) -> Outcome {
    let not_now = |code, named| {
        let retry_after = (says >= 110).then_some(Millis::secs(u64::from(says)));
        Outcome::Transient { fault: fault(code), named, retry_after }
    };
    match says % 22 {
        0..8 => completed(None),
        8 => completed(Some(true)),
        9 => completed(Some(false)),
        10 | 11 => Outcome::Refused(fault("NO")),
        12 | 13 => not_now("LOCKED", true),
        14 => not_now("503", false),
        15 | 16 => Outcome::Unknown { fault: fault("500"), contract: None },
        17 => Outcome::Unknown { fault: fault("404"), contract: Some("404 text/html".into()) },
        18 => Outcome::Accepted,
        19 => Outcome::Gone { proven: true },
        20 => Outcome::Gone { proven: false },
        _ => Outcome::NotSent(fault("CONNECTION_REFUSED")),
    }
}

fn evaluation(number: u8, flag: bool) -> Evaluation {
    match number {
        0 => Evaluation::Skip,
        1 | 2 => Evaluation::Data,
        3 => Evaluation::Failed(fault("EXPRESSION")),
        4 => Evaluation::Judged { refused: flag },
        n => Evaluation::Inputs(vec![Some(Payload::from("1")); usize::from(n) - 4]),
    }
}

fn verb(saga: &Watched, by: &Move, number: u8, run: RunRef, direction: Direction) -> Verb {
    let force = by.flag;
    let deadline = saga.now + Millis::secs(u64::from(number) * 30);
    match by.says % 22 {
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
