//! The rules themselves, one function each, over what all ledgers say of one step.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{Rule, Verdict, Violation};
use super::{Ending, Promise, SagaFacts, StepFacts};
use crate::evidence::{Call, Evidence, Word};

/// What the ledgers of all services say of one step of one saga.
#[derive(Default)]
struct Traces<'a> {
    forward: u32,
    undone: u32,
    /// Each with its service: entries are in order within one service only.
    calls: Vec<(&'a str, &'a Call)>,
    tombstone: bool,
}

impl Traces<'_> {
    fn undo_calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().map(|(_, call)| *call).filter(|call| call.is_undo)
    }

    fn first_undo_arrived_ns(&self) -> Option<i64> {
        self.undo_calls().map(|call| call.arrived_ns).min()
    }

    /// When the caller could first know that the undo is done.
    fn undo_acknowledged_ns(&self) -> Option<i64> {
        let acknowledged = self.undo_calls().filter(|call| call.answer.acknowledges_undo());
        acknowledged.filter_map(|call| call.answered_ns).min()
    }

    fn may_have_run(&self) -> bool {
        self.forward > 0 || self.undo_calls().next().is_some()
    }
}

type ByStep<'a> = BTreeMap<&'a str, BTreeMap<&'a str, Traces<'a>>>;

pub(super) fn judge(sagas: &[SagaFacts], evidence: &[Evidence]) -> Verdict {
    let traces = gather(evidence);
    let mut found = Findings::default();
    let known: BTreeMap<&str, &SagaFacts> =
        sagas.iter().map(|saga| (saga.saga_id.as_str(), saga)).collect();

    for (saga_id, steps) in &traces {
        for (step, traces) in steps {
            let mut bench = Bench { found: &mut found, saga_id, step };
            at_most_once(&mut bench, traces);
            undo_of_nothing(&mut bench, traces);
            tombstones_hold(&mut bench, traces);
            let named = known.get(saga_id).map(|saga| saga.steps.iter().any(|s| s.name == *step));
            match named {
                None => bench.broken(Rule::S5, "no saga of this id was started"),
                Some(false) => bench.broken(Rule::S5, "the saga has no such step"),
                Some(true) => {}
            }
        }
    }
    one_body_a_key(&mut found, evidence);
    for saga in sagas {
        let none = BTreeMap::new();
        let steps = traces.get(saga.saga_id.as_str()).unwrap_or(&none);
        for step in &saga.steps {
            let mut bench = Bench { found: &mut found, saga_id: &saga.saga_id, step: &step.name };
            ended_well(&mut bench, saga, step, steps.get(step.name.as_str()));
            in_reverse(&mut bench, saga, step, steps);
            nothing_after_the_pivot(&mut bench, saga, step, steps);
        }
    }
    let effects = evidence.iter().flat_map(|e| &e.effects);
    Verdict {
        sagas: sagas.len(),
        effects: effects.map(|e| u64::from(e.forward) + u64::from(e.undone)).sum(),
        calls: evidence.iter().map(|e| e.calls.len()).sum(),
        violations: found.0.into_iter().collect(),
    }
}

fn gather(evidence: &[Evidence]) -> ByStep<'_> {
    let mut all = ByStep::new();
    for Evidence { service, effects, calls, tombstones } in evidence {
        for effect in effects {
            let traces = all.entry(&effect.saga_id).or_default().entry(&effect.step).or_default();
            traces.forward += effect.forward;
            traces.undone += effect.undone;
        }
        for call in calls {
            let traces = all.entry(&call.saga_id).or_default().entry(&call.step).or_default();
            traces.calls.push((service, call));
        }
        for (saga_id, step) in tombstones {
            all.entry(saga_id).or_default().entry(step).or_default().tombstone = true;
        }
    }
    all
}

/// Violations, each once and in order.
#[derive(Default)]
struct Findings(BTreeSet<Violation>);

/// The step that is before the judge.
struct Bench<'a> {
    found: &'a mut Findings,
    saga_id: &'a str,
    step: &'a str,
}

impl Bench<'_> {
    fn broken(&mut self, rule: Rule, what: impl Into<String>) {
        self.found.0.insert(Violation {
            rule,
            saga_id: self.saga_id.to_owned(),
            step: self.step.to_owned(),
            what: what.into(),
        });
    }
}

/// S4, of effects.
fn at_most_once(bench: &mut Bench<'_>, traces: &Traces<'_>) {
    if traces.forward > 1 {
        bench.broken(Rule::S4, format!("it was done {} times", traces.forward));
    }
    if traces.undone > 1 {
        bench.broken(Rule::S4, format!("it was undone {} times", traces.undone));
    }
}

/// S4, of bytes: over all services, for a key must not be sent to two with two bodies either.
fn one_body_a_key(found: &mut Findings, evidence: &[Evidence]) {
    let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
    for call in evidence.iter().flat_map(|e| &e.calls) {
        let first = *bodies.entry(&call.key).or_insert(&call.body_sha256);
        let mut bench = Bench { found, saga_id: &call.saga_id, step: &call.step };
        if first != call.body_sha256 {
            bench.broken(Rule::S4, format!("the key {} came with two bodies", call.key));
        }
        let direction = if call.is_undo { "compensation" } else { "action" };
        let whose = format!("{}/{}/{direction}", call.saga_id, call.step);
        if call.key != whose && !call.key.starts_with(&format!("{whose}/")) {
            bench.broken(Rule::S4, format!("the key {} is not that of {whose}", call.key));
        }
    }
}

