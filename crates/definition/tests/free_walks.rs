//! What the analysis finds sound is walked by an interpreter that shares nothing with it: messages that
//! are lost from sight, doubled and reordered, services that know their own rows, and a ledger of what
//! was done and undone. What was built on what is not reckoned there but carried by the events, as
//! `completed_steps`.

use std::collections::BTreeSet;

use amends_definition::{Document, Surroundings};
use proptest::prelude::*;

/// A reaction; actions by number.
#[derive(Clone, Debug, Default)]
struct Reaction {
    on: Vec<String>,
    any: bool,
    act: Option<usize>,
    undo: Option<usize>,
    then: Vec<String>,
    failure: Option<String>,
}

fn text(reactions: &[Reaction]) -> String {
    let mut text = "choreography: Walked\nstarts_with: Begun\n\
                    ends_with: { done: Done, undone: Undone }\n\
                    services: { S: { fence: barrier } }\nreactions:\n"
        .to_owned();
    for Reaction { on, any, act, undo, then, failure } in reactions {
        let on = on.join(", ");
        text += &match any {
            true => format!("  - on: {{ any_of: [{on}] }}\n"),
            false => format!("  - on: [{on}]\n"),
        };
        if let Some(n) = act {
            text += &format!("    action: S.Do{n}\n    compensation: S.Undo{n}\n");
        }
        text += &undo.map(|n| format!("    undo: S.Do{n}\n")).unwrap_or_default();
        text += &format!("    then: [{}]\n", then.join(", "));
        text += &failure.as_ref().map(|f| format!("    on_failure: {f}\n")).unwrap_or_default();
    }
    text
}

fn is_sound(text: &str) -> bool {
    match Document::check(text.as_bytes(), "walked.yaml", &Surroundings::none()) {
        Document::Free(checked) => {
            let errors = checked.count(amends_definition::Severity::Error);
            let explored = checked.compiled.map(|reactions| reactions.explore(&mut |_| true));
            errors == 0 && explored.is_some_and(|analysis| analysis.complete && analysis.is_sound())
        }
        Document::Saga(_) => panic!("no choreography: {text}"),
    }
}

/// Actions one after the other, and undos that go back one after the other.
fn chain(length: usize) -> Vec<Reaction> {
    let event = |word: &str, n: usize| format!("{word}{n}");
    let mut all = Vec::new();
    for n in 0..length {
        let on = if n == 0 { "Begun".to_owned() } else { event("Did", n - 1) };
        let (then, failure) = (event("Did", n), Some(event("Failed", n)));
        let act = Some(n);
        all.push(Reaction { on: vec![on], act, then: vec![then], failure, ..Default::default() });
    }
    let done = vec!["Done".to_owned()];
    all.push(Reaction { on: vec![event("Did", length - 1)], then: done, ..Default::default() });
    for n in (0..length - 1).rev() {
        let mut on = vec![event("Failed", n + 1)];
        if n + 2 < length {
            on.push(event("Undid", n + 1));
        }
        let (undo, then) = (Some(n), vec![event("Undid", n)]);
        all.push(Reaction { on, any: true, undo, then, ..Default::default() });
    }
    let mut on = vec![event("Failed", 0)];
    if length > 1 {
        on.push(event("Undid", 0));
    }
    let undone = vec!["Undone".to_owned()];
    all.push(Reaction { on, any: true, then: undone, ..Default::default() });
    all
}

/// One thing is other than it was.
#[derive(Clone, Debug)]
enum Change {
    LeaveOut(usize),
    WaitFor(usize, usize),
    WaitForAll(usize),
    WaitForMore(usize, usize),
    UndoAnother(usize, usize),
}

fn changed(mut all: Vec<Reaction>, change: &Change) -> Vec<Reaction> {
    let events: Vec<String> =
        all.iter().flat_map(|r| r.then.iter().chain(&r.failure)).cloned().collect();
    let (many, length) = (all.len(), all.iter().filter(|r| r.act.is_some()).count());
    match *change {
        Change::LeaveOut(at) => drop(all.remove(at % many)),
        Change::WaitFor(at, event) => {
            all[at % many].on = vec![events[event % events.len()].clone()];
        }
        Change::WaitForAll(at) => all[at % many].any = false,
        Change::WaitForMore(at, event) => {
            let event = events[event % events.len()].clone();
            if !all[at % many].on.contains(&event) {
                all[at % many].on.push(event);
            }
        }
        Change::UndoAnother(at, action) => {
            if let Some(undo) = &mut all[at % many].undo {
                *undo = action % length;
            }
        }
    }
    all
}

/// The seed's xorshift: walks must be the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }
}

/// What a service keeps of a reaction.
#[derive(Clone, Default)]
struct Row {
    heard: BTreeSet<String>,
    completed: BTreeSet<usize>,
    reacted: bool,
}

#[derive(Default)]
struct Walk {
    /// Event, reader, and the steps that were completed on its way.
    messages: Vec<(String, usize, BTreeSet<usize>)>,
    said: BTreeSet<String>,
    done: BTreeSet<usize>,
    undone: BTreeSet<usize>,
    tombstones: BTreeSet<usize>,
    /// What each action that was done was built on.
    under: Vec<(usize, BTreeSet<usize>)>,
}

