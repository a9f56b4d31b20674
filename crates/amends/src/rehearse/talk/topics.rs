//! Which talks are had with which service, and about what.

use serde_json::Value;

use super::super::sample::{NoSample, Sample};
use super::super::scene::{Play, Played};
use super::super::suite::Suite;
use super::super::tally;
use super::Talk;
use super::line::Specimen;
use super::play::Topic;

/// A talk that is to be had.
pub struct Appointment {
    /// Which.
    pub talk: Talk,
    /// Its name among the scenarios.
    pub scenario: String,
    /// About what.
    pub topic: Topic,
}

/// All the talks of a suite, once the saga without a fault was played; `n` is the number of the first
/// data that nobody has.
pub fn appointments(
    play: &Play,
    suite: Suite,
    wanted: &dyn Fn(Talk) -> bool,
    first: &Played,
    sample: &Sample,
    n: u64,
) -> Result<Vec<Appointment>, NoSample> {
    let saga_id = first.saga.as_ref().map_or(0, |saga| saga.id.0);
    let whole = suite == Suite::Conformance && first.completed();
    let specimens = match suite {
        Suite::Rehearsal => one_each(play),
        Suite::Conformance => every_action(play),
    };
    let (mut all, mut n) = (Vec::new(), n);
    for specimen in &specimens {
        for &talk in suite.talks().iter().filter(|talk| wanted(**talk)) {
            let step = specimen.step_name.as_str();
            let is_signed = !play.participants.secrets(&specimen.service).is_empty();
            let refused = sample.has_refused(step).then(|| sample.fresh(n, Some(step)));
            let can_be_had = match talk {
                Talk::UnknownCommand | Talk::Garbage | Talk::UnknownUndo => true,
                Talk::Unsigned | Talk::Forged | Talk::Stale => {
                    is_signed && specimen.action.is_some()
                }
                Talk::NewRound => whole && refused.is_some(),
                _ if talk.is_command() => whole,
                _ => specimen.action.is_some(),
            };
            if !can_be_had {
                continue;
            }
            let data = match suite {
                Suite::Rehearsal => asked(first, step),
                Suite::Conformance => sample.fresh(n, None)?,
            };
            let others = [sample.fresh(n + 1, None)?, sample.fresh(n + 2, None)?];
            n += 3;
            let topic = Topic {
                specimen: specimen.clone(),
                saga_id: saga_id.wrapping_add(all.len() as u128 + 1),
                data,
                others,
                refused: refused.transpose()?,
                whole,
            };
            let scenario = match specimens.len() {
                1 => talk.words(),
                _ if suite == Suite::Rehearsal => talk.words(),
                _ => format!("{step}: {}", talk.words()),
            };
            all.push(Appointment { talk, scenario, topic });
        }
    }
    Ok(all)
}

/// One command of each service, an action where it has one.
fn one_each(play: &Play) -> Vec<Specimen> {
    let of = |service: String| {
        let specimens = || specimens(play).filter(|specimen| specimen.service == service);
        specimens().find(|specimen| specimen.action.is_some()).or_else(|| specimens().next())
    };
    tally::services(&play.compiled.definition).into_iter().filter_map(of).collect()
}

fn every_action(play: &Play) -> Vec<Specimen> {
    specimens(play).filter(|specimen| specimen.action.is_some()).collect()
}

/// What each step has of each service.
fn specimens(play: &Play) -> impl Iterator<Item = Specimen> + '_ {
    let definition = &play.compiled.definition;
    definition.indices().flat_map(move |at| {
        let step = definition.step(at);
        let mut services: Vec<_> =
            [step.action(), step.compensation()].into_iter().flatten().collect();
        services.dedup_by(|a, b| a.service == b.service);
        services.into_iter().map(move |of| {
            let own = |command: &amends_core::definition::Command| {
                (command.service == of.service)
                    .then(|| format!("{}.{}", command.service, command.name))
            };
            let binding = play.compiled.bindings.get(&of.service);
            Specimen {
                service: of.service.to_string(),
                saga_type: definition.saga_type().to_string(),
                step: at,
                step_name: step.name.to_string(),
                action: step.action().and_then(own),
                undo: step.compensation().and_then(own),
                flat: binding.is_none_or(|binding| binding.flat),
            }
        })
    })
}

/// The data that a step's action carried.
fn asked(first: &Played, step: &str) -> Value {
    let of_step = |name: &str| name.split_once('.').map_or(name, |(step, _)| step) == step;
    let asked = first.log.iter().find(|said| of_step(&said.step) && !said.is_undo());
    let body: Option<Value> = asked.and_then(|said| serde_json::from_str(&said.body).ok());
    body.map(|mut body| body["data"].take()).unwrap_or_default()
}
