//! A choreography tried in every order: who reads, runs, refuses, bars and undoes what, and when.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use amends_core::{Definition, StepIx};

use amends_core::choreography::{Choreography, Outcome, Said};
use amends_definition::{Checked, Compiled, findings_json};
use amends_explore::choreography::laws::Law;
use amends_explore::choreography::moves::{Action, play};
use amends_explore::choreography::scene::{Hands, STEPS_MAX, Scene, World};
use amends_explore::choreography::search::explore;
use amends_explore::verify::finding::End;
use amends_explore::verify::search::{Cut, Level};
use serde_json::{Map, Value, json};

use super::json::end_word;
use super::words::{ENDS, Shown, counted, end_title, grouped, wrapped};
use super::{BYTES_MAX, Task, advice, numbered};

const TRIED: &str = "Tried in every order, with the kit and with sidecars: each service reads what the \
    others say, sooner or later and more than once; it runs a step or refuses it, bars it or undoes it; an \
    answer is lost between a sidecar and its service; somebody has waited too long, or cancels. Reading \
    late and a cancel are no faults, the rest is.";

const LEFT_OUT: &str = "Left out: what conditions compute (they may be true or false), how long things take, \
    and more faults together than were tried.";

/// What was tried and found.
pub struct Report {
    within: Duration,
    interrupted: bool,
    took: Duration,
    steps: usize,
    services: usize,
    arbiter: String,
    levels: Vec<Level>,
    cut: Option<Cut>,
    /// Each end, in how many states of the last level that is whole, and the shortest story.
    ends: Vec<(End, usize, Vec<String>)>,
    broken: Option<(Law, Vec<String>)>,
}

/// Tries a choreography. `Err` says why that cannot be done.
pub fn verify(compiled: &Compiled, task: &Task<'_>) -> Result<Report, String> {
    if !task.suppositions.is_empty() {
        let why = "--suppose: of a choreography no promise can be supposed broken; its services have the \
                   barrier by the kit or a sidecar";
        return Err(why.to_owned());
    }
    let definition = &compiled.definition;
    let of = Choreography::new(Definition::clone(definition))
        .map_err(|wrong| format!("it is no choreography: {wrong:?}"))?;
    let steps = definition.steps().len();
    if steps > STEPS_MAX {
        return Err(format!(
            "it has {steps} steps, and of a choreography {STEPS_MAX} can be tried"
        ));
    }
    let actions = definition.steps().iter().filter_map(|step| step.action());
    let services = actions.map(|action| &*action.service).collect::<BTreeSet<_>>().len();
    let mut report = Report {
        within: task.within,
        interrupted: false,
        took: Duration::ZERO,
        steps,
        services,
        arbiter: definition.step(of.arbiter()).name.to_string(),
        levels: Vec::new(),
        cut: None,
        ends: Vec::new(),
        broken: None,
    };
    let begun = Instant::now();
    for faults in 0..=task.faults_max {
        report.level(&of, faults, task, begun);
        if report.cut.is_some() || report.broken.is_some() {
            break;
        }
    }
    report.took = begun.elapsed();
    Ok(report)
}

impl Report {
    /// With how many faults together the laws are proved: all of that was tried, and none is broken.
    pub fn proved(&self) -> Option<u8> {
        let whole = self.levels.iter().rev().find(|level| level.complete);
        whole.filter(|_| self.broken.is_none()).map(|level| level.faults)
    }

    /// Is a law broken?
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Was it stopped before all was tried?
    pub fn interrupted(&self) -> bool {
        self.interrupted
    }

