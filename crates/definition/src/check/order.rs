//! Kinds and order: what the machine's own check says, at the place it is about.

use amends_core::StepIx;
use amends_core::definition::{Definition, IllFormed, STEPS_MAX, Work};

use super::Subject;
use crate::compile::{Laid, PLACEHOLDER};
use crate::finding::{Findings, did_you_mean};
use crate::rule::Rule;
use crate::tree::shorten;

/// The definition for the machine, when it is well-formed.
pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings) -> Option<Definition> {
    let laid = subject.laid;
    let in_order = after(laid, findings);
    let file = subject.file;
    let name = file.saga.as_ref().map_or(PLACEHOLDER, |f| f.value.as_str());
    let version = file.version.as_ref().map_or(1, |f| f.value);
    let deadline = file.deadline.as_ref().map(|f| f.value);
    let steps = laid.iter().map(Laid::step).collect();
    match Definition::new(name.into(), version, deadline, steps) {
        Ok(definition) => Some(definition),
        Err(wrong) => {
            for wrong in wrong {
                // What a step waits for decides what may stand where: when that cannot be read,
                // the rest would be guessed.
                let about_order = matches!(
                    wrong,
                    IllFormed::TurnsTooLate { .. } | IllFormed::RetriableBeforePivot(_)
                );
                if in_order || !about_order {
                    report(&wrong, laid, findings);
                }
            }
            None
        }
    }
}

/// `after` names earlier steps.
fn after(laid: &[Laid<'_>], findings: &mut Findings) -> bool {
    let mut good = true;
    let position = |name: &str| {
        laid.iter().position(|l| l.file.name.as_ref().is_some_and(|n| n.value == name))
    };
    for (ix, step) in laid.iter().enumerate() {
        let waits = shorten(step.name());
        for name in step.file.after.iter().flat_map(|f| f.value.all()) {
            let shown = shorten(&name.value);
            match position(&name.value) {
                Some(other) if other < ix => continue,
                Some(other) => {
                    let (message, fix) = match other == ix {
                        true => (
                            format!("the step `{waits}` waits for itself"),
                            format!("remove `{shown}` from its `after`"),
                        ),
                        false => (
                            format!(
                                "`{waits}` waits for `{shown}`, which stands below it in the file"
                            ),
                            format!(
                                "move `{waits}` below `{shown}`, or remove `{shown}` from its `after`"
                            ),
                        ),
                    };
                    findings.add_with_fix(Rule::BadOrder, name.span, message, fix);
                }
                None => {
                    let names = laid[..ix].iter().map(Laid::name);
                    let message =
                        format!("`{waits}` waits for `{shown}`, and no step has that name");
                    let fix = match did_you_mean(&name.value, names) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => of_those_before(&laid[..ix]),
                    };
                    findings.add_with_fix(Rule::UnknownAfter, name.span, message, fix);
                }
            }
            good = false;
        }
    }
    good
}

/// What a step may wait for.
fn of_those_before(laid: &[Laid<'_>]) -> String {
    /// Who looks for one of more looks into the file.
    const NAMES_MAX: usize = 8;
    if laid.is_empty() {
        return "remove it: no step stands above this one".to_owned();
    }
    let names: Vec<_> = laid.iter().map(|laid| format!("`{}`", shorten(laid.name()))).collect();
    let names = &names[names.len().saturating_sub(NAMES_MAX)..];
    format!("name a step that stands above this one ({}), or remove it", names.join(", "))
}

fn report(wrong: &IllFormed, laid: &[Laid<'_>], findings: &mut Findings) {
    let at = |ix: &StepIx| &laid[ix.get()];
    let name = |ix: &StepIx| shorten(at(ix).name());
    let key = |ix: &StepIx, keys: &[&str]| {
        let step = at(ix);
        keys.iter().find_map(|key| step.file.said.find(key)).unwrap_or(step.name_span())
    };
    match wrong {
        // The names' own check has said these, with more to say.
        IllFormed::NoSteps | IllFormed::TooManySteps | IllFormed::BadName(_) => {}
        IllFormed::BadOrder(step) => {
            let message = format!("the step `{}` waits for a later one", name(step));
            findings.add(Rule::BadOrder, key(step, &["after"]), message);
        }
        IllFormed::SecondPivot(step) => {
            let message = format!("`{}` is a second pivot", name(step));
            findings.add(Rule::SecondPivot, key(step, &["kind"]), message);
        }
        IllFormed::PivotNotPlain(step) => {
            let message = format!("the pivot `{}` is conditional or repeated", name(step));
            findings.add(Rule::PivotNotPlain, key(step, &["when", "for_each"]), message);
        }
        IllFormed::NeverUndone(step) => {
            let message = format!("the compensation of `{}` would never be sent", name(step));
            findings.add(Rule::NeverUndone, key(step, &["compensation"]), message);
        }
        IllFormed::SignalNotPlain(step) => {
            let message = format!("the step `{}` waits for a signal and is not plain", name(step));
            findings.add(
                Rule::SignalNotPlain,
                key(step, &["kind", "when", "for_each", "input"]),
                message,
            );
        }
        IllFormed::TurnsTooLate { step, point } => {
            let (turns, point) = (name(step), name(point));
            if matches!(at(step).step().work, Work::Signal { .. }) {
                let message = format!(
                    "the signal `{turns}` may refuse, and `{point}`, which is never undone, does not wait for it"
                );
                findings.add(Rule::SignalTurnsTooLate, at(step).name_span(), message);
            } else {
                let message = format!(
                    "`{turns}` is compensatable, and `{point}`, which is never undone, does not wait for it"
                );
                findings.add(Rule::TurnsTooLate, at(step).name_span(), message);
            }
        }
        IllFormed::RetriableBeforePivot(step) => {
            let message = format!("`{}` is retriable and does not wait for the pivot", name(step));
            findings.add(Rule::RetriableBeforePivot, key(step, &["kind"]), message);
        }
        // Said at the limit itself by the checks of time.
        IllFormed::ZeroLimit(_) => {}
    }
}

/// Every step that is done before each, directly or not.
pub(super) fn ancestors(laid: &[Laid<'_>]) -> Vec<u64> {
    const _: () = assert!(STEPS_MAX <= 64, "a set of steps is one machine word");
    let mut all: Vec<u64> = Vec::with_capacity(laid.len());
    for step in laid {
        let set = step.after.iter().filter(|before| **before < all.len());
        all.push(set.fold(0, |set, before| set | all[*before] | 1 << before));
    }
    all
}