/// S9.
fn undo_of_nothing(bench: &mut Bench<'_>, traces: &Traces<'_>) {
    let Traces { forward, undone, .. } = *traces;
    if undone > forward {
        bench.broken(Rule::S9, format!("it was done {forward} times and undone {undone} times"));
    }
    let nothing = traces.undo_calls().any(|call| call.answer == Word::NothingToUndo);
    if nothing && !traces.tombstone {
        bench.broken(Rule::S9, "an undo found nothing, and no tombstone was left");
    }
}

/// S10.
fn tombstones_hold(bench: &mut Bench<'_>, traces: &Traces<'_>) {
    if traces.tombstone && traces.forward > 0 {
        bench.broken(Rule::S10, "there is a tombstone and an effect");
    }
    let nothing = |call: &Call| call.is_undo && call.answer == Word::NothingToUndo;
    for (service, undo) in traces.calls.iter().filter(|(_, call)| nothing(call)) {
        let done_later = traces.calls.iter().find(|(where_, call)| {
            let later = where_ == service && call.entry > undo.entry;
            later && !call.is_undo && call.answer == Word::Completed
        });
        if let Some((_, call)) = done_later {
            let (undo, action) = (undo.entry, call.entry);
            let what = format!("call {undo} of {service} left a tombstone, call {action} was done");
            bench.broken(Rule::S10, what);
        }
    }
}

/// S1 and S2.
fn ended_well(
    bench: &mut Bench<'_>,
    saga: &SagaFacts,
    step: &StepFacts,
    traces: Option<&Traces<'_>>,
) {
    if step.decided_by_hand {
        return;
    }
    let (forward, undone) = traces.map_or((0, 0), |traces| (traces.forward, traces.undone));
    let stands = format!("it was done {forward} times and undone {undone} times");
    match (saga.ending, step.promise) {
        _ if !step.wanted && forward + undone > 0 => {
            bench.broken(Rule::S2, format!("its condition was false, but {stands}"));
        }
        _ if !step.wanted => {}
        (Ending::Failed, Promise::Compensatable) if saga.clean && forward != undone => {
            bench.broken(Rule::S1, stands);
        }
        // A best effort may have failed, and what only reads leaves no mark that must be there.
        (Ending::Completed, Promise::Compensatable | Promise::Pivot | Promise::Retriable)
            if (forward, undone) != (1, 0) =>
        {
            bench.broken(Rule::S2, stands);
        }
        _ => {}
    }
}

/// S7 and S8: an undo of this step against each of its dependents.
fn in_reverse(
    bench: &mut Bench<'_>,
    saga: &SagaFacts,
    step: &StepFacts,
    steps: &BTreeMap<&str, Traces<'_>>,
) {
    let undo = steps.get(step.name.as_str()).and_then(|traces| traces.first_undo_arrived_ns());
    let Some(undo_arrived_ns) = undo else { return };
    for name in dependents_of(saga, step) {
        let facts = saga.steps.iter().find(|step| step.name == name);
        let undone_by_rule = facts
            .is_some_and(|facts| facts.promise == Promise::Compensatable && !facts.decided_by_hand);
        let Some(dependent) = steps.get(name).filter(|_| undone_by_rule) else { continue };
        let ran_later = dependent.calls.iter().any(|(_, call)| {
            !call.is_undo && call.answer == Word::Completed && call.arrived_ns > undo_arrived_ns
        });
        if ran_later && !repeats_only(dependent, undo_arrived_ns) {
            bench.broken(Rule::S7, format!("its undo came, and then {name} was done"));
        }
        if !dependent.may_have_run() {
            continue;
        }
        match dependent.undo_acknowledged_ns() {
            Some(acknowledged_ns) if acknowledged_ns <= undo_arrived_ns => {}
            Some(acknowledged_ns) => {
                let early_us = (acknowledged_ns - undo_arrived_ns) / 1_000;
                let what = format!("its undo came {early_us} µs before that of {name} was done");
                bench.broken(Rule::S8, what);
            }
            None => bench.broken(Rule::S8, format!("its undo came, and {name} was never undone")),
        }
    }
}

/// Were the actions after that moment told a stored answer? So when it ran before already.
fn repeats_only(traces: &Traces<'_>, moment_ns: i64) -> bool {
    traces.calls.iter().any(|(_, call)| {
        let done = matches!(call.answer, Word::Completed | Word::Lost);
        !call.is_undo && done && call.arrived_ns <= moment_ns
    })
}

/// All that depend on the step, by any number of steps between.
fn dependents_of<'a>(saga: &'a SagaFacts, step: &'a StepFacts) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = step.dependents.iter().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        if found.insert(name) {
            let next = saga.steps.iter().filter(|step| step.name == name);
            open.extend(next.flat_map(|step| step.dependents.iter().map(String::as_str)));
        }
    }
    found.remove(step.name.as_str());
    found
}

/// S11: where this step is a pivot that was done, no undo may have come, and the saga did not fail.
fn nothing_after_the_pivot(
    bench: &mut Bench<'_>,
    saga: &SagaFacts,
    step: &StepFacts,
    steps: &BTreeMap<&str, Traces<'_>>,
) {
    let done = steps.get(step.name.as_str()).is_some_and(|traces| traces.forward > 0);
    if step.promise != Promise::Pivot || !done || step.decided_by_hand {
        return;
    }
    if saga.ending == Ending::Failed {
        bench.broken(Rule::S11, "it was done, and the saga failed");
    }
    for (name, traces) in steps {
        if traces.undo_calls().next().is_some() {
            bench.broken(Rule::S11, format!("it was done, and an undo of {name} came"));
        }
    }
}