    fn level(&mut self, of: &Choreography, faults: u8, task: &Task<'_>, begun: Instant) {
        let mut level = Level { faults, states: 0, complete: false };
        let mut ends: Vec<(End, usize, Vec<String>)> = Vec::new();
        for hands in [Hands::Kit, Hands::Sidecar] {
            let scene = Scene::of(of.clone(), hands).with(faults, 1);
            let stopped = Cell::new(None);
            let found = explore(&scene, &mut |bytes| {
                self.interrupted = (task.interrupted)();
                let late = self.interrupted || begun.elapsed() >= task.within;
                stopped.set(match (late, bytes > BYTES_MAX) {
                    (true, _) => Some(Cut::Time),
                    (false, true) => Some(Cut::Memory),
                    (false, false) => None,
                });
                stopped.get().is_none()
            });
            level.states += found.states;
            for (end, (states, way)) in &found.ends {
                match ends.iter_mut().find(|(other, ..)| other == end) {
                    Some((_, sum, _)) => *sum += states,
                    None => ends.push((*end, *states, story(&scene, way))),
                }
            }
            self.cut = stopped.get();
            self.broken = found.broken.map(|(law, way)| (law, story(&scene, &way)));
            if self.cut.is_some() || self.broken.is_some() {
                break;
            }
        }
        level.complete = self.cut.is_none() && self.broken.is_none();
        if level.complete || self.ends.is_empty() {
            // Of each end the story with the fewest faults is told.
            for (end, _, story) in &mut ends {
                let before = self.ends.iter().find(|(other, ..)| other == end);
                if let Some((_, _, known)) = before {
                    story.clone_from(known);
                }
            }
            self.ends = ends;
        }
        self.levels.push(level);
    }
}

/// What happens on a way, in words: what is read without anything coming of it is left out.
fn story(scene: &Scene, way: &[Action]) -> Vec<String> {
    // More may go wrong than any way takes.
    let mut world = World { faults: u8::MAX, cancels: u8::MAX, ..World::opening(scene) };
    let mut lines = Vec::new();
    for &action in way {
        lines.extend(told(scene, action));
        let Some(moved) = play(scene, &world, action) else { break };
        let barred = scene.play.definition().indices().filter(|&step| {
            let word = Said::NeverRan(step);
            moved.world.said.contains(word) && !world.said.contains(word)
        });
        lines.extend(barred.map(|step| {
            format!(
                "{} says that {} never ran, and never will",
                service(scene, step),
                name(scene, step)
            )
        }));
        world = moved.world;
    }
    lines
}

fn told(scene: &Scene, action: Action) -> Option<String> {
    let by = |step| (service(scene, step), name(scene, step));
    Some(match action {
        Action::Read(..) => return None,
        Action::Begin(step) => {
            let (service, step) = by(step);
            format!("{service}'s sidecar begins {step}")
        }
        Action::Run(step, outcome) => {
            let (service, step) = by(step);
            match outcome {
                Outcome::Completed => format!("{service} runs {step}"),
                Outcome::Skipped => format!("{service} passes {step} over"),
                Outcome::Refused => format!("{service} refuses {step}"),
            }
        }
        Action::RunUnheard(step) => {
            let (service, step) = by(step);
            format!("{service} runs {step}, and its sidecar does not hear of it")
        }
        Action::Undo(step) => {
            let (service, step) = by(step);
            format!("{service} undoes {step}")
        }
        Action::UndoUnheard(step) => {
            let (service, step) = by(step);
            format!("{service} undoes {step}, and its sidecar does not hear of it")
        }
        Action::Overdue(of, step) => {
            let own = scene.services[usize::from(of)].iter().next();
            let who = own.map_or("a service".to_owned(), |own| service(scene, own).to_owned());
            format!("{who} has waited too long for {}", name(scene, step))
        }
        Action::Cancel => "a person cancels".to_owned(),
    })
}

fn service(scene: &Scene, step: StepIx) -> &str {
    scene.play.definition().step(step).action().map_or("its service", |action| &action.service)
}

fn name(scene: &Scene, step: StepIx) -> &str {
    &scene.play.definition().step(step).name
}

fn rule(law: Law) -> (&'static str, &'static str) {
    law.name().split_once(": ").unwrap_or((law.name(), ""))
}

