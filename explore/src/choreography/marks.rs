//! What a run must have seen somewhere, so that no law is kept for want of a chance to break it.

use std::sync::atomic::{AtomicU32, Ordering};

use amends_core::choreography::{End, Outcome, Said};
use amends_core::definition::Kind;

use super::laws::listened;
use super::moves::{Action, best_effort};
use super::scene::{Scene, World};

macro_rules! marks {
    ($($name:ident: $words:literal,)*) => {
        #[derive(Clone, Copy)]
        enum Mark { $($name,)* }

        /// All of them, in words.
        pub const ALL: &[&str] = &[$($words,)*];
    };
}

marks! {
    Completed: "completed",
    Failed: "failed, rolled back",
    Void: "completed, although a failure was said",
    UndoneHeardFirst: "a step heard to be undone before it was heard to be done",
    DoneHeardFirst: "a step heard to be done before the saga was heard of",
    BarredByFailure: "a step barred before its turn came",
    Refused: "a step refused",
    PivotRefused: "a pivot refused",
    RetriableRefused: "a retriable step refused, and asked again",
    Waived: "a best-effort step that was waited for no more",
    Overdue: "a failure said by who waited",
    Skipped: "a step passed over",
    ArbiterSkipped: "an arbiter passed over",
    AnsweredAfterFailure: "an attempt that was open when the failure came, answered",
    RanUnheard: "a step that ran unheard, and ran no second time",
    UndoneUnheard: "an undo unheard, and done again",
    BestEffortAfterFailure: "a best effort done after the failure was said",
}

static SEEN: AtomicU32 = AtomicU32::new(0);

fn seen_if(so: bool, mark: Mark) {
    let bit = 1 << mark as u32;
    // Most are seen often: a read is cheaper than a contended write.
    if so && SEEN.load(Ordering::Relaxed) & bit == 0 {
        SEEN.fetch_or(bit, Ordering::Relaxed);
    }
}

/// What has not been seen since the process began.
pub fn missing() -> Vec<&'static str> {
    let seen = SEEN.load(Ordering::Relaxed);
    (0..).zip(ALL).filter(|(bit, _)| seen & (1 << bit) == 0).map(|(_, words)| *words).collect()
}

/// What a move shows.
pub(super) fn of_move(scene: &Scene, before: &World, action: Action, after: &World) {
    let failed = before.said.contains(Said::Failed);
    match action {
        Action::Read(service, word) => {
            let part = &before.parts[usize::from(service)];
            match word {
                Said::Compensated(step) => {
                    seen_if(!part.completed.contains(step), Mark::UndoneHeardFirst);
                }
                Said::Completed(_) => seen_if(!part.started, Mark::DoneHeardFirst),
                _ => {}
            }
            let barred = after.parts[usize::from(service)].never_ran != part.never_ran;
            seen_if(barred && word == Said::Failed, Mark::BarredByFailure);
        }
        Action::Run(step, outcome) => {
            let kind = scene.play.definition().step(step).kind;
            let part = &before.parts[scene.service_of(step)];
            let ran = before.ledgers[step.get()].done > 0;
            match outcome {
                Outcome::Refused => {
                    seen_if(kind == Kind::Compensatable, Mark::Refused);
                    seen_if(kind == Kind::Pivot, Mark::PivotRefused);
                    seen_if(kind == Kind::Retriable, Mark::RetriableRefused);
                }
                Outcome::Skipped => {
                    seen_if(true, Mark::Skipped);
                    seen_if(step == scene.play.arbiter(), Mark::ArbiterSkipped);
                }
                Outcome::Completed => {
                    seen_if(part.failed && part.begun.contains(step), Mark::AnsweredAfterFailure);
                    seen_if(ran, Mark::RanUnheard);
                    let late = failed && best_effort(scene, step);
                    seen_if(late, Mark::BestEffortAfterFailure);
                }
            }
        }
        Action::Undo(step) => {
            seen_if(before.ledgers[step.get()].undone > 0, Mark::UndoneUnheard);
        }
        Action::Overdue(service, _) => {
            let at = usize::from(service);
            seen_if(after.parts[at].waived != before.parts[at].waived, Mark::Waived);
            seen_if(!failed && after.said.contains(Said::Failed), Mark::Overdue);
        }
        _ => {}
    }
}

/// What a state shows in which nothing is left to do.
pub(super) fn of_rest(scene: &Scene, world: &World) {
    let end = listened(scene, world, false).and_then(|part| part.end(&scene.play));
    seen_if(end == Some(End::Completed), Mark::Completed);
    seen_if(end == Some(End::Failed), Mark::Failed);
    let void = end == Some(End::Completed) && world.said.contains(Said::Failed);
    seen_if(void, Mark::Void);
}
