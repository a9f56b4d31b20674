//! What to write so that a problem goes: reactions to add, and those that they replace.

use super::draft::Draft;
use super::judge::Problem;
use super::model::{Act, Reactions, Trigger, written};
use super::search::Found;
use super::set::Set;
use super::state::State;

use amends_core::definition::Kind;

/// Reactions to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Advice {
    /// The reactions in whose place they stand.
    pub(crate) instead_of: Vec<usize>,
    pub(crate) write: Vec<Draft>,
}

impl Advice {
    /// The lines, ready for the file.
    pub(crate) fn lines(&self) -> String {
        self.write.iter().map(Draft::lines).collect::<Vec<_>>().join("\n")
    }

    fn instead(&mut self, of: usize, draft: Draft) {
        if !self.instead_of.contains(&of) {
            self.instead_of.push(of);
            self.write.push(draft);
        }
    }

    fn add(&mut self, draft: Draft) {
        self.write.push(draft);
    }
}

/// Who knows what is missing.
pub(crate) struct Advisor<'r> {
    of: &'r Reactions,
    built_on: Vec<Set>,
}

impl<'r> Advisor<'r> {
    pub(crate) fn new(of: &'r Reactions) -> Self {
        Self { of, built_on: of.built_on() }
    }

    /// What makes this problem go; `None` where that is a question of what is meant.
    pub(crate) fn advise(&self, found: &Found) -> Option<Advice> {
        let at = &found.at;
        match found.problem {
            Problem::LeftStanding { action } => self.undone_too(action, at),
            Problem::NoEnd { forward: true } => self.said_done(at),
            Problem::NoEnd { forward: false } => self.said_undone(at),
            Problem::UndoneTooEarly { action, before } => {
                self.after_undo(self.undo_in(action, at)?, before, at)
            }
            Problem::SaidTooEarly { action, by } => self.after_undo(by, action, at),
            Problem::BothEnds | Problem::UndoneAfterDone { .. } => {
                self.done_after(at.failed.iter().next()?, at)
            }
            Problem::FailedAndDone { action } => self.done_after(action, at),
            Problem::UndoneTwice { first, second, .. } => {
                Some(self.once(first, second)).filter(|advice| !advice.write[0].on.is_empty())
            }
            Problem::Overtaken { .. } => None,
        }
    }

    /// A reaction that undoes this action, too: after the undo of what was built on it, or else after
    /// the failure.
    fn undone_too(&self, action: usize, at: &State) -> Option<Advice> {
        let of = self.of;
        let act = of.act(action)?;
        if act.kind == Kind::Pivot {
            return None;
        }
        let mut advice = Advice::default();
        if act.compensation.is_none() {
            let mut draft = Draft::of(of, action);
            let name = format!("{}.Undo{}", act.command.service, act.command.name);
            draft.compensation = Some(name);
            advice.instead(action, draft);
        }
        let above = self.counting(at).both(self.built_on[action]);
        let next = above.iter().filter(|one| {
            !above.iter().any(|other| other != *one && self.built_on[other].has(*one))
        });
        let mut on: Vec<String> = Vec::new();
        for one in next {
            let word = self.undo_word(one, at);
            if let Some((undo, draft)) = word.rewritten {
                advice.instead(undo, draft);
            }
            on.push(word.event);
        }
        if on.is_empty() {
            on = self.failures(at);
        }
        on.dedup();
        let then = self.undo_word(action, at).event;
        let undo = Some(of.action(action));
        advice.add(Draft { on, undo, then: vec![then], ..Draft::default() });
        Some(advice)
    }

    /// Somebody who says that all is done, when nothing more follows.
    fn said_done(&self, at: &State) -> Option<Advice> {
        let of = self.of;
        let unread = at.said.iter().filter(|event| of.readers(*event).next().is_none());
        let on: Vec<_> = unread.map(|event| of.event(event).to_owned()).collect();
        let then = vec![of.done().to_owned()];
        let draft = Draft { on, then, ..Draft::default() };
        (!draft.on.is_empty()).then(|| Advice { instead_of: Vec::new(), write: vec![draft] })
    }

