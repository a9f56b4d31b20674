//! Between the machine's types and those of its neighbours: the wire, the store, the callers.

use std::sync::Arc;

use amends_core::input::{Outcome, Resolution, Verb};
use amends_core::saga::{Act, Fault, Reason, State};
use amends_core::{Direction, Input, Millis, Payload, RunRef, SagaId};

use crate::request::{Ask, AskError, SagaVerb};
use crate::shard::Live;

pub fn saga_id_out(id: SagaId) -> amends_wire::SagaId {
    amends_wire::SagaId(id.0)
}

pub fn saga_id_in(id: amends_wire::SagaId) -> SagaId {
    SagaId(id.0)
}

pub fn direction_out(direction: Direction) -> amends_wire::Direction {
    match direction {
        Direction::Action => amends_wire::Direction::Action,
        Direction::Compensation => amends_wire::Direction::Compensation,
    }
}

pub fn direction_in(direction: amends_wire::Direction) -> Direction {
    match direction {
        amends_wire::Direction::Action => Direction::Action,
        amends_wire::Direction::Compensation => Direction::Compensation,
    }
}

/// The machine opens no round above the wire's largest.
pub fn round_out(round: u32) -> u16 {
    u16::try_from(round).unwrap_or(u16::MAX)
}

/// The JSON text of a result that is not there.
const NULL: &str = "null";

/// An outcome as the machine takes it.
pub fn outcome_in(outcome: amends_wire::Outcome) -> Outcome {
    use amends_wire::Outcome as Wire;
    match outcome {
        Wire::Completed { result, undone } => {
            let result = result.map_or_else(|| Payload::from(NULL), |r| Payload::from(&*r));
            Outcome::Completed { result, undone }
        }
        Wire::Refused { error } => Outcome::Refused(fault_in(error)),
        Wire::Transient { error, named, retry_after } => Outcome::Transient {
            fault: fault_in(error),
            named,
            retry_after: retry_after
                .map(|pause| Millis(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))),
        },
        Wire::Accepted => Outcome::Accepted,
        Wire::Gone { proven } => Outcome::Gone { proven },
        Wire::Unknown { error, contract } => {
            Outcome::Unknown { fault: fault_in(error), contract: contract.map(Arc::from) }
        }
        Wire::NotSent { error } => Outcome::NotSent(fault_in(error)),
    }
}

fn fault_in(fault: amends_wire::Fault) -> Fault {
    Fault { code: fault.code.map(Arc::from), message: fault.message.into() }
}

/// The numbers under which the catalog knows the states. Given once, never again.
pub const fn state_out(state: State) -> u8 {
    match state {
        State::Started => 1,
        State::Pending => 2,
        State::Compensating => 3,
        State::Completed => 4,
        State::Failed => 5,
    }
}

/// The state that the catalog knows under this number.
pub const fn state_in(number: u8) -> Option<State> {
    Some(match number {
        1 => State::Started,
        2 => State::Pending,
        3 => State::Compensating,
        4 => State::Completed,
        5 => State::Failed,
        _ => return None,
    })
}

/// Every reason, at its bit of the catalog's attention mask. Given once, never again.
pub const REASON_BITS: [(Reason, u32); 13] = [
    (Reason::PivotUnknown, 1 << 0),
    (Reason::OutcomeUnknown, 1 << 1),
    (Reason::RefusedAfterPivot, 1 << 2),
    (Reason::RetriableSlow, 1 << 3),
    (Reason::Overdue, 1 << 4),
    (Reason::CompensationFailed, 1 << 5),
    (Reason::Poison, 1 << 6),
    (Reason::UndoSlow, 1 << 7),
    (Reason::Contract, 1 << 8),
    (Reason::Contradicted, 1 << 9),
    (Reason::UnboundService, 1 << 10),
    (Reason::Expression, 1 << 11),
    (Reason::Unheard, 1 << 12),
];

/// The bit of a saga that cannot be read. Counted from the top, because it is the engine's own
/// finding and no reason of the machine's, which could raise none for such a saga.
pub const UNREADABLE_BIT: u32 = 1 << 31;

/// The reason's bit in the catalog's attention mask.
pub fn reason_bit(reason: Reason) -> u32 {
    REASON_BITS.iter().find(|(known, _)| *known == reason).map_or(0, |(_, bit)| *bit)
}

/// What is asked of a saga, as an input of the machine.
pub fn ask_in(ask: Ask, live: &Live) -> Result<Input, AskError> {
    let (verb, by, reason) = match ask {
        Ask::Signal { name, body } => return Ok(Input::Signal { name, body }),
        Ask::Verb { verb, by, reason } => (verb, by, reason),
    };
    let verb = match verb {
        SagaVerb::Cancel => Verb::Cancel,
        SagaVerb::Pause => Verb::Pause,
        SagaVerb::Resume => Verb::Resume,
        SagaVerb::Retry { step } => {
            let (run, direction) = at(live, step)?;
            Verb::Retry { run, direction }
        }
        SagaVerb::Resolve { step, completed, force } => {
            let (run, direction) = at(live, step)?;
            let resolution = completed.map_or(Resolution::Refused, Resolution::Completed);
            Verb::Resolve { run, direction, resolution, force }
        }
        SagaVerb::Skip { step, force } => {
            let (run, direction) = at(live, step)?;
            Verb::Skip { run, direction, force }
        }
        SagaVerb::Edit { step, body, force } => {
            let (run, direction) = at(live, step)?;
            Verb::Edit { run, direction, body, force }
        }
        SagaVerb::Extend { step: None, deadline } => Verb::Extend { run: None, deadline },
        SagaVerb::Extend { step: Some(step), deadline } => {
            let (run, _) = at(live, step)?;
            Verb::Extend { run: Some(run), deadline }
        }
        SagaVerb::Acknowledge { step } => Verb::Acknowledge { run: at(live, step)?.0 },
    };
    Ok(Input::Verb { verb, act: Act { by, reason } })
}

/// The run that a name means, and which of its commands a verb is about: the undo, once that is
/// owed, and the action before.
fn at(live: &Live, step: String) -> Result<(RunRef, Direction), AskError> {
    let Some(run) = live.deployed.run_of(&step) else { return Err(AskError::NoSuchStep(step)) };
    let definition = live.deployed.definition.step(run.step);
    let owed = live.saga.run(run).is_some_and(|state| {
        let undecided =
            state.settled == amends_core::saga::Settled::GivenUp && state.undo.is_none();
        let waits_for_a_person = undecided && !amends_core::rules::quiet(definition, state);
        amends_core::rules::owes_undo(&live.saga, definition, state) && !waits_for_a_person
    });
    Ok((run, if owed { Direction::Compensation } else { Direction::Action }))
}
