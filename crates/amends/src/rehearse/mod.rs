//! A rehearsal: a definition is run against its participants on a test system, once for each fault at
//! each step and in each direction, and what the participants say is held against the rules.
//!
//! Every run is a [`drill`] with an engine of its own; between that engine and the participants is
//! the [`stage`], a transport that makes the fault. What was asked and said is a list of
//! [`exchange`]s, from which the [`judge`] alone makes verdicts. What is answered later comes by the
//! [`callbacks`], to an address of each sending's own. Nothing is kept.

mod callbacks;
mod drill;
mod exchange;
mod judge;
mod participants;
mod patience;
mod probe;
mod report;
mod rule;
mod sample;
mod scene;
mod stage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use amends_core::definition::{Definition, Fence};
use amends_wire::Outcome;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use callbacks::Callbacks;
pub use drill::{Drill, Fault, drills};
pub use participants::Participants;
pub use patience::Patience;
pub use report::{Broken, Cell, Report};
pub use rule::Rule;
pub use sample::{NoSample, Sample};
pub use scene::Play;

use exchange::Exchange;
use judge::judge;
use report::{Shown, Unfinished};
use scene::Played;

/// How many drills are played at the same time: a participant on a test system is a small one, and
/// what it does under load is not the question.
const AT_ONCE_MAX: usize = 4;

/// Why nothing can be said about the rules.
#[derive(Debug, thiserror::Error)]
pub enum Unrehearsed {
    /// A participant is not there.
    #[error("{service} cannot be reached: {why}")]
    Unreachable {
        /// Which.
        service: String,
        /// Why.
        why: String,
    },
    /// Without any fault the saga does not complete.
    #[error("without any fault the saga does not complete: {0}")]
    Incomplete(String),
    /// The data.
    #[error(transparent)]
    Sample(#[from] NoSample),
}

/// Plays every drill that `wanted` wants, and says what they came to.
pub async fn rehearse(
    play: Play,
    sample: Sample,
    wanted: &dyn Fn(&Drill) -> bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Report, Unrehearsed> {
    let began = Instant::now();
    let definition = Arc::clone(&play.compiled.definition);
    let mut all = drills(&definition, &|step| play.fence(step), &|s| sample.has_refused(s));
    let plain = all.remove(0);
    all.retain(wanted);
    let of = all.len() + 1;
    progress(0, of);
    let first = play.drill(plain, &sample.fresh(0, None)?).await;
    let saga_id = first.saga.as_ref().map_or(0, |saga| saga.id.0);
    let mut tally = Tally::new(&play, &definition);
    tally.reached(&first)?;
    let goes_on = tally.add(&first);
    if !goes_on && tally.broken.is_empty() {
        return Err(Unrehearsed::Incomplete(why_not(&first)));
    }
    tally.probes(&play, &definition, saga_id).await;
    let play = Arc::new(play);
    let room = Arc::new(Semaphore::new(AT_ONCE_MAX));
    let mut running = JoinSet::new();
    // Where the saga does not even complete, nothing past the first broken answer can be tried.
    for (n, drill) in (1..).zip(all.into_iter().filter(|_| goes_on)) {
        let refused_at = (drill.fault == Fault::Refused).then_some(drill.name.as_str());
        let data = sample.fresh(n, refused_at)?;
        let (play, room) = (Arc::clone(&play), Arc::clone(&room));
        running.spawn(async move {
            let _place = room.acquire().await;
            (n, play.drill(drill, &data).await)
        });
    }
    let mut played = BTreeMap::new();
    while let Some(ended) = running.join_next().await {
        // One that panicked has tried nothing: said, and not left out of what was kept.
        let (n, drill) = match ended {
            Ok(ended) => ended,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => continue,
            },
        };
        tally.reached(&drill)?;
        played.insert(n, drill);
        progress(played.len() + 1, of);
    }
    for drill in played.values() {
        tally.add(drill);
    }
    Ok(tally.report(&sample, played.len() + 1, began.elapsed()))
}

/// Why a saga without a fault did not complete.
fn why_not(first: &Played) -> String {
    let refusal = first.log.iter().rev().find(|e| !e.is_undo() && !e.completed());
    match (refusal, &first.unfinished) {
        (Some(said), _) => {
            let shown = Shown::of(said);
            let later = shown.callbacks.iter().map(|callback| format!(", then {callback}"));
            let later: String = later.collect();
            format!("{} answered {}{later} at the step {}", said.service, shown.answer, said.step)
        }
        (None, Some(why)) => why.clone(),
        (None, None) => "it failed by itself".to_owned(),
    }
}

/// Why a rule was not tried whose scenario came.
const UNANSWERED: &str = "what it has accepted was not answered";

/// Verdicts, as they come in.
struct Tally {
    saga_type: String,
    services: Vec<String>,
    fences: BTreeMap<String, Option<Fence>>,
    undone: BTreeMap<String, bool>,
    actions: BTreeMap<String, String>,
    of_service: BTreeMap<String, Vec<Option<Fence>>>,
    counts: BTreeMap<(Rule, String), (usize, usize)>,
    broken: Vec<Broken>,
    unfinished: Vec<Unfinished>,
    unmade: Vec<String>,
}

impl Tally {
    fn new(play: &Play, definition: &Definition) -> Self {
        let mut tally = Self {
            saga_type: definition.saga_type().to_string(),
            services: Vec::new(),
            fences: BTreeMap::new(),
            undone: BTreeMap::new(),
            actions: BTreeMap::new(),
            of_service: BTreeMap::new(),
            counts: BTreeMap::new(),
            broken: Vec::new(),
            unfinished: Vec::new(),
            unmade: Vec::new(),
        };
        for at in definition.indices() {
            let step = definition.step(at);
            let fence = play.fence(at);
            tally.fences.insert(step.name.to_string(), fence);
            if let Some(action) = step.action() {
                tally.actions.insert(step.name.to_string(), action.service.to_string());
            }
            for command in [step.action(), step.compensation()].into_iter().flatten() {
                let service = command.service.to_string();
                if !tally.services.contains(&service) {
                    tally.services.push(service);
                }
            }
            if let Some(command) = step.compensation() {
                let service = command.service.to_string();
                tally.of_service.entry(service.clone()).or_default().push(fence);
                tally.undone.insert(service, true);
            }
        }
        tally
    }

