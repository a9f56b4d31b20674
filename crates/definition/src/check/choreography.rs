//! What a choreography cannot have: the core's own word, at the place it is about.

use amends_core::choreography::{Choreography, Unsuited};
use amends_core::definition::Definition;

use super::Subject;
use crate::file::PatternWord;
use crate::finding::Findings;
use crate::rule::Rule;
use crate::source::Span;
use crate::tree::shorten;

pub(super) fn check(
    subject: &Subject<'_>,
    definition: Option<&Definition>,
    findings: &mut Findings,
) {
    let Some(pattern) = &subject.file.pattern else { return };
    if pattern.value != PatternWord::Choreography {
        return;
    }
    // What waits for a signal is said also where nothing can be said of the order.
    for laid in subject.laid {
        if let Some(signal) = laid.file.said.find("signal") {
            findings.add(Rule::ChoreographySignal, signal, "this step waits for a signal");
        }
    }
    let Some(definition) = definition else { return };
    let wrong = Choreography::new(definition.clone()).err().unwrap_or_default();
    let alone = wrong.iter().all(|wrong| matches!(wrong, Unsuited::NoArbiter));
    for wrong in wrong {
        let step = |ix: amends_core::StepIx| &subject.laid[ix.get()];
        match wrong {
            Unsuited::Signal(_) => {}
            Unsuited::Runs(ix) => {
                let message = format!("the step `{}` is repeated", shorten(step(ix).name()));
                findings.add(Rule::ChoreographyRuns, key(subject, ix, "for_each"), message);
            }
            Unsuited::UndoneElsewhere(ix) => {
                let message = format!(
                    "the step `{}` is done at one service and undone at another",
                    shorten(step(ix).name())
                );
                let at = key(subject, ix, "compensation");
                findings.add(Rule::ChoreographyUndoneElsewhere, at, message);
            }
            // What else is wrong may be why there is none.
            Unsuited::NoArbiter if !alone => {}
            Unsuited::NoArbiter => {
                let message = "no step of this choreography comes last, or decides before that";
                findings.add(Rule::ChoreographyNoArbiter, pattern.span, message);
            }
        }
    }
}

fn key(subject: &Subject<'_>, ix: amends_core::StepIx, key: &str) -> Span {
    let step = &subject.laid[ix.get()];
    step.file.said.find(key).unwrap_or(step.name_span())
}