/// The whole report for a person.
pub fn words(report: &Report, checked: &Checked, saga_type: &str, shown: &Shown) -> String {
    let width = shown.width();
    let mut text = wrapped(TRIED, 0, width);
    text.push('\n');
    for level in &report.levels {
        let faults = match level.faults {
            0 => "no fault".to_owned(),
            1 => "1 fault".to_owned(),
            n => format!("{n} faults"),
        };
        let end = match report.cut.filter(|_| !level.complete) {
            None if level.complete => shown.paint("all of them", "32"),
            None => "up to a broken law".to_owned(),
            Some(_) if report.interrupted => "not all: interrupted".to_owned(),
            Some(Cut::Time) => format!("not all: {} were up", advice::time(report.within)),
            Some(Cut::Memory) => "not all: they take about 1 GiB, the limit".to_owned(),
        };
        text += &format!("  {faults:<9} {:>11} states  {end}\n", grouped(level.states));
    }
    text.push('\n');
    if let Some((law, story)) = &report.broken {
        text += &shown.head(&format!("Not kept: {}", law.name()));
        text += &numbered(story, width);
        let words = "It is a mistake in amends: please report it, with this file.";
        text += &wrapped(words, 0, width);
    } else {
        text += &shown.head(match report.proved() {
            Some(_) => "In each of the states that were tried whole all laws hold:",
            None => "No law is broken in what was tried, and that proves nothing yet:",
        });
        for &law in Law::ALL {
            let (id, words) = rule(law);
            text += &format!("  {id:<4} {words}\n");
        }
        text.push('\n');
        text += &shown.head("How it ends:");
        for end in ENDS.into_iter().filter(|end| *end != End::NotClean) {
            let found = report.ends.iter().find(|(other, ..)| *other == end);
            text += &counted(end_title(end), found.map_or(0, |(_, states, _)| *states));
            if let Some((_, _, story)) = found.filter(|_| shown.ends.contains(&end)) {
                text += &format!("\n{}\n", numbered(story, width));
            }
        }
        text.push('\n');
        let decides = format!(
            "{} decides how it ends: its service runs it or bars it, and nothing is undone before \
             that.",
            report.arbiter
        );
        text += &wrapped(&decides, 0, width);
        text.push('\n');
        text += &wrapped(LEFT_OUT, 0, width);
    }
    text.push('\n');
    text + &wrapped(&verdict(report, checked, saga_type, shown), 0, width)
}

fn verdict(report: &Report, checked: &Checked, saga_type: &str, shown: &Shown) -> String {
    let said = match (&report.broken, report.proved()) {
        (Some((law, _)), _) => shown.paint(&format!("{} is broken", rule(*law).0), "1;31"),
        (None, None) => shown.paint("nothing is proved", "1;33"),
        (None, Some(0)) => shown.paint("every law holds without a fault", "1;32"),
        (None, Some(1)) => shown.paint("every law holds with any one fault", "1;32"),
        (None, Some(n)) => shown.paint(&format!("every law holds with any {n} faults"), "1;32"),
    };
    let states: usize = report.levels.iter().map(|level| level.states).sum();
    let many = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    format!(
        "{}: {saga_type}, {} among {}: {said} ({} states, {:.1} s)",
        checked.source.path(),
        many(report.steps, "step"),
        many(report.services, "service"),
        grouped(states),
        report.took.as_secs_f64()
    )
}

/// The whole report as JSON text.
pub fn json(report: &Report, checked: &Checked, saga_type: &str) -> String {
    let levels = report.levels.iter().map(|level| {
        json!({ "faults": level.faults, "states": level.states, "complete": level.complete })
    });
    let ends: Map<String, Value> = report
        .ends
        .iter()
        .map(|(end, states, story)| {
            (end_word(*end).to_owned(), json!({ "states": states, "story": story }))
        })
        .collect();
    let law = |&law: &Law| {
        let (id, words) = rule(law);
        let broken = report.broken.as_ref().is_some_and(|(broken, _)| *broken == law);
        // Null: nothing is proved of it.
        let holds = if broken { Some(false) } else { report.proved().map(|_| true) };
        json!({ "id": id, "words": words, "holds": holds })
    };
    let cut = report.cut.map(|cut| match cut {
        _ if report.interrupted => "interrupted",
        Cut::Time => "time",
        Cut::Memory => "memory",
    });
    json!({
        "path": checked.source.path(),
        "saga_type": saga_type,
        "pattern": "choreography",
        "steps": report.steps,
        "services": report.services,
        "arbiter": report.arbiter,
        "levels": levels.collect::<Vec<_>>(),
        "cut": cut,
        "proved_faults": report.proved(),
        "laws": Law::ALL.iter().map(law).collect::<Vec<_>>(),
        "ends": ends,
        "warnings": findings_json(&checked.warnings()),
        "counterexample": report.broken.as_ref().map(|(law, story)| {
            json!({ "id": rule(*law).0, "law": rule(*law).1, "story": story })
        }),
    })
    .to_string()
}
