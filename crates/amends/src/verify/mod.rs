//! A definition tried in every order within a time, and what there is to say of it.
//!
//! The trying is `amends_explore`'s, on the machine that is shipped; here a file becomes its
//! subject, and what was found becomes words, diagrams and JSON.

mod advice;
pub mod choreographed;
mod diagram;
pub mod free;
mod json;
mod mermaid;
mod suppose;
mod words;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use amends_core::StepIx;
use amends_core::definition::{Definition, Fence};
use amends_core::saga::Reason;
use amends_definition::{Checked, Compiled, Severity, Span, Transport};
use amends_explore::laws::Law;
use amends_explore::model::{Action, Scene};
use amends_explore::verify::finding::{End, Observation, Trouble};
use amends_explore::verify::search::{Broken, Found, Limits, search};
use amends_explore::verify::story::{Story, tell};
use amends_explore::verify::subject::{Service, scene};

pub use advice::further;
pub use json::json;
pub use suppose::{Supposition, help};
pub use words::{Shown, end_of, words};

/// What a laptop has to spare for half a minute, and a runner in CI too: some millions of states. It is
/// reckoned from the number and the sizes of what is kept, and no more than an estimate: the
/// allocator's own and what a step of the search takes for a moment come on top.
const BYTES_MAX: usize = 1024 * 1024 * 1024;

/// How long, and how much at once.
pub struct Task<'t> {
    /// When to stop.
    pub within: Duration,
    /// The most faults that come together.
    pub faults_max: u8,
    /// What is supposed of the participants.
    pub suppositions: Vec<Supposition>,
    /// Whether it is to end now.
    pub interrupted: &'t dyn Fn() -> bool,
}

/// What was tried and found.
pub struct Report {
    /// When it was to stop.
    pub within: Duration,
    /// Whether it was stopped before that.
    pub interrupted: bool,
    /// What was supposed of the participants.
    pub suppositions: Vec<Supposition>,
    /// What the search came to.
    pub found: Found,
    /// How it took.
    pub took: Duration,
    /// How many steps the definition has.
    pub steps: usize,
    /// How the saga ends by itself: each end, in how many states, and the shortest story.
    pub ends: Vec<(End, usize, Story)>,
    /// What only a person can decide.
    pub findings: Vec<Finding>,
    /// What a person is told, and what goes by itself.
    pub told: BTreeMap<&'static str, BTreeSet<String>>,
    /// A law that is broken.
    pub counterexample: Option<Counterexample>,
}

impl Report {
    /// With how many faults together the laws are proved: all of that was tried, and none is broken.
    pub fn proved(&self) -> Option<u8> {
        let whole = self.found.levels.iter().rev().find(|level| level.complete);
        whole.filter(|_| self.found.broken.is_none()).map(|level| level.faults)
    }
}

/// Something that only a person can decide.
pub struct Finding {
    /// What it is.
    pub trouble: Trouble,
    /// The step.
    pub step: String,
    /// Its service; none of a step without an action.
    pub service: Option<String>,
    /// Where the file says it.
    pub span: Span,
    /// What was found.
    pub message: String,
    /// What to do.
    pub fix: String,
    /// In how many states.
    pub states: usize,
    /// The shortest way to it.
    pub story: Story,
}

/// A law that is broken, and the shortest way to it.
pub struct Counterexample {
    /// The law.
    pub law: Law,
    /// Where the file makes the promise that is not kept.
    pub span: Span,
    /// What was found.
    pub message: String,
    /// Why it comes to that.
    pub why: String,
    /// What to do.
    pub fix: String,
    /// The way.
    pub story: Story,
}

/// Tries a definition. `Err` says why that cannot be done.
pub fn verify(compiled: &Compiled, task: Task<'_>) -> Result<Report, String> {
    let mut services = services(compiled);
    for supposition in &task.suppositions {
        let put = supposition.put_into(&mut services, &compiled.definition);
        put.map_err(|why| format!("--suppose {}: {why}", supposition.text()))?;
    }
    let scene = scene(&compiled.definition, &services)
        .map_err(|wrong| format!("it cannot be explored: {wrong:?}"))?;
    let begun = Instant::now();
    let limits = Limits { faults_max: task.faults_max, bytes_max: BYTES_MAX };
    let interrupted = Cell::new(false);
    let found = search(&scene, limits, || {
        interrupted.set((task.interrupted)());
        interrupted.get() || begun.elapsed() >= task.within
    });
    let (took, interrupted) = (begun.elapsed(), interrupted.get());
    let Task { within, suppositions, .. } = task;
    let subject = Subject { compiled, services: &services, scene: &scene };
    let mut ends = Vec::new();
    let mut findings = Vec::new();
    let mut told = BTreeMap::<_, BTreeSet<String>>::new();
    for (what, (states, way)) in &found.seen {
        match *what {
            Observation::End(end) => ends.push((end, *states, tell(&scene, way, None))),
            Observation::Person(trouble, step) => {
                findings.push(subject.finding(trouble, step, *states, way));
            }
            Observation::Told(reason, step) => {
                let step = step.map(|step| compiled.definition.step(step).name.to_string());
                told.entry(word(reason)).or_default().extend(step);
            }
        }
    }
    let counterexample = found.broken.as_ref();
    let counterexample = counterexample.map(|broken| subject.counterexample(broken, &suppositions));
    let steps = compiled.definition.steps().len();
    Ok(Report {
        within,
        interrupted,
        suppositions,
        found,
        took,
        steps,
        ends,
        findings,
        told,
        counterexample,
    })
}

