//! Verdicts are counted by rule and service, and what is worth showing is kept: the first exchange that
//! breaks a rule, the sagas that did not end, the participants that stopped answering.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use amends_core::definition::{Definition, Fence};

use super::drill::Fault;
use super::exchange::Exchange;
use super::judge::{Finding, judge};
use super::report::{Broken, Cell, Report, Shown, Unfinished};
use super::rule::Rule;
use super::sample::Sample;
use super::scene::{Play, Played};
use super::stopped::{self, Stopped};
use super::suite::Suite;

/// Why a rule was not tried whose scenario came.
const UNANSWERED: &str = "what it has accepted was not answered";

/// Why a rule was not seen to be kept whose scenario came.
const UNSAID: &str = "its acknowledgement does not say `undone`, so what it undid is not known";

/// Why nothing was refused.
const NO_REFUSED: &str = "no data that it refuses is known: give it with --refused";

/// Why a rule was not tried whose scenario did not come any more.
const STOPPED: &str = "a service stopped answering before this was tried";

/// Why a rule was not tried where only a part was wanted.
const LEFT_OUT: &str = "nothing that --only names came to it";

/// What all that was asked and said comes to.
pub struct Tally {
    suite: Suite,
    saga_type: String,
    services: Vec<String>,
    fences: BTreeMap<String, Option<Fence>>,
    undone: BTreeMap<String, bool>,
    actions: BTreeMap<String, String>,
    of_service: BTreeMap<String, Vec<Option<Fence>>>,
    counts: BTreeMap<(Rule, String), (usize, usize)>,
    unsaid: BTreeSet<(Rule, String)>,
    signed: BTreeSet<String>,
    broken: Vec<Broken>,
    unfinished: Vec<Unfinished>,
    unmade: Vec<String>,
    stopped: Vec<Stopped>,
    part: Option<Part>,
}

/// Not all of the suite was wanted.
struct Part {
    /// Whether a participant was to refuse.
    has_refused: bool,
}

/// The services of a definition, in its order.
pub fn services(definition: &Definition) -> Vec<String> {
    let steps = definition.steps().iter();
    let mut services: Vec<String> = Vec::new();
    for command in steps.flat_map(|step| [step.action(), step.compensation()]).flatten() {
        if !services.contains(&command.service.to_string()) {
            services.push(command.service.to_string());
        }
    }
    services
}

impl Tally {
    /// Of the talks and the drills, in their order.
    pub fn of(
        play: &Play,
        suite: Suite,
        talked: &[(String, Vec<Exchange>)],
        played: &[Played],
    ) -> Self {
        let mut tally = Self::new(play, suite);
        let named = played.iter().map(|played| (played.drill.to_string(), &played.log[..]));
        let talks = talked.iter().map(|(scenario, log)| (scenario.clone(), &log[..]));
        tally.stopped = Stopped::of(&named.chain(talks).collect::<Vec<_>>());
        for (scenario, log) in talked {
            tally.hold(log, scenario);
        }
        for played in played {
            tally.add(played);
        }
        tally
    }

    /// Only a part of the suite was wanted: what was not tried is not the service's doing.
    pub fn of_a_part(self, played: &[Played]) -> Self {
        let has_refused = played.iter().any(|played| played.drill.fault == Fault::Refused);
        Self { part: Some(Part { has_refused }), ..self }
    }

    /// Does it name nothing that a participant has done?
    pub fn is_silent(&self) -> bool {
        self.broken.is_empty() && self.stopped.is_empty()
    }

    fn new(play: &Play, suite: Suite) -> Self {
        let definition = &play.compiled.definition;
        let mut tally = Self {
            suite,
            saga_type: definition.saga_type().to_string(),
            services: services(definition),
            fences: BTreeMap::new(),
            undone: BTreeMap::new(),
            actions: BTreeMap::new(),
            of_service: BTreeMap::new(),
            counts: BTreeMap::new(),
            unsaid: BTreeSet::new(),
            signed: BTreeSet::new(),
            broken: Vec::new(),
            unfinished: Vec::new(),
            unmade: Vec::new(),
            stopped: Vec::new(),
            part: None,
        };
        let signed = |service: &&String| !play.participants.secrets(service).is_empty();
        tally.signed = tally.services.iter().filter(signed).cloned().collect();
        for at in definition.indices() {
            let step = definition.step(at);
            let fence = play.fence(at);
            tally.fences.insert(step.name.to_string(), fence);
            if let Some(action) = step.action() {
                tally.actions.insert(step.name.to_string(), action.service.to_string());
            }
            if let Some(command) = step.compensation() {
                let service = command.service.to_string();
                tally.of_service.entry(service.clone()).or_default().push(fence);
                tally.undone.insert(service, true);
            }
        }
        tally
    }

