//! The judge: what is wrong when all is over, by the clients' book, by what the server says, by the
//! histories, by the counters, and by the ledgers of the participants.
//!
//! The rules are plain functions of what was read, in rooms of their own, each with tests that show
//! it a lie.

mod counters;
mod history;
mod lists;
mod starts;
pub mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use amends_example_services::Evidence;
use amends_example_services::judge::{Ending, SagaFacts, Verdict};

use crate::load::api::{Answer, Api};
use crate::load::book::{Closed, Seen, goes_back};
use crate::load::worked;
use history::{Sendings, is_told_by};
use starts::Served;

pub use counters::of_a_quiet_life;
pub use lists::until_nothing_is_owed;

/// How many sagas are looked at side by side.
const READERS: usize = 4;

/// What was found.
#[derive(Default)]
pub struct Findings {
    pub wrong: Vec<String>,
    /// Of those that ended, by type and state.
    pub ends: BTreeMap<(&'static str, &'static str), u64>,
    sagas: Vec<SagaFacts>,
    sent: Sendings,
}

/// What the server says, when all is over.
pub async fn of_the_server(api: &Api, book: &Closed, within: Duration) -> Findings {
    let mut found = Findings { wrong: book.broken.clone(), ..Findings::default() };
    for saga_id in until_nothing_is_owed(api, within).await {
        let saga = api.get(&format!("/v1/sagas/{saga_id}")).await;
        found.wrong.push(format!("the saga {saga_id} does not end: {saga:?}"));
    }
    for orphan in lists::orphans(api).await {
        found.wrong.push(format!("a reply found no saga: {orphan}"));
    }
    let listed = lists::rows(api, "/v1/sagas?limit=1000").await;
    let listed: Vec<String> =
        listed.iter().map(|row| row["saga_id"].as_str().unwrap_or_default().to_owned()).collect();
    let mut read = read(api, &book.acknowledged().chain(listed.clone()).collect()).await;
    found.wrong.append(&mut read.wrong);
    let served: Vec<Served> = read
        .sagas
        .iter()
        .map(|(saga_id, (saga, _))| Served {
            saga_id: saga_id.clone(),
            key: saga["data"]["start"].as_str().unwrap_or_default().to_owned(),
            is_listed: listed.contains(saga_id),
        })
        .collect();
    found.wrong.extend(starts::judge(&book.starts, &served));
    for (saga_id, (saga, events)) in &read.sagas {
        let Some(worked) = worked::of_type(saga["saga_type"].as_str().unwrap_or_default()) else {
            found.wrong.push(format!("{saga_id} is of no type that was started: {saga}"));
            continue;
        };
        let ending = match saga["state"].as_str() {
            Some("completed") => Ending::Completed,
            Some("failed") => Ending::Failed,
            _ => Ending::Running, // that it does not end is said already
        };
        if let Some(state) = worked::END_STATES.iter().find(|state| saga["state"] == **state) {
            *found.ends.entry((worked.name(), state)).or_default() += 1;
        }
        if let Some(floor) = book.seen.get(saga_id) {
            found.wrong.extend(goes_back(saga_id, floor, &Seen::of(saga)));
        }
        if book.cancelled.contains(saga_id) && ending != Ending::Failed {
            found.wrong.push(format!("the cancel of {saga_id} was taken, and it is {ending:?}"));
        }
        for exception in saga["exceptions"].as_array().into_iter().flatten() {
            if exception["reason"] != "unproven" {
                found.wrong.push(format!("the saga {saga_id} has an exception: {exception}"));
            }
        }
        found.wrong.extend(history::judge(saga_id, saga, events, &mut found.sent));
        found.sagas.push(worked::facts(worked, saga_id, ending));
    }
    found
}

/// What the ledgers and the call logs say, by their judge and against the histories.
pub fn of_the_ledgers(found: &mut Findings, evidence: &[Evidence]) -> Verdict {
    for Evidence { service, calls, .. } in evidence {
        for call in calls.iter().filter(|call| !is_told_by(&found.sent, call)) {
            found.wrong.push(format!("{service} met a command that no history knows: {call:?}"));
        }
    }
    let verdict = amends_example_services::judge::judge(&found.sagas, evidence);
    found.wrong.extend(verdict.violations.iter().map(ToString::to_string));
    verdict
}

/// Sagas with their histories.
#[derive(Default)]
struct Read {
    sagas: BTreeMap<String, (serde_json::Value, Vec<serde_json::Value>)>,
    wrong: Vec<String>,
}

async fn read(api: &Api, saga_ids: &std::collections::BTreeSet<String>) -> Read {
    let saga_ids: Vec<&String> = saga_ids.iter().collect();
    let mut readers = tokio::task::JoinSet::new();
    for part in saga_ids.chunks(saga_ids.len().div_ceil(READERS).max(1)) {
        let (api, part) = (api.clone(), part.iter().map(|id| (*id).clone()).collect::<Vec<_>>());
        readers.spawn(async move {
            let mut read = Read::default();
            for saga_id in part {
                read.one(&api, saga_id).await;
            }
            read
        });
    }
    let mut all = Read::default();
    while let Some(part) = readers.join_next().await {
        let part = part.expect("a reader does not panic");
        all.sagas.extend(part.sagas);
        all.wrong.extend(part.wrong);
    }
    all
}

impl Read {
    async fn one(&mut self, api: &Api, saga_id: String) {
        let saga = match api.get(&format!("/v1/sagas/{saga_id}")).await {
            Answer::Of(200, saga) => saga,
            other => return self.wrong.push(format!("the saga {saga_id} is lost: {other:?}")),
        };
        match api.get(&format!("/v1/sagas/{saga_id}/history")).await {
            Answer::Of(200, mut history) => {
                let events = match history["events"].take() {
                    serde_json::Value::Array(events) => events,
                    _ => Vec::new(),
                };
                self.sagas.insert(saga_id, (saga, events));
            }
            other => self.wrong.push(format!("the history of {saga_id} is lost: {other:?}")),
        }
    }
}
