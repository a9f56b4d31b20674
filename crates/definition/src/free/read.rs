//! The file becomes reactions: names are found, and what no reaction can mean is said.

use std::collections::{BTreeMap, BTreeSet};

use amends_core::definition::{Command, Fence, Kind};

use super::model::{
    Act, EVENTS_MAX, Event, Places, REACTIONS_MAX, Reaction, ReactionPlaces, Reactions, Trigger,
    Work,
};
use crate::check::good_name;
use crate::compile::{command, fence_of, kind_of};
use crate::file::{ChoreographyFile, Field, ReactionFile, TriggerFile};
use crate::finding::{Findings, did_you_mean};
use crate::rule::Rule;
use crate::source::{Source, Span};
use crate::tree::shorten;

/// The reactions of the file; `None` when a finding says why they cannot be put together.
pub(super) fn read(
    file: &ChoreographyFile,
    source: &Source,
    findings: &mut Findings,
) -> Option<Reactions> {
    let mut reader = Reader { file, source, events: Vec::new(), places: Places::default() };
    let read = reader.top_level(findings);
    let reactions = reader.reactions(findings);
    reader.services(findings);
    let (name, start, done, undone) = read?;
    if findings.any_error() {
        return None;
    }
    reader.list_fields();
    let Reader { events, places, .. } = reader;
    Some(Reactions { name, events, start, done, undone, reactions, places })
}

struct Reader<'f> {
    file: &'f ChoreographyFile,
    source: &'f Source,
    events: Vec<Event>,
    places: Places,
}

