//! What to say of what was found: in what words, and with which fix.

use amends_core::definition::{Fence, Step};
use amends_explore::verify::finding::Trouble;

/// The word in brackets: where there is attention, its reason.
pub const fn id(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::OutcomeUnknown => "outcome_unknown",
        Trouble::PivotUnknown => "pivot_unknown",
        Trouble::RetriableSlow => "retriable_slow",
        Trouble::Contradicted => "contradicted",
        Trouble::Expression => "expression",
        Trouble::Unproven => "unproven",
    }
}

/// What was found, with the step and its service.
pub fn message(trouble: Trouble, step: &Step) -> String {
    let (name, service) = (&step.name, service(step));
    match trouble {
        Trouble::OutcomeUnknown => {
            format!("a person may have to say whether {name} of {service} happened")
        }
        Trouble::PivotUnknown | Trouble::RetriableSlow => {
            format!("{service} may refuse every repeat of {name}, which has happened")
        }
        Trouble::Contradicted => {
            format!("{name} of {service} may happen after it was refused and the saga has turned")
        }
        Trouble::Expression => format!("an expression of {name} may fail when nothing can turn"),
        Trouble::Unproven => {
            format!("{name} may be undone without anybody knowing whether it happened")
        }
    }
}

/// Why it comes to that.
pub const fn why(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::OutcomeUnknown => {
            "without a fence an open outcome cannot be made harmless: the saga waits for `amends resolve`"
        }
        Trouble::PivotUnknown | Trouble::RetriableSlow => {
            "without a fence a repeat is answered with a refusal that says nothing: the saga waits for `amends resolve`"
        }
        Trouble::Contradicted => {
            "a refusal that is not final does not speak for other copies of the command; the step is never undone, so a person is told (`amends acknowledge`)"
        }
        Trouble::Expression => {
            "after the point of no return there is no way back: the saga waits for `amends edit`"
        }
        Trouble::Unproven => {
            "no answer came in its time: it is undone, and the saga ends not clean unless an answer is heard later"
        }
    }
}

/// What to do about it.
pub fn fix(trouble: Trouble, step: &Step, fence: Option<Fence>) -> String {
    let service = service(step);
    match trouble {
        Trouble::OutcomeUnknown => format!(
            "say `fence: barrier` on {service} if it keeps answers and tombstones (the participant kit does), or `fence: settle` if it answers a repeat as it did at first"
        ),
        Trouble::PivotUnknown | Trouble::RetriableSlow => format!(
            "say `fence: settle` on {service} if it answers a repeat as it did at first, or `fence: barrier` if it keeps tombstones too"
        ),
        Trouble::Contradicted => format!(
            "say `fence: settle` (or `barrier`) on {service} if its refusals are final: it stores them, and repeats them for the same key"
        ),
        Trouble::Expression => {
            "ask first whether what it reads is there (`has(data.x) ? … : …`), or evaluate it in a step before the point of no return".to_owned()
        }
        Trouble::Unproven => {
            let instead = if fence == Some(Fence::Settle) { " instead of `settle`" } else { "" };
            format!(
                "say `fence: barrier`{instead} on {service} if it keeps tombstones (the participant kit does): its undo is then proof"
            )
        }
    }
}

fn service(step: &Step) -> &str {
    step.action().map_or("its service", |action| &action.service)
}
