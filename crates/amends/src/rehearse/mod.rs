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
mod stopped;
mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use amends_core::definition::Definition;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use callbacks::Callbacks;
pub use drill::{Drill, Fault, drills};
pub use participants::Participants;
pub use patience::Patience;
pub use report::{Broken, Cell, Report, Shown};
pub use rule::Rule;
pub use sample::{NoSample, Sample};
pub use scene::Play;
pub use stopped::Stopped;

use exchange::Exchange;
use scene::Played;
use tally::Tally;

/// How many drills are played at the same time: a participant on a test system is a small one, and
/// what it does under load is not the question.
const AT_ONCE_MAX: usize = 4;

/// Why nothing can be said about the rules.
#[derive(Debug, thiserror::Error)]
pub enum Unrehearsed {
    /// A participant is not there, and was not at the beginning.
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
    progress(0, all.len() + 1);
    let first = play.drill(plain, &sample.fresh(0, None)?).await;
    all_there(&first.log)?;
    let completes = first.completed();
    if !completes && Tally::of(&play, &[], std::slice::from_ref(&first)).is_silent() {
        return Err(Unrehearsed::Incomplete(why_not(&first)));
    }
    let probed = probes(&play, &definition, &first).await;
    all_there(&[&first.log[..], &probed].concat())?;
    let all_there = stopped::at(&first.log).or_else(|| stopped::at(&probed)).is_none();
    let play = Arc::new(play);
    let mut played = vec![first];
    let not_played = match (all_there, completes) {
        (false, _) => all.len(),
        // Where the saga does not even complete, nothing past the first broken answer can be tried.
        (true, false) => 0,
        (true, true) => play_all(&play, &sample, all, &mut played, progress).await?,
    };
    let tally = Tally::of(&play, &probed, &played);
    Ok(tally.report(&sample, played.len(), not_played, began.elapsed()))
}

/// Plays the drills, some at a time, in their order. No other begins where a participant is gone: it
/// could only leave behind what it has done at the others. Says how many those are.
async fn play_all(
    play: &Arc<Play>,
    sample: &Sample,
    drills: Vec<Drill>,
    played: &mut Vec<Played>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<usize, NoSample> {
    let of = drills.len() + 1;
    let room = Arc::new(Semaphore::new(AT_ONCE_MAX));
    let gone = Arc::new(AtomicBool::new(false));
    let mut running = JoinSet::new();
    for (n, drill) in (1..).zip(drills) {
        let refused_at = (drill.fault == Fault::Refused).then_some(drill.name.as_str());
        let data = sample.fresh(n, refused_at)?;
        let (play, room, gone) = (Arc::clone(play), Arc::clone(&room), Arc::clone(&gone));
        running.spawn(async move {
            let _place = room.acquire().await;
            if gone.load(Ordering::Acquire) {
                return (n, None);
            }
            let played = play.drill(drill, &data).await;
            if stopped::at(&played.log).is_some() {
                gone.store(true, Ordering::Release);
            }
            (n, Some(played))
        });
    }
    let mut ended = BTreeMap::new();
    let mut not_played = 0;
    while let Some(one) = running.join_next().await {
        // One that panicked has tried nothing: said, and not left out of what was kept.
        match one {
            Ok((n, Some(drill))) => drop(ended.insert(n, drill)),
            Ok((_, None)) => not_played += 1,
            Err(one) => match one.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => continue,
            },
        }
        progress(ended.len() + 1, of);
    }
    played.extend(ended.into_values());
    Ok(not_played)
}

/// Has something arrived at every participant that was asked? Nothing has been tried by then.
fn all_there(log: &[Exchange]) -> Result<(), Unrehearsed> {
    let Some((said, why)) = stopped::never_there(log) else { return Ok(()) };
    Err(Unrehearsed::Unreachable { service: said.service.clone(), why: why.to_string() })
}

/// What each service says outside of any saga, as long as it is there.
async fn probes(play: &Play, definition: &Definition, first: &Played) -> Vec<Exchange> {
    let saga_id = first.saga.as_ref().map_or(0, |saga| saga.id.0);
    let mut log = Vec::new();
    for service in tally::services(definition) {
        let commands = definition.steps().iter().flat_map(|s| [s.action(), s.compensation()]);
        let command = commands.flatten().find(|command| *command.service == *service);
        let Some(command) = command.filter(|_| stopped::at(&first.log).is_none()) else { continue };
        let name = format!("{service}.{}", command.name);
        let saga_type = definition.saga_type();
        log.extend(probe::probe(&play.participants, &service, &name, saga_type, saga_id).await);
    }
    log
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