/// The name of a reason, as everywhere outside.
fn word(reason: Reason) -> &'static str {
    amends_engine::words::reason(reason)
}

/// What the file says of its services. One that is reached by no broker answers in the exchange, as
/// over HTTP and in the process.
fn services(compiled: &Compiled) -> BTreeMap<String, Service> {
    let said = compiled.bindings.0.iter().map(|(name, binding)| {
        let brokered = !matches!(binding.transport, None | Some(Transport::Http { .. }));
        let breaches = Vec::new();
        (name.clone(), Service { fence: binding.fence, brokered, breaches })
    });
    said.collect()
}

struct Subject<'a> {
    compiled: &'a Compiled,
    services: &'a BTreeMap<String, Service>,
    scene: &'a Scene,
}

impl Subject<'_> {
    fn def(&self) -> &Definition {
        &self.compiled.definition
    }

    fn finding(&self, trouble: Trouble, at: StepIx, states: usize, way: &[Action]) -> Finding {
        let step = self.def().step(at);
        let service = step.action().map(|action| action.service.to_string());
        let span = match trouble {
            Trouble::Expression => self.step_span(at),
            _ => self.promise_span(at),
        };
        Finding {
            trouble,
            step: step.name.to_string(),
            service,
            span,
            message: advice::message(trouble, step),
            fix: advice::fix(trouble, step, self.fence(at)),
            states,
            story: tell(self.scene, way, None),
        }
    }

    fn fence(&self, at: StepIx) -> Option<Fence> {
        let step = self.def().step(at);
        step.fence.or_else(|| self.services.get(&*step.action()?.service)?.fence)
    }

    fn step_span(&self, at: StepIx) -> Span {
        self.compiled.places.steps.get(at.get()).copied().unwrap_or_default()
    }

    /// Where the fence of a step is said, or could be: with its service, unless the step has one of
    /// its own or the service is not listed.
    fn promise_span(&self, at: StepIx) -> Span {
        let step = self.def().step(at);
        let service = step.action().and_then(|action| self.service_span(&action.service));
        match step.fence {
            Some(_) => self.step_span(at),
            None => service.unwrap_or_else(|| self.step_span(at)),
        }
    }

    fn service_span(&self, service: &str) -> Option<Span> {
        self.compiled.places.services.get(service).copied()
    }

    fn counterexample(&self, broken: &Broken, suppositions: &[Supposition]) -> Counterexample {
        let law = broken.law;
        let supposed = |s: &Supposition| format!("{}: {}", s.service, s.what());
        let supposed: Vec<_> = suppositions.iter().map(supposed).collect();
        let fixes: Vec<_> = suppositions.iter().map(Supposition::fix).collect();
        let none = suppositions.is_empty();
        Counterexample {
            law,
            span: suppositions
                .first()
                .and_then(|supposition| self.service_span(&supposition.service))
                .unwrap_or_else(|| self.step_span(StepIx(0))),
            message: format!("not kept: {}", rule(law).1),
            why: match none {
                true => "no promise was broken for this: it is a mistake in amends".to_owned(),
                false => format!("it is supposed of {}", supposed.join("; of ")),
            },
            fix: match none {
                true => "please report it, with this file".to_owned(),
                false => fixes.join("; "),
            },
            story: tell(self.scene, &broken.way, broken.calm_from),
        }
    }
}

/// The laws that are looked at. Nobody pauses here, so that nothing is said of a pause.
fn laws() -> impl Iterator<Item = Law> {
    Law::ALL.iter().copied().filter(|law| *law != Law::Pause)
}

/// Can it be seen only when every state of a level is known? What is reachable, and what is left.
fn is_of_the_whole(law: Law) -> bool {
    rule(law).0.starts_with('L')
}

/// A story in sentences.
fn numbered(story: &[String], width: usize) -> String {
    let line = |(at, said): (usize, &String)| words::wrapped(&format!("{at:3}. {said}"), 2, width);
    (1..).zip(story).map(line).collect()
}

/// The number of a law, and what it says.
fn rule(law: Law) -> (&'static str, &'static str) {
    law.name().split_once(": ").unwrap_or((law.name(), ""))
}

/// What a place in the file is, for tools.
fn place(checked: &Checked, span: Span) -> (usize, usize) {
    let place = checked.source.place(span.start);
    (place.line, place.column)
}

/// How much a finding matters: the saga runs as it says, and a person has work.
const SEVERITY: Severity = Severity::Warning;