impl Reader<'_> {
    /// The name, the first event and the two last.
    fn top_level(&mut self, findings: &mut Findings) -> Option<(String, usize, usize, usize)> {
        let file = self.file;
        match &file.choreography {
            Some(name) => good_name(name, "the choreography's name", findings),
            None if file.said.find("choreography").is_some() => {}
            None => findings.add_with_fix(
                Rule::NoSagaName,
                Span::default(),
                "the choreography has no name",
                "add `choreography: Name` at the top",
            ),
        }
        if file.said.find("starts_with").is_none() {
            findings.add(Rule::NoStart, Span::default(), "nothing says what starts it");
        }
        let start = file.starts_with.as_ref().map(|event| self.event(event, findings));
        let Some(ends) = &file.ends_with else {
            if file.said.find("ends_with").is_none() {
                findings.add(Rule::NoEnds, Span::default(), "nothing says how it ends");
            }
            return None;
        };
        self.places.ends = ends.key;
        let mut end = |word: &str, event: &Option<Field<String>>| {
            if event.is_none() && ends.value.said.find(word).is_none() {
                let message = format!("`ends_with` does not say `{word}`");
                findings.add(Rule::NoEnds, ends.key, message);
            }
            event.as_ref().map(|event| self.event(event, findings))
        };
        let done = end("done", &ends.value.done);
        let undone = end("undone", &ends.value.undone);
        if done.is_some() && done == undone {
            findings.add(Rule::NoEnds, ends.span, "both ends are the same event");
        }
        Some((file.choreography.as_ref()?.value.clone(), start?, done?, undone?))
    }

    fn reactions(&mut self, findings: &mut Findings) -> Vec<Reaction> {
        let file = self.file;
        let Some(list) = &file.reactions else {
            if file.said.find("reactions").is_none() {
                findings.add(Rule::NoReactions, Span::default(), "it has no reactions");
            }
            return Vec::new();
        };
        if list.value.is_empty() {
            findings.add(Rule::NoReactions, list.span, "the list of reactions is empty");
        }
        if list.value.len() > REACTIONS_MAX {
            let message = format!("the choreography has {} reactions", list.value.len());
            findings.add(Rule::TooManyReactions, list.key, message);
        }
        let files = &list.value[..list.value.len().min(REACTIONS_MAX)];
        let acting = self.acting(files, findings);
        let mut reactions = Vec::new();
        for file in files {
            let Some(reaction) = self.reaction(file, &acting, findings) else { continue };
            reactions.push(reaction);
        }
        if self.events.len() > EVENTS_MAX {
            let message = format!("the choreography has more than {EVENTS_MAX} events");
            findings.add(Rule::TooManyReactions, list.key, message);
        }
        self.twice(files, findings);
        reactions
    }

    /// Which reaction has which action.
    fn acting<'r>(
        &self,
        files: &'r [ReactionFile],
        findings: &mut Findings,
    ) -> BTreeMap<&'r str, usize> {
        let mut acting: BTreeMap<&str, usize> = BTreeMap::new();
        for (ix, file) in files.iter().enumerate() {
            let Some(action) = &file.action else { continue };
            let Some(first) = acting.get(action.value.as_str()) else {
                acting.insert(&action.value, ix);
                continue;
            };
            if !same_trigger(file.on.as_ref(), files[*first].on.as_ref()) {
                let at = files[*first].action.as_ref().map_or(0, |first| first.span.start);
                let line = self.source.place(at).line;
                let message =
                    format!("`{}` is already the action of line {line}", shorten(&action.value));
                findings.add(Rule::ActionTwice, action.span, message);
            }
        }
        acting
    }

    /// What is the same reaction as one before it.
    fn twice(&self, files: &[ReactionFile], findings: &mut Findings) {
        for (ix, file) in files.iter().enumerate() {
            let same = |other: &&ReactionFile| {
                let work = |file: &ReactionFile| {
                    let text = |field: &Option<Field<String>>| {
                        field.as_ref().map(|field| field.value.clone())
                    };
                    let work = (text(&file.action), text(&file.undo));
                    // Where nothing is done, what is said is all there is.
                    let then = file.then.as_ref().map(|then| {
                        then.value.all().iter().map(|event| event.value.clone()).collect::<Vec<_>>()
                    });
                    let then = if work == (None, None) { then } else { None };
                    (work, then)
                };
                work(other) == work(file) && same_trigger(other.on.as_ref(), file.on.as_ref())
            };
            if let Some(first) = files[..ix].iter().find(same) {
                let line = self.source.place(first.span.start).line;
                let message = format!("this reaction already stands in line {line}");
                findings.add(Rule::ReactionTwice, at_start(file), message);
            }
        }
    }

    fn reaction(
        &mut self,
        file: &ReactionFile,
        acting: &BTreeMap<&str, usize>,
        findings: &mut Findings,
    ) -> Option<Reaction> {
        let mut places = ReactionPlaces { start: at_start(file), ..ReactionPlaces::default() };
        if file.said.find("on").is_none() {
            findings.add(Rule::NoTrigger, at_start(file), "this reaction waits for nothing");
        }
        let on = file.on.as_ref().map(|on| {
            if on.value.events().is_empty() {
                findings.add(Rule::NoTrigger, on.span, "this reaction waits for nothing");
            }
            self.trigger(&on.value, &mut places, findings)
        });
        let work = self.work(file, acting, &mut places, findings);
        let mut then = Vec::new();
        for event in file.then.iter().flat_map(|then| then.value.all()) {
            then.push(self.event(event, findings));
            places.then.push(event.span);
        }
        let mut reads = Vec::new();
        for field in file.reads.iter().flat_map(|reads| &reads.value) {
            reads.push(field.value.clone());
            places.reads.push(field.span);
        }
        if places.work == Span::default() {
            places.work = places.on.first().copied().unwrap_or(places.start);
        }
        self.places.reactions.push(places);
        Some(Reaction { on: on?, work: work?, then, reads })
    }

    fn trigger(
        &mut self,
        on: &TriggerFile,
        places: &mut ReactionPlaces,
        findings: &mut Findings,
    ) -> Trigger {
        let mut events = Vec::new();
        for event in on.events() {
            events.push(self.event(event, findings));
            places.on.push(event.span);
        }
        match on {
            TriggerFile::All(_) => Trigger::All(events),
            TriggerFile::Any(_) => Trigger::Any(events),
        }
    }

    fn work(
        &mut self,
        file: &ReactionFile,
        acting: &BTreeMap<&str, usize>,
        places: &mut ReactionPlaces,
        findings: &mut Findings,
    ) -> Option<Work> {
        let said = |key| file.said.find(key);
        match (said("action"), said("undo")) {
            (Some(_), Some(undo)) => {
                findings.add(Rule::NoReaction, undo, "this reaction acts and undoes");
                return None;
            }
            (None, None) if said("then").is_none() => {
                findings.add(Rule::NoReaction, places.start, "this reaction changes nothing");
            }
            _ => {}
        }
        let misplaced: &[&str] = match (said("action"), said("undo")) {
            (Some(_), _) => &["by"],
            (None, Some(_)) => &["compensation", "kind", "on_failure", "by"],
            (None, None) => &["compensation", "kind", "on_failure", "reads"],
        };
        for key in misplaced {
            if let Some(span) = said(key) {
                let message = match (said("action"), said("undo")) {
                    (None, None) => format!("`{key}` has no meaning where nothing is done"),
                    (None, _) => format!("`{key}` has no meaning for an undo"),
                    _ => format!("`{key}` has no meaning for an action: its service says it"),
                };
                findings.add(Rule::MisplacedKey, span, message);
            }
        }
        if let Some(action) = &file.action {
            places.work = action.span;
            return self.act(file, action, places, findings).map(Work::Act);
        }
        if let Some(undo) = &file.undo {
            places.work = undo.span;
            return self.undo(undo, acting, findings).map(Work::Undo);
        }
        if said("action").or(said("undo")).is_some() {
            return None;
        }
        if let Some(by) = &file.by {
            good_name(by, "the service's name", findings);
            self.known_service(&by.value, by.span, findings);
        }
        Some(Work::Say(file.by.as_ref().map(|by| by.value.clone())))
    }

    fn act(
        &mut self,
        file: &ReactionFile,
        action: &Field<String>,
        places: &mut ReactionPlaces,
        findings: &mut Findings,
    ) -> Option<Act> {
        let of = self.command(action, findings);
        let kind = file.kind.as_ref().map_or(Kind::Compensatable, |kind| kind_of(kind.value));
        let mut compensation = None;
        let mut reads_only = false;
        if let Some(field) = &file.compensation {
            if kind != Kind::Compensatable {
                let message = format!("`{}` is never undone", shorten(&action.value));
                findings.add(Rule::NeverUndone, field.key, message);
            }
            if field.value == "none" {
                reads_only = true;
            } else {
                compensation = self.command(field, findings);
                if field.value == action.value {
                    let message = format!("`{}` is undone by itself", shorten(&action.value));
                    findings.add(Rule::SelfCompensation, field.span, message);
                }
            }
        }
        let never_fails = matches!(kind, Kind::Retriable | Kind::BestEffort);
        if let Some(span) = file.said.find("on_failure").filter(|_| never_fails) {
            let message = match kind {
                Kind::Retriable => "a retriable action is tried until it succeeds",
                _ => "a best effort is gone on without",
            };
            findings.add(Rule::MisplacedKey, span, message);
        }
        places.on_failure = file.on_failure.as_ref().map(|event| event.span);
        let of = of?;
        let on_failure = match &file.on_failure {
            _ if never_fails => None,
            Some(event) => Some(self.event(event, findings)),
            None => {
                let name = format!("{}Failed", of.name);
                Some(self.numbered(&name, true))
            }
        };
        let fence = self.fence(&of.service);
        Some(Act { command: of, compensation, kind, reads_only, on_failure, fence })
    }

    fn undo(
        &self,
        undo: &Field<String>,
        acting: &BTreeMap<&str, usize>,
        findings: &mut Findings,
    ) -> Option<usize> {
        let Some(&action) = acting.get(undo.value.as_str()) else {
            let message = format!("`{}` is no action here", shorten(&undo.value));
            let fix = match did_you_mean(&undo.value, acting.keys().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => Rule::UnknownUndo.fix().to_owned(),
            };
            findings.add_with_fix(Rule::UnknownUndo, undo.span, message, fix);
            return None;
        };
        let of = &self.file.reactions.as_ref()?.value[action];
        let word = of.compensation.as_ref().map(|compensation| compensation.value.as_str());
        let kind = of.kind.as_ref().map_or(Kind::Compensatable, |kind| kind_of(kind.value));
        let name = shorten(&undo.value);
        let because = match (word, kind) {
            (Some("none"), _) => Some(format!("`{name}` only reads")),
            (_, Kind::Compensatable) => None,
            _ => Some(format!("`{name}` is never undone, because of its kind")),
        };
        if let Some(message) = because {
            findings.add(Rule::UnknownUndo, undo.span, message);
        } else if word.is_none() && of.said.find("compensation").is_none() {
            let message = format!("`{name}` does not say how it is undone");
            let at = of.action.as_ref().map_or(undo.span, |action| action.span);
            let fix = "add `compensation: Service.Command` to it";
            findings.add_with_fix(Rule::NoCompensation, at, message, fix);
        }
        Some(action)
    }

    fn command(&self, written: &Field<String>, findings: &mut Findings) -> Option<Command> {
        let Some(command) = command(&written.value) else {
            let message = format!("`{}` is not `Service.Command`", shorten(&written.value));
            findings.add(Rule::BadCommand, written.span, message);
            return None;
        };
        self.known_service(&command.service, written.span, findings);
        Some(command)
    }

    fn known_service(&self, name: &str, at: Span, findings: &mut Findings) {
        let Some(services) = &self.file.services else { return };
        if services.value.names().any(|listed| listed == name) {
            return;
        }
        let message = format!("the service `{}` is not listed", shorten(name));
        let fix = match did_you_mean(name, services.value.names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `{}:` under `services:`", shorten(name)),
        };
        findings.add_with_fix(Rule::UnknownService, at, message, fix);
    }

    fn fence(&self, service: &str) -> Option<Fence> {
        let services = &self.file.services.as_ref()?.value;
        let (_, file) = services.0.iter().find(|(name, _)| name.value == service)?;
        file.fence.as_ref().map(|fence| fence_of(fence.value))
    }

    /// Where services are, and which nobody uses.
    fn services(&mut self, findings: &mut Findings) {
        let file = self.file;
        let of = |text: &Option<Field<String>>| {
            text.as_ref().and_then(|text| text.value.split_once('.').map(|(s, _)| s.to_owned()))
        };
        let used: BTreeSet<String> = file
            .reactions
            .iter()
            .flat_map(|list| &list.value)
            .flat_map(|file| {
                let by = file.by.as_ref().map(|by| by.value.clone());
                [of(&file.action), of(&file.compensation), by]
            })
            .flatten()
            .collect();
        for (name, _) in file.services.iter().flat_map(|services| &services.value.0) {
            good_name(name, "the service's name", findings);
            if !used.contains(&name.value) {
                let message = format!("no reaction uses the service `{}`", shorten(&name.value));
                findings.add(Rule::UnusedService, name.span, message);
            }
            self.places.services.insert(name.value.clone(), name.span);
        }
    }

    /// The number of an event that is named.
    fn event(&mut self, name: &Field<String>, findings: &mut Findings) -> usize {
        let known = self.events.iter().any(|event| event.name == name.value);
        if !known {
            good_name(name, "the event's name", findings);
        }
        self.numbered(&name.value, false)
    }

    fn numbered(&mut self, name: &str, implied: bool) -> usize {
        if let Some(known) = self.events.iter().position(|event| event.name == name) {
            self.events[known].implied &= implied;
            return known;
        }
        // A hostile file has thousands; one too many is enough to say so.
        if self.events.len() > EVENTS_MAX {
            return EVENTS_MAX;
        }
        self.events.push(Event { name: name.to_owned(), fields: BTreeSet::new(), implied });
        self.events.len() - 1
    }

    /// The fields that `events` lists.
    fn list_fields(&mut self) {
        let file = self.file;
        for (name, fields) in file.events.iter().flat_map(|events| &events.value.0) {
            match self.events.iter_mut().find(|event| event.name == name.value) {
                Some(event) if !event.implied => {
                    event.fields = fields.iter().map(|field| field.value.clone()).collect();
                }
                _ => self.places.listed.push((name.value.clone(), name.span)),
            }
        }
    }
}

/// The first key of a reaction.
fn at_start(file: &ReactionFile) -> Span {
    let first = file.said.0.iter().map(|(_, span)| *span).min();
    first.unwrap_or(Span::new(file.span.start, file.span.start + 1))
}

fn same_trigger(one: Option<&Field<TriggerFile>>, other: Option<&Field<TriggerFile>>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    let sorted = |on: &TriggerFile| {
        let mut names: Vec<String> = on.events().iter().map(|event| event.value.clone()).collect();
        names.sort_unstable();
        let any = matches!(on, TriggerFile::Any(_)) && names.len() > 1;
        (any, names)
    };
    sorted(&one.value) == sorted(&other.value)
}