    /// Was every participant there?
    fn reached(&self, played: &Played) -> Result<(), Unrehearsed> {
        let away = played.log.iter().find_map(|said| match &said.outcome {
            Outcome::NotSent { error } => Some((said, error)),
            _ => None,
        });
        match away {
            Some((said, error)) => Err(Unrehearsed::Unreachable {
                service: said.service.clone(),
                why: error.to_string(),
            }),
            None => Ok(()),
        }
    }

    /// Takes in what a drill came to. Says whether its saga came to an end that was to be expected.
    fn add(&mut self, played: &Played) -> bool {
        let broken_before = self.broken_count();
        self.hold(&played.log, &played.drill.to_string());
        let completed = played
            .saga
            .as_ref()
            .is_some_and(|saga| saga.state == amends_core::saga::State::Completed);
        let as_expected = match played.drill.fault {
            Fault::None => completed,
            _ => played.unfinished.is_none(),
        };
        if !as_expected && played.drill.fault != Fault::None && self.broken_count() == broken_before
        {
            self.unfinished.push(Unfinished {
                drill: played.drill.to_string(),
                why: played.unfinished.clone().unwrap_or_default(),
            });
        }
        if !played.made && played.drill.fault != Fault::None && as_expected {
            self.unmade.push(played.drill.to_string());
        }
        as_expected
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
            let count = self.counts.entry((verdict.rule, said.service.clone())).or_default();
            count.0 += 1;
            let Some(what) = verdict.broken else { continue };
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

    async fn probes(&mut self, play: &Play, definition: &Definition, saga_id: u128) {
        for service in self.services.clone() {
            let commands = definition.steps().iter().flat_map(|s| [s.action(), s.compensation()]);
            let command = commands.flatten().find(|command| *command.service == *service);
            let Some(command) = command else { continue };
            let name = format!("{service}.{}", command.name);
            let log = probe::probe(&play.participants, &service, &name, &self.saga_type, saga_id);
            let log = log.await;
            self.hold(&log, "outside of any saga");
        }
    }

    fn report(self, sample: &Sample, drills: usize, took: std::time::Duration) -> Report {
        let mut cells = BTreeMap::new();
        for service in &self.services {
            for rule in Rule::ALL {
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
            saga_type: self.saga_type,
            services: self.services,
            cells,
            broken,
            unfinished: self.unfinished,
            unmade: self.unmade,
            drills,
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
            Rule::Accepted => "it answered everything in the exchange",
            Rule::Refusal => match self
                .actions
                .iter()
                .any(|(step, of)| of == service && sample.has_refused(step))
            {
                true if unanswered => UNANSWERED,
                true => "the data given with --refused was not refused by it",
                false => "no data that it refuses is known: give it with --refused STEP=JSON",
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
            _ if unanswered && rule != Rule::SecondRound => UNANSWERED,
            Rule::SecondRound => "no action was done after its undo",
            _ => "no scenario of this came so far",
        }
    }
}