impl Walk {
    fn say(&mut self, all: &[Reaction], event: &str, completed: &BTreeSet<usize>, dice: &mut Dice) {
        self.said.insert(event.to_owned());
        for (reader, _) in all.iter().enumerate().filter(|(_, r)| r.on.iter().any(|on| on == event))
        {
            for _ in 0..=dice.below(2) {
                self.messages.push((event.to_owned(), reader, completed.clone()));
            }
        }
    }

    /// To its end; `Err` says what must not be.
    fn run(all: &[Reaction], dice: &mut Dice) -> Result<(), String> {
        let mut walk = Self::default();
        let mut rows = vec![Row::default(); all.len()];
        walk.say(all, "Begun", &BTreeSet::new(), dice);
        while !walk.messages.is_empty() {
            let at = dice.below(walk.messages.len());
            let (event, reader, completed) = walk.messages.swap_remove(at);
            let (reaction, row) = (&all[reader], &mut rows[reader]);
            row.heard.insert(event);
            row.completed.extend(completed);
            let heard = reaction.on.iter().filter(|on| row.heard.contains(*on)).count();
            let ready = if reaction.any { heard > 0 } else { heard == reaction.on.len() };
            if ready && !row.reacted {
                row.reacted = true;
                let completed = row.completed.clone();
                walk.react(all, reaction, completed, dice)?;
            }
        }
        walk.ended()
    }

    fn react(
        &mut self,
        all: &[Reaction],
        reaction: &Reaction,
        mut completed: BTreeSet<usize>,
        dice: &mut Dice,
    ) -> Result<(), String> {
        if let Some(action) = reaction.act {
            if self.tombstones.contains(&action) {
                return Ok(());
            }
            if dice.below(4) == 0 {
                let failure = reaction.failure.as_deref().ok_or("nobody is told")?;
                self.say(all, failure, &completed, dice);
                return Ok(());
            }
            if completed.iter().any(|under| self.undone.contains(under)) {
                return Err(format!("{action} is done on what is undone"));
            }
            self.done.insert(action);
            self.under.push((action, completed.clone()));
            completed.insert(action);
        }
        if let Some(action) = reaction.undo {
            self.tombstones.insert(action);
            if self.done.contains(&action) && !self.undone.contains(&action) {
                let above = self
                    .under
                    .iter()
                    .find(|(above, under)| under.contains(&action) && !self.undone.contains(above));
                if let Some((above, _)) = above {
                    return Err(format!("{action} is undone below {above}"));
                }
                if self.said.contains("Done") {
                    return Err(format!("{action} is undone after the end"));
                }
                self.undone.insert(action);
            }
            completed.remove(&action);
        }
        for event in &reaction.then {
            self.say(all, event, &completed, dice);
        }
        Ok(())
    }

    fn ended(&self) -> Result<(), String> {
        match (self.said.contains("Done"), self.said.contains("Undone")) {
            (true, false) => Ok(()),
            (false, true) if self.done == self.undone => Ok(()),
            (false, true) => Err(format!("{:?} was done, {:?} undone", self.done, self.undone)),
            (true, true) => Err("it ends both ways".to_owned()),
            (false, false) => Err("it does not end".to_owned()),
        }
    }
}

fn walks(all: &[Reaction], seed: u64) -> Result<(), String> {
    const WALKS: usize = 60;
    let mut dice = Dice(seed | 1);
    (0..WALKS).try_for_each(|_| Walk::run(all, &mut dice))
}

#[test]
fn a_chain_holds_and_an_interpreter_agrees() {
    for length in 1..=5 {
        let all = chain(length);
        assert!(is_sound(&text(&all)), "{}", text(&all));
        assert_eq!(walks(&all, 7), Ok(()), "{}", text(&all));
    }
}

/// The walks see what is wrong, where something is.
#[test]
fn an_interpreter_sees_a_way_back_in_the_wrong_order() {
    let mut all = chain(3);
    let undo = all.iter_mut().find(|reaction| reaction.undo == Some(0)).unwrap();
    undo.on.push("Failed2".to_owned());
    assert!(!is_sound(&text(&all)));
    assert!(walks(&all, 7).is_err_and(|why| why.contains("below")));
}

fn any_change() -> impl Strategy<Value = Change> {
    let ix = 0..64_usize;
    prop_oneof![
        ix.clone().prop_map(Change::LeaveOut),
        (ix.clone(), ix.clone()).prop_map(|(at, event)| Change::WaitFor(at, event)),
        ix.clone().prop_map(Change::WaitForAll),
        (ix.clone(), ix.clone()).prop_map(|(at, event)| Change::WaitForMore(at, event)),
        (ix.clone(), ix).prop_map(|(at, action)| Change::UndoAnother(at, action)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_sound_walks_well(
        length in 1..5_usize,
        changes in prop::collection::vec(any_change(), 0..3),
        seed in any::<u64>(),
    ) {
        let all = changes.iter().fold(chain(length), changed);
        prop_assume!(!all.is_empty());
        if is_sound(&text(&all)) {
            prop_assert_eq!(walks(&all, seed), Ok(()), "{}", text(&all));
        }
    }
}
