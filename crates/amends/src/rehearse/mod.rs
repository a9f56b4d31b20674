//! A rehearsal: a definition is run against its participants on a test system, once for each fault at
//! each step and in each direction, and what the participants say is held against the rules.
//!
//! Every run is a [`drill`] with an engine of its own; between that engine and the participants is
//! the [`stage`], a transport that makes the fault. What was asked and said is a list of
//! [`exchange`]s, from which the [`judge`] alone makes verdicts. What is answered later comes by the
//! [`callbacks`], to an address of each sending's own. Nothing is kept.
//!
//! What no engine would ask is asked in [`talk`]s. How much of all this is tried says the [`suite`]: a
//! whole saga for its faults, or one service by itself for everything.

mod absent;
mod callbacks;
mod drill;
mod exchange;
mod expression;
mod judge;
mod participants;
mod patience;
mod report;
mod rule;
mod sample;
mod scene;
mod stage;
mod stopped;
mod suite;
mod talk;
mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use callbacks::Callbacks;
pub use drill::{Drill, Fault, drills};
pub use participants::Participants;
pub use patience::Patience;
pub use report::{Broken, Cell, Report, Shown};
pub use sample::{NoSample, Sample};
pub use scene::Play;
pub use stopped::Stopped;
pub use suite::{Suite, Wanted};
pub use talk::Talk;

use exchange::Exchange;
use scene::Played;
use talk::{Appointment, appointments};
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
    /// One service by itself has no such command, so none of its rules was tried by it.
    #[error("{service} answers {request} with 404, as a service does that has no such command")]
    NoCommand {
        /// Which.
        service: String,
        /// `POST <path>`.
        request: String,
        /// Whether it is one that undoes.
        is_undo: bool,
    },
    /// Without any fault the saga does not complete.
    #[error("without any fault the saga does not complete: {0}")]
    Incomplete(String),
    /// Without any fault an expression of the definition gives no value.
    #[error("without any fault an expression cannot be evaluated: {0}")]
    Expression(String),
    /// The data.
    #[error(transparent)]
    Sample(#[from] NoSample),
}

/// Plays what is wanted of a suite, and says what that came to.
pub async fn rehearse(
    play: Play,
    sample: Sample,
    suite: Suite,
    wanted: Wanted<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Report, Unrehearsed> {
    let began = Instant::now();
    let definition = Arc::clone(&play.compiled.definition);
    let mut all = drills(&definition, &|step| play.fence(step), &|s| sample.has_refused(s));
    let plain = all.remove(0);
    all.retain(wanted.drills);
    progress(0, all.len() + 1);
    let first = play.drill(plain, &sample.fresh(0, None)?).await;
    all_there(&first.log)?;
    all_known(suite, &first.log)?;
    let completes = first.completed();
    if !completes && Tally::of(&play, suite, &[], std::slice::from_ref(&first)).is_silent() {
        return Err(match &first.expression {
            Some(failed) => Unrehearsed::Expression(failed.clone()),
            None => Unrehearsed::Incomplete(why_not(&first)),
        });
    }
    let play = Arc::new(play);
    let n = all.len() as u64 + 1;
    let talks = match stopped::at(&first.log) {
        Some(_) => Vec::new(),
        None => appointments(&play, suite, wanted.talks, &first, &sample, n)?,
    };
    let to_have = talks.len();
    let talked = have(&play, talks).await;
    let not_had = to_have - talked.len();
    let said = talked.iter().flat_map(|(_, log)| log).cloned();
    let said: Vec<Exchange> = first.log.iter().cloned().chain(said).collect();
    all_there(&said)?;
    all_known(suite, &said)?;
    let mut played = vec![first];
    let not_played = match (stopped::at(&said), completes) {
        (Some(_), _) => all.len(),
        // Where the saga does not even complete, nothing past the first broken answer can be tried.
        (None, false) => 0,
        (None, true) => play_all(&play, &sample, all, &mut played, progress).await?,
    };
    let drilled: Vec<Exchange> = played.iter().flat_map(|played| &played.log).cloned().collect();
    all_known(suite, &drilled)?;
    let tally = Tally::of(&play, suite, &talked, &played);
    let tally = if wanted.is_part { tally.of_a_part(&played) } else { tally };
    let scenarios = match suite {
        Suite::Rehearsal => played.len(),
        Suite::Conformance => played.len() + talked.len(),
    };
    Ok(tally.report(&sample, scenarios, not_had + not_played, began.elapsed()))
}

/// Has the talks, some at a time, in their order; none more where a participant is gone.
async fn have(play: &Arc<Play>, talks: Vec<Appointment>) -> Vec<(String, Vec<Exchange>)> {
    let room = Arc::new(Semaphore::new(AT_ONCE_MAX));
    let gone = Arc::new(AtomicBool::new(false));
    let mut running = JoinSet::new();
    for (n, one) in talks.into_iter().enumerate() {
        let (play, room, gone) = (Arc::clone(play), Arc::clone(&room), Arc::clone(&gone));
        running.spawn(async move {
            let _place = room.acquire().await;
            if gone.load(Ordering::Acquire) {
                return (n, one.scenario, Vec::new());
            }
            let log = talk::talk(one.talk, &one.topic, &play.participants).await;
            if stopped::at(&log).is_some() {
                gone.store(true, Ordering::Release);
            }
            (n, one.scenario, log)
        });
    }
    let mut had: Vec<_> = running.join_all().await;
    had.sort_unstable_by_key(|(n, ..)| *n);
    let had = had.into_iter().filter(|(.., log)| !log.is_empty());
    had.map(|(_, scenario, log)| (scenario, log)).collect()
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

/// Does a service that is tried by itself have the commands that were named? In a rehearsal that is for
/// its report, which has the other services too.
fn all_known(suite: Suite, log: &[Exchange]) -> Result<(), Unrehearsed> {
    let said = match suite {
        Suite::Rehearsal => None,
        Suite::Conformance => absent::absent(log),
    };
    let Some(said) = said else { return Ok(()) };
    Err(Unrehearsed::NoCommand {
        service: said.service.clone(),
        request: said.request.clone(),
        is_undo: said.is_undo(),
    })
}

/// Why a saga without a fault did not complete.
fn why_not(first: &Played) -> String {
    let refusal = first.log.iter().rev().find(|e| !e.is_undo() && !e.completed());
    match (refusal, &first.unfinished) {
        (Some(said), _) if said.seen.is_none() => {
            let (service, step, why) = (&said.service, &said.step, judge::why_unanswered(said));
            format!("{service} did not answer at the step {step}: {why}")
        }
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