    /// Somebody who says that all is undone, after the last undo; nobody, where that is what a reaction
    /// says once the undo is there.
    fn said_undone(&self, at: &State) -> Option<Advice> {
        let mut advice = Advice::default();
        let done = self.counting(at);
        let lowest = done.iter().filter(|one| {
            !done.iter().any(|other| other != *one && self.built_on[other].has(*one))
        });
        let mut on = Vec::new();
        for one in lowest {
            let word = self.undo_word(one, at);
            if let Some((undo, draft)) = word.rewritten {
                advice.instead(undo, draft);
            }
            on.push(word.event);
        }
        if on.is_empty() {
            on = self.failures(at);
        }
        on.dedup();
        let of = self.of;
        let waits = |event: &usize| on.iter().any(|on| on == of.event(*event));
        let said = of.reactions.iter().any(|reaction| {
            reaction.then.contains(&of.undone) && reaction.on.events().iter().all(waits)
        });
        if said {
            return None;
        }
        let then = vec![of.undone().to_owned()];
        advice.add(Draft { on, then, ..Draft::default() });
        Some(advice)
    }

    /// This reaction waits for the undo of that action, instead of what it waits for now.
    fn after_undo(&self, waits: usize, first: usize, at: &State) -> Option<Advice> {
        let of = self.of;
        let undo = self.undo_in(first, at).or_else(|| of.undos(first).next())?;
        if undo == waits {
            return None;
        }
        let its: Vec<String> = of.reactions[waits]
            .on
            .events()
            .iter()
            .filter(|event| at.said.has(**event))
            .map(|event| of.event(*event).to_owned())
            .collect();
        let word = self.undo_word_of(undo, first);
        let mut advice = Advice::default();
        let mut waiting = Draft::of(of, waits);
        waiting.waits_instead(&its, &word.event);
        let said: Vec<String> =
            of.reactions[waits].says().map(|event| of.event(event).to_owned()).collect();
        let mut undoing = word.rewritten.map_or_else(|| Draft::of(of, undo), |(_, draft)| draft);
        // The undo that must come first waits for the one that must follow: they change places.
        if undoing.on.iter().any(|on| said.contains(on)) {
            for event in &its {
                undoing.waits_instead(&said, event);
            }
        } else if self.leads_to(waits, undo) {
            return None;
        }
        if undoing != Draft::of(of, undo) {
            advice.instead(undo, undoing);
        }
        // Somebody may react to that undo in the same way already.
        if (0..of.len()).any(|ix| ix != waits && Draft::of(of, ix) == waiting) {
            advice.instead_of.push(waits);
        } else {
            advice.instead(waits, waiting);
        }
        Some(advice)
    }

    /// Who says that all is done waits for this action, too.
    fn done_after(&self, action: usize, at: &State) -> Option<Advice> {
        let of = self.of;
        let says = |ix: &usize| of.reactions[*ix].then.contains(&of.done);
        let done = at.fired.iter().find(says).filter(|done| *done != action)?;
        let success = of.event(*of.reactions[action].then.first()?).to_owned();
        let failure = of.act(action)?.on_failure?;
        let from_failure = of.readers(failure).any(|ix| ix == done || self.leads_to(ix, done));
        let mut draft = Draft::of(of, done);
        if from_failure || draft.any || draft.on.contains(&success) {
            return None;
        }
        draft.on.push(success);
        Some(Advice { instead_of: vec![done], write: vec![draft] })
    }

