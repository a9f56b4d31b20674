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

/// What each group came to at least when the floor was last raised.
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

    /// The name under which the total of a run of this reach is kept: of the deep no run has yet
    /// come to its end.
    pub fn total(reach: Reach) -> Option<&'static str> {
        match reach {
            Reach::Quick => Some("all-quick"),
            Reach::Whole => Some("all-whole"),
            Reach::Deep => None,
        }
    }

    /// Raises a group's floor to what it came to, and never lowers it: where less is explored for a reason,
    /// a person lowers the line in the file, and says why.
    pub fn raise(&mut self, group: &str, tally: &Tally) {
        let (shapes, states) = self.0.entry(group.to_owned()).or_default();
        *shapes = tally.shapes.max(*shapes);
        *states = tally.states.max(*states);
    }

    /// In what a group fell below its floor. A group without one has fallen too: a floor that is not
    /// there holds nothing.
    pub fn below(&self, group: &str, tally: &Tally) -> Option<String> {
        let Some(&(shapes, states)) = self.0.get(group) else {
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
             # `cargo run --release -p amends-explore -- --whole --raise-floor`. A run that explores less fails.\n",
        );
        for (group, (shapes, states)) in &self.0 {
            let _ = writeln!(text, "{group} {shapes} {states}");
        }
        text
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
        floor.raise("one", &Tally { shapes: 3, scenes: 9, states: 100, depth_max: 7 });
        floor.raise("one", &Tally { shapes: 2, scenes: 9, states: 99, depth_max: 7 });
        let floor = Floor::parse(&floor.text());
        let less = Tally { shapes: 3, scenes: 9, states: 99, depth_max: 7 };
        let told = floor.map(|floor| floor.below("one", &less));
        assert!(matches!(told, Ok(Some(_))), "{told:?}");
        assert!(Floor::default().below("one", &less).is_some(), "no floor holds nothing");
    }

    #[test]
    fn every_group_that_is_not_deep_has_a_floor_and_every_floor_a_group() {
        let kept = Floor::parse(include_str!("../floor.txt"));
        let totals = [Reach::Quick, Reach::Whole].into_iter().filter_map(Floor::total);
        let choreographed = crate::choreography::groups(Reach::Whole);
        let groups = plan::all(Reach::Whole).into_iter().map(|group| group.name);
        let groups = groups.chain(choreographed.into_iter().map(|group| group.name));
        let wanted: BTreeSet<String> = groups.chain(totals).map(str::to_owned).collect();
        assert_eq!(kept.map(|floor| floor.0.into_keys().collect()), Ok(wanted));
    }
}
