//! What is printed: a counterexample move by move, and the floor that a run may not fall below.

use std::collections::BTreeMap;
use std::fmt::Write;

use amends_core::{Direction, RunRef};

use crate::groups::{Broken, Reach, Spec, Tally};
use crate::model::{Action, Scene};
use crate::stage::Stage;
use crate::world::{Leg, Packet};

/// A counterexample, readable: each move, and under it the facts it brought about.
pub fn trace(broken: &Broken) -> String {
    let Spec { shape, policy, wire, left, .. } = &broken.spec;
    let mut text = String::new();
    let _ = writeln!(text, "{}", broken.law.name());
    let _ = writeln!(text, "  shape {shape}, policy {policy:?}, wire {wire:?}, {left:?}");
    let Some(scene) = Scene::new(&broken.spec) else { return text };
    let mut world = Stage::opening(&scene).world;
    for (i, &action) in broken.actions.iter().enumerate() {
        let passes = match (action, world.saga.due) {
            (Action::Advance, Some(due)) => format!(", {due} pass"),
            _ => String::new(),
        };
        let _ = writeln!(text, "{:3}. {}{passes}", i + 1, words(action));
        let Some(moved) = Stage::new(&scene, &world).telling().play(action) else { break };
        for fact in moved.facts {
            let _ = writeln!(text, "       {fact:?}");
        }
        world = moved.world;
    }
    let _ = writeln!(text, "  leaves {:?}, attention:", world.saga.state);
    for attention in &world.saga.attention {
        let _ = writeln!(text, "       {:?} {:?}", attention.run, attention.reason);
    }
    for (at, run) in world.saga.runs() {
        let ledger = &world.ledgers[scene.ledger_index(at)];
        let _ = writeln!(
            text,
            "  {}: {:?}, {:?}, F = {}, C = {}",
            name(at),
            run.status,
            run.settled,
            ledger.done,
            ledger.undone
        );
    }
    text
}

fn words(action: Action) -> String {
    match action {
        Action::Send(run, direction) => format!("send {}", command(run, direction)),
        Action::SendAndCrash(run, direction) => {
            format!("{} is written, crash before it leaves", command(run, direction))
        }
        Action::SendNowhere(run, direction) => {
            format!("{} is written, connection refused", command(run, direction))
        }
        Action::Arrive(packet, choice) => format!("{} arrives: {choice:?}", of(packet)),
        Action::Hear(packet) => format!("heard: {}", of(packet)),
        Action::Delay(packet) => format!("delayed: {}", of(packet)),
        Action::Lose(packet) => format!("lost: {}", of(packet)),
        Action::Double(packet) => format!("doubled: {}", of(packet)),
        Action::Silence(packet, reached) => {
            let how = if reached { "reached, and not heard of" } else { "not reached" };
            format!("{how} until its time is up: {}", of(packet))
        }
        Action::Break(packet) => format!("the exchange of {} breaks", of(packet)),
        Action::Intercept(packet) => format!("\"not now\" from in between to {}", of(packet)),
        Action::Garble(packet) => format!("a broken answer to {}", of(packet)),
        Action::Evaluate(step, worth) => format!("step {} evaluated: {worth:?}", step.0),
        Action::TimeUp(None) => "the saga's deadline passes".to_owned(),
        Action::TimeUp(Some(step)) => {
            format!("the deadline of the signal of step {} passes", step.0)
        }
        Action::Signal(step) => format!("signal of step {}", step.0),
        Action::Verb(run, act) => format!("operator on {}: {act:?}", name(run)),
        Action::Advance
        | Action::Crash { .. }
        | Action::Outage
        | Action::Cancel
        | Action::Congest => format!("{action:?}").to_lowercase(),
    }
}

fn of(packet: Packet) -> String {
    let command = command(packet.run, packet.direction);
    let what = match packet.leg {
        Leg::Command => String::new(),
        leg => format!(", {leg:?}"),
    };
    let late = if packet.late { ", late" } else { "" };
    format!("{command} round {} attempt {}{what}{late}", packet.round, packet.attempt)
}

fn command(run: RunRef, direction: Direction) -> String {
    match direction {
        Direction::Action => format!("action {}", name(run)),
        Direction::Compensation => format!("undo {}", name(run)),
    }
}

fn name(run: RunRef) -> String {
    if run.run == 0 { format!("{}", run.step.0) } else { format!("{}.{}", run.step.0, run.run) }
}

/// What each group came to at least when the floor was last raised. A deep run explores more of the same
/// groups, and has lines of its own for those that have been brought to their end; of the others it is
/// held to what the whole run came to, which is a part of theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Floor(BTreeMap<String, (usize, usize)>);

