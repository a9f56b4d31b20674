//! A verb that does not fit, in words: what is the case, and what can be done instead (the table of
//! verbs, section 5).

use amends_core::definition::{Definition, Kind};
use amends_core::input::{Resolution, Verb};
use amends_core::saga::{Reason, Saga, Status};
use amends_core::{Direction, RunRef, rules};

/// Why the machine refused this verb as one that does not fit.
pub fn misfit(verb: &Verb, def: &Definition, saga: &Saga) -> &'static str {
    match verb {
        Verb::Extend { run: None, .. } => saga_deadline(saga),
        Verb::Extend { run: Some(_), .. } if saga.state.ended() => ENDED,
        Verb::Extend { run: Some(_), .. } => {
            "the step is not asked any more, so no deadline of it is to come"
        }
        Verb::Retry { run, direction } => match open_question(saga, *run) {
            Some(resolve) if *direction == Direction::Action => resolve,
            _ => "no command of the step waits to be sent",
        },
        Verb::Resolve { direction: Direction::Compensation, resolution, .. }
            if *resolution == Resolution::Refused =>
        {
            "an undo cannot be refused: resolve it as completed, or skip it"
        }
        Verb::Resolve { run, resolution, .. } => {
            let retriable = step_kind(def, *run) == Some(Kind::Retriable);
            if retriable && *resolution == Resolution::Refused {
                "a retriable step is done sooner or later: resolve it as completed, or skip it"
            } else {
                not_owed(
                    def,
                    saga,
                    *run,
                    "only an undo that is owed, a retriable step, an open pivot, or an open step \
                     whose fence is none can be resolved",
                )
            }
        }
        Verb::Skip { run, .. } => open_question(saga, *run).unwrap_or_else(|| {
            not_owed(
                def,
                saga,
                *run,
                "only an undo that is owed, or a retriable step that is not done, can be skipped",
            )
        }),
        Verb::Edit { run, .. } => open_question(saga, *run).unwrap_or_else(|| {
            not_owed(
                def,
                saga,
                *run,
                "only an undo that is owed, or a step that is known not to have happened, takes \
                 another body",
            )
        }),
        Verb::Acknowledge { run } => acknowledge(saga, *run),
        // The machine refuses these with words of their own.
        Verb::Cancel | Verb::Pause | Verb::Resume => "this cannot be done where the saga stands",
    }
}

const ENDED: &str = "the saga has ended, and owes this step no undo";

fn saga_deadline(saga: &Saga) -> &'static str {
    if saga.state.ended() {
        "the saga has ended: no deadline of it is to come"
    } else if saga.turned.is_some() {
        "the saga rolls back, and its deadline does not matter any more"
    } else {
        "the saga has no deadline of its own: extend that of the step it waits for"
    }
}

/// The way out for a step that may or may not have happened, and that is asked no more or in vain.
fn open_question(saga: &Saga, run: RunRef) -> Option<&'static str> {
    let has = |reason| saga.attention.iter().any(|a| a.run == Some(run) && a.reason == reason);
    if has(Reason::OutcomeUnknown) {
        Some(
            "the step may have happened and is asked no more: find out at its service, and resolve \
             it as completed or refused; as completed it is undone where the saga rolls back",
        )
    } else if has(Reason::PivotUnknown) {
        Some(
            "the pivot may have happened: find out at its service, and resolve it as completed or \
             refused",
        )
    } else {
        None
    }
}

fn not_owed(def: &Definition, saga: &Saga, run: RunRef, otherwise: &'static str) -> &'static str {
    if saga.state.ended() {
        return ENDED;
    }
    let Some(state) = saga.run(run) else { return otherwise };
    let cancel_helps = step_kind(def, run) == Some(Kind::Compensatable)
        && saga.turned.is_none()
        && !rules::point_of_no_return(def, saga);
    match state.status {
        Status::Completed if cancel_helps => {
            "the step is done, and no undo of it is owed: cancel the saga to have it undone"
        }
        Status::Completed | Status::Skipped => "the step is done with",
        Status::Compensated => "the step is undone already",
        Status::Executing if cancel_helps => {
            "the step is still asked, and no undo of it is owed: wait for its deadline, or cancel \
             the saga"
        }
        _ => otherwise,
    }
}

fn acknowledge(saga: &Saga, run: RunRef) -> &'static str {
    let contradicted =
        saga.attention.iter().any(|a| a.run == Some(run) && a.reason == Reason::Contradicted);
    if contradicted {
        "while undos are owed that the contradiction stops, it is not acknowledged: resolve or skip \
         those first"
    } else {
        "nothing that contradicts a decision is noted at the step"
    }
}

fn step_kind(def: &Definition, run: RunRef) -> Option<Kind> {
    let known = run.step.get() < def.steps().len();
    known.then(|| def.step(run.step).kind)
}