    /// One reaction of two.
    fn once(&self, first: usize, second: usize) -> Advice {
        let (mut one, other) = (Draft::of(self.of, first), Draft::of(self.of, second));
        let whole = |ix: usize| match &self.of.reactions[ix].on {
            Trigger::All(events) => events.len() == 1,
            Trigger::Any(_) => true,
        };
        if !whole(first) || !whole(second) {
            // Waiting for several at once cannot be put into `any_of`.
            return Advice { instead_of: vec![first, second], write: vec![one] };
        }
        one.any = true;
        for (to, from) in
            [(&mut one.on, other.on), (&mut one.then, other.then), (&mut one.reads, other.reads)]
        {
            let new: Vec<_> = from.into_iter().filter(|word| !to.contains(word)).collect();
            to.extend(new);
        }
        // What it says itself cannot set it off.
        one.on.retain(|event| !one.then.contains(event));
        Advice { instead_of: vec![first, second], write: vec![one] }
    }

    /// The undo of an action that took place in this run, or may in it.
    fn undo_in(&self, action: usize, at: &State) -> Option<usize> {
        let of = self.of;
        let fired = of.undos(action).find(|undo| at.fired.has(*undo));
        let may = || of.undos(action).find(|undo| of.reactions[*undo].on.is_set_off(at.said));
        fired.or_else(may)
    }

    /// What is said when this action is undone.
    fn undo_word(&self, action: usize, at: &State) -> Word {
        match self.undo_in(action, at) {
            Some(undo) => self.undo_word_of(undo, action),
            None => {
                let mut others = self.of.undos(action).filter_map(|undo| self.own_word(undo));
                let event = others.next().unwrap_or_else(|| self.invented(action));
                Word { event, rewritten: None }
            }
        }
    }

    fn undo_word_of(&self, undo: usize, action: usize) -> Word {
        if let Some(event) = self.own_word(undo) {
            return Word { event, rewritten: None };
        }
        let event = self.invented(action);
        let mut draft = Draft::of(self.of, undo);
        draft.then.insert(0, event.clone());
        Word { event, rewritten: Some((undo, draft)) }
    }

    /// What it says, the ends apart.
    fn own_word(&self, undo: usize) -> Option<String> {
        let of = self.of;
        let mut own = of.reactions[undo].then.iter();
        own.find(|event| **event != of.undone && **event != of.done)
            .map(|event| of.event(*event).to_owned())
    }

    fn invented(&self, action: usize) -> String {
        format!("{}Undone", self.of.command(action))
    }

    /// The events of what failed.
    fn failures(&self, at: &State) -> Vec<String> {
        let of = self.of;
        let events = at.failed.iter().filter_map(|ix| of.act(ix)?.on_failure);
        events.map(|event| of.event(event).to_owned()).collect()
    }

    /// Actions that had an effect which must not stay, whatever became of it.
    fn counting(&self, at: &State) -> Set {
        let of = self.of;
        at.effects(of).iter().filter(|ix| of.act(*ix).is_some_and(Act::counts)).collect()
    }

    /// May one reaction come of another?
    fn leads_to(&self, from: usize, to: usize) -> bool {
        let of = self.of;
        let mut events: Vec<usize> = of.reactions[from].says().collect();
        let mut seen = Set::EMPTY;
        while let Some(event) = events.pop() {
            for ix in of.readers(event) {
                if ix == to {
                    return true;
                }
                if !seen.has(ix) {
                    seen = seen.with(ix);
                    events.extend(of.reactions[ix].says());
                }
            }
        }
        false
    }
}

/// The event of an undo, and its reaction where that must first say it.
struct Word {
    event: String,
    rewritten: Option<(usize, Draft)>,
}

/// What a reaction does, for a person: `InventoryService.ReleaseInventory`.
pub(crate) fn work_words(of: &Reactions, reaction: usize) -> String {
    use super::model::Work;
    match &of.reactions[reaction].work {
        Work::Act(act) => written(&act.command),
        Work::Undo(action) => {
            let compensation = of.act(*action).and_then(|act| act.compensation.as_ref());
            compensation.map_or_else(|| format!("undo {}", of.action(*action)), written)
        }
        Work::Say(Some(by)) => by.clone(),
        Work::Say(None) => String::new(),
    }
}