impl Floor {
    /// Reads `group shapes states` lines.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut floor = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let wrong = || format!("`{line}` is not `group shapes states`");
            let mut words = line.split_whitespace();
            let name = words.next().ok_or_else(wrong)?;
            let mut number = || words.next()?.parse().ok();
            let shapes = number().ok_or_else(wrong)?;
            floor.insert(name.to_owned(), (shapes, number().ok_or_else(wrong)?));
        }
        Ok(Self(floor))
    }

    /// The name under which the total of a run of this reach is kept.
    pub fn total(reach: Reach) -> &'static str {
        match reach {
            Reach::Quick => "all-quick",
            Reach::Whole => "all-whole",
            Reach::Deep => "all",
        }
    }

    /// Raises a group's floor to what it came to in a run of this reach, and never lowers it: where less is
    /// explored for a reason, a person lowers the line in the file, and says why.
    pub fn raise(&mut self, reach: Reach, group: &str, tally: &Tally) {
        let (shapes, states) = self.0.entry(line(reach, group)).or_default();
        *shapes = tally.shapes.max(*shapes);
        *states = tally.states.max(*states);
    }

    /// In what a group fell below its floor in a run of this reach. A group without one has fallen too: a
    /// floor that is not there holds nothing.
    pub fn below(&self, reach: Reach, group: &str, tally: &Tally) -> Option<String> {
        let part =
            if group == Self::total(Reach::Deep) { Self::total(Reach::Whole) } else { group };
        let own = self.0.get(&line(reach, group));
        let Some(&(shapes, states)) = own.or_else(|| self.0.get(part)) else {
            return Some(format!("{group} has no line in floor.txt: run with --raise-floor once"));
        };
        let fell = tally.shapes < shapes || tally.states < states;
        let now = (tally.shapes, tally.states);
        fell.then(|| {
            format!("{group}: {now:?} shapes and states, fewer than the floor's {shapes}, {states}")
        })
    }

    /// As it is kept in the file.
    pub fn text(&self) -> String {
        let mut text = String::from(
            "# group, shapes, states: what a run explored when this was last raised, by\n\
             # `cargo run --release -p amends-explore -- --whole --raise-floor`. A run that explores less fails.\n\
             # deep-: the same group in a deep run, as far as it was brought to its end, by `-- --deep --no-traps\n\
             # --group NAME --raise-floor`; without such a line it explores at least what the whole run does.\n",
        );
        for (group, (shapes, states)) in &self.0 {
            let _ = writeln!(text, "{group} {shapes} {states}");
        }
        text
    }
}

/// The name of a group's line for a run of this reach.
fn line(reach: Reach, group: &str) -> String {
    match reach {
        Reach::Quick | Reach::Whole => group.to_owned(),
        Reach::Deep => format!("deep-{group}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::plan;

    #[test]
    fn a_floor_reads_back_and_tells_a_fall() {
        let mut floor = Floor::default();
        floor.raise(
            Reach::Quick,
            "one",
            &Tally { shapes: 3, scenes: 9, states: 100, depth_max: 7 },
        );
        floor.raise(Reach::Quick, "one", &Tally { shapes: 2, scenes: 9, states: 99, depth_max: 7 });
        let floor = Floor::parse(&floor.text());
        let less = Tally { shapes: 3, scenes: 9, states: 99, depth_max: 7 };
        let told = floor.map(|floor| floor.below(Reach::Quick, "one", &less));
        assert!(matches!(told, Ok(Some(_))), "{told:?}");
        let none = Floor::default().below(Reach::Quick, "one", &less);
        assert!(none.is_some(), "no floor holds nothing");
    }

    #[test]
    fn a_deep_run_has_a_floor_of_its_own_or_the_one_of_the_whole() {
        let tally = |states| Tally { shapes: 3, scenes: 9, states, depth_max: 7 };
        let mut floor = Floor::default();
        floor.raise(Reach::Whole, "one", &tally(100));
        floor.raise(Reach::Whole, Floor::total(Reach::Whole), &tally(100));
        for name in ["one", Floor::total(Reach::Deep)] {
            assert_eq!(floor.below(Reach::Deep, name, &tally(100)), None);
            assert!(floor.below(Reach::Deep, name, &tally(99)).is_some(), "{name}");
            floor.raise(Reach::Deep, name, &tally(1_000));
            assert!(floor.below(Reach::Deep, name, &tally(999)).is_some(), "{name}");
        }
        assert_eq!(floor.below(Reach::Whole, "one", &tally(100)), None, "it is not the deep one's");
    }

    #[test]
    fn every_group_has_a_floor_and_every_floor_a_group() {
        let kept = Floor::parse(include_str!("../floor.txt")).unwrap();
        let names = |reach| -> BTreeSet<String> {
            let groups = plan::all(reach).into_iter().map(|group| group.name);
            let choreographed = crate::choreography::groups(reach);
            let groups = groups.chain(choreographed.into_iter().map(|group| group.name));
            groups.chain([Floor::total(reach)]).map(str::to_owned).collect()
        };
        let (deep, shallow): (BTreeSet<String>, BTreeSet<String>) =
            kept.0.keys().cloned().partition(|name| name.starts_with("deep-"));
        let totals = Floor::total(Reach::Quick).to_owned();
        assert_eq!(shallow, &names(Reach::Whole) | &BTreeSet::from([totals]));
        let all: BTreeSet<String> =
            names(Reach::Deep).iter().map(|name| line(Reach::Deep, name)).collect();
        assert!(deep.is_subset(&all), "{deep:?}");
        let nothing = Tally::default();
        for name in names(Reach::Deep) {
            assert!(
                kept.below(Reach::Deep, &name, &nothing)
                    .is_some_and(|told| !told.contains("no line")),
                "{name}"
            );
        }
    }
}