    fn add(&mut self, played: &Played) {
        let broken_before = self.broken_count();
        let drill = played.drill.to_string();
        self.hold(&played.log, &drill);
        let is_explained =
            self.broken_count() > broken_before || stopped::at(&played.log).is_some();
        match (&played.expression, &played.unfinished) {
            // Without any fault the data is to blame, or what was seen to be broken.
            _ if played.drill.fault == Fault::None => {}
            (None, None) if !played.made => self.unmade.push(drill),
            _ if is_explained => {}
            (Some(why), _) => {
                let why = why.clone();
                self.unfinished.push(Unfinished { drill, why, is_expression: true });
            }
            (None, Some(why)) => {
                let why = why.clone();
                self.unfinished.push(Unfinished { drill, why, is_expression: false });
            }
            (None, None) => {}
        }
    }

    fn broken_count(&self) -> usize {
        self.counts.values().map(|(_, broken)| broken).sum()
    }

    fn hold(&mut self, log: &[Exchange], drill: &str) {
        let fences = &self.fences;
        let fence = |said: &Exchange| {
            let step = said.step.split_once('.').map_or(said.step.as_str(), |(step, _)| step);
            fences.get(step).copied().flatten()
        };
        for verdict in judge(log, &fence) {
            let said = &log[verdict.at];
            // What it has left without an answer by stopping breaks no rule by itself.
            if said.is_left() && self.stopped.iter().any(|gone| gone.service == said.service) {
                continue;
            }
            let of = (verdict.rule, said.service.clone());
            if verdict.finding == Finding::Unsaid {
                self.unsaid.insert(of);
                continue;
            }
            let count = self.counts.entry(of).or_default();
            count.0 += 1;
            let Finding::Broken(what) = verdict.finding else { continue };
            count.1 += 1;
            if count.1 > 1 {
                continue;
            }
            let exchanges = verdict.against.into_iter().chain([verdict.at]);
            self.broken.push(Broken {
                rule: verdict.rule,
                service: said.service.clone(),
                drill: drill.to_owned(),
                what,
                exchanges: exchanges.map(|at| Shown::of(&log[at])).collect(),
            });
        }
    }

    /// The report, after so many drills, where so many more could not be played.
    pub fn report(
        self,
        sample: &Sample,
        drills: usize,
        not_played: usize,
        took: Duration,
    ) -> Report {
        let mut cells = BTreeMap::new();
        for service in &self.services {
            for &rule in self.suite.rules() {
                let cell = match self.counts.get(&(rule, service.clone())) {
                    Some(&(of, 0)) => Cell::Kept(of),
                    Some(&(of, broken)) => Cell::Broken(broken, of),
                    None => Cell::NotTried(self.why_not_tried(rule, service, sample)),
                };
                cells.insert((rule, service.clone()), cell);
            }
        }
        let mut broken = self.broken;
        broken.sort_by_key(|broken| {
            (broken.rule, self.services.iter().position(|s| *s == broken.service))
        });
        Report {
            suite: self.suite,
            saga_type: self.saga_type,
            services: self.services,
            cells,
            broken,
            unfinished: self.unfinished,
            unmade: self.unmade,
            stopped: self.stopped,
            drills,
            not_played,
            took,
        }
    }

    fn why_not_tried(&self, rule: Rule, service: &str, sample: &Sample) -> &'static str {
        let has_undo = self.undone.contains_key(service);
        let fences = self.of_service.get(service).map_or(&[] as &[_], Vec::as_slice);
        let some = |wanted: Fence| fences.contains(&Some(wanted));
        let unanswered = self.counts.get(&(Rule::Accepted, service.to_owned()));
        let unanswered = unanswered.is_some_and(|&(_, broken)| broken > 0);
        match rule {
            Rule::WrongTypes if self.unsaid.contains(&(rule, service.to_owned())) => {
                "it takes data of every type, so it reads none, or does not look at it"
            }
            _ if self.unsaid.contains(&(rule, service.to_owned())) => UNSAID,
            Rule::Accepted => "it answered everything in the exchange",
            Rule::Refusal => match self
                .actions
                .iter()
                .any(|(step, of)| of == service && sample.has_refused(step))
            {
                true if self.part.as_ref().is_some_and(|part| !part.has_refused) => LEFT_OUT,
                true if unanswered => UNANSWERED,
                true => "the data given with --refused was not refused by it",
                false => NO_REFUSED,
            },
            Rule::Undo
            | Rule::BlindUndo
            | Rule::UndoRepeat
            | Rule::UndoAtOnce
            | Rule::UndoFirst
            | Rule::AfterUndo
            | Rule::Tombstone
            | Rule::SecondRound
                if !has_undo =>
            {
                "nothing of it is undone"
            }
            Rule::Tombstone if !some(Fence::Barrier) => {
                "its fence is not `barrier`, so it does not promise this"
            }
            Rule::Signature if !self.signed.contains(service) => {
                "its commands are not signed, since no secret is said"
            }
            Rule::NewRound
                if !self
                    .actions
                    .iter()
                    .any(|(step, of)| of == service && sample.has_refused(step)) =>
            {
                NO_REFUSED
            }
            _ if !self.stopped.is_empty() => STOPPED,
            _ if self.part.is_some() && !unanswered => LEFT_OUT,
            _ if unanswered && rule != Rule::SecondRound => UNANSWERED,
            Rule::SecondRound => "no action was done after its undo",
            _ => "no scenario of this came so far",
        }
    }
}
