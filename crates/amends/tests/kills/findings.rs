//! What is wrong afterwards: by the clients' book, by the histories, and by the judge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amends_example_services::Evidence;
use amends_example_services::judge::{Ending, SagaFacts, Verdict, judge};
use serde_json::Value;

use super::api::{Answer, Api};
use super::load::{Book, Started, steps};

/// After the last kill every fault is over within a few seconds; the machine may be busy.
const END_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How many sagas are looked at side by side.
const READERS: usize = 4;

/// One sending as its fact and its call name it: saga, step, undo or not, round, attempt.
type Sending = (String, String, bool, u32, u32);

/// What was found.
#[derive(Default)]
pub struct Findings {
    pub wrong: Vec<String>,
    pub completed: usize,
    pub failed: usize,
    sagas: Vec<SagaFacts>,
    sent: BTreeSet<Sending>,
}

/// What the server says, when all is over.
pub async fn of_the_server(api: &Api, book: &Arc<Book>) -> Findings {
    let mut found =
        Findings { wrong: std::mem::take(&mut book.broken.lock().unwrap()), ..Findings::default() };
    let started = book.started.lock().unwrap().clone();
    let mut by_id: BTreeMap<String, usize> = BTreeMap::new();
    for saga in &started {
        *by_id.entry(saga.saga_id.clone()).or_default() += 1;
    }
    for (saga_id, times) in by_id.iter().filter(|(_, times)| **times > 1) {
        found.wrong.push(format!("{times} starts with keys of their own gave one saga, {saga_id}"));
    }

    for saga_id in until_nothing_is_owed(api).await {
        let saga = api.get(&format!("/v1/sagas/{saga_id}")).await;
        found.wrong.push(format!("the saga {saga_id} does not end: {saga:?}"));
    }
    let listed = listed(api, "/v1/sagas?limit=1000").await;
    for saga_id in listed.iter().filter(|saga_id| !by_id.contains_key(*saga_id)) {
        found.wrong.push(format!("the saga {saga_id} runs, and no client knows of it"));
    }
    for saga_id in by_id.keys().filter(|saga_id| !listed.contains(*saga_id)) {
        found.wrong.push(format!("the saga {saga_id} was acknowledged, and is not listed"));
    }
    for saga_id in listed_of(api, "/v1/orphans", "orphans").await {
        found.wrong.push(format!("a reply found no saga: {saga_id}"));
    }
    let mut readers = tokio::task::JoinSet::new();
    for part in started.chunks(started.len().div_ceil(READERS).max(1)) {
        let (api, part) = (api.clone(), part.to_vec());
        readers.spawn(async move {
            let mut found = Findings::default();
            for saga in &part {
                found.saga(&api, saga).await;
            }
            found
        });
    }
    while let Some(part) = readers.join_next().await {
        let part = part.expect("a reader does not panic");
        found.wrong.extend(part.wrong);
        found.completed += part.completed;
        found.failed += part.failed;
        found.sagas.extend(part.sagas);
        found.sent.extend(part.sent);
    }
    found
}

/// What the ledgers and the call logs say, by the judge and against the histories.
pub fn of_the_ledgers(found: &mut Findings, evidence: &[Evidence]) -> Verdict {
    for Evidence { service, calls, .. } in evidence {
        for call in calls {
            let round = call.key.rsplit_once('/').and_then(|(_, round)| round.parse().ok());
            let sending = (
                call.saga_id.clone(),
                call.step.clone(),
                call.is_undo,
                round.unwrap_or(1),
                call.attempt,
            );
            if !found.sent.contains(&sending) {
                let what = format!("{service} met a command that no history knows: {sending:?}");
                found.wrong.push(what);
            }
        }
    }
    let verdict = judge(&found.sagas, evidence);
    found.wrong.extend(verdict.violations.iter().map(ToString::to_string));
    verdict
}

/// Waits until every saga has ended and owes nothing, but not for ever: those that do.
pub async fn until_nothing_is_owed(api: &Api) -> BTreeSet<String> {
    let since = Instant::now();
    loop {
        let mut owing = BTreeSet::new();
        for state in ["started", "pending", "compensating"] {
            owing.extend(listed(api, &format!("/v1/sagas?limit=1000&state={state}")).await);
        }
        owing.extend(listed(api, "/v1/sagas?limit=1000&attention=any").await);
        if owing.is_empty() || since.elapsed() > END_WITHIN {
            return owing;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn listed(api: &Api, first: &str) -> BTreeSet<String> {
    listed_of(api, first, "sagas").await
}

/// The ids on all pages of a list.
async fn listed_of(api: &Api, first: &str, field: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut path = first.to_owned();
    loop {
        let page = match api.get(&path).await {
            Answer::Of(200, page) => page,
            other => panic!("{path} was answered {other:?}"),
        };
        for row in page[field].as_array().unwrap_or_else(|| panic!("{path}: {page}")) {
            ids.insert(row["saga_id"].as_str().unwrap_or_default().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => path = format!("{first}&cursor={next}"),
            None => return ids,
        }
    }
}

impl Findings {
    /// Reads one saga and its history.
    async fn saga(&mut self, api: &Api, started: &Started) {
        let id = &started.saga_id;
        let saga = match api.get(&format!("/v1/sagas/{id}")).await {
            Answer::Of(200, saga) => saga,
            other => return self.wrong.push(format!("the saga {id} is lost: {other:?}")),
        };
        let history = match api.get(&format!("/v1/sagas/{id}/history")).await {
            Answer::Of(200, history) => history,
            other => return self.wrong.push(format!("the history of {id} is lost: {other:?}")),
        };
        let ending = match saga["state"].as_str() {
            Some("completed") => Ending::Completed,
            Some("failed") => Ending::Failed,
            _ => Ending::Running, // that it does not end is said already
        };
        match ending {
            Ending::Completed => self.completed += 1,
            Ending::Failed => self.failed += 1,
            Ending::Running => {}
        }
        for exception in saga["exceptions"].as_array().into_iter().flatten() {
            if exception["reason"] != "unproven" {
                self.wrong.push(format!("the saga {id} has an exception: {exception}"));
            }
        }
        self.history(id, &saga, &history);
        // Also where it is unproven: these participants keep tombstones, so nothing is left.
        self.sagas.push(SagaFacts::sequence(id, ending, &steps(started.worked)));
    }

    /// A history has no gap, one end, no undo before the decision, and no forward command whose
    /// first intent is after it.
    fn history(&mut self, id: &str, saga: &Value, history: &Value) {
        let none = Vec::new();
        let events = history["events"].as_array().unwrap_or(&none);
        let mut intents = BTreeSet::new();
        let (mut turned, mut ends) = (false, 0);
        for (place, event) in (1_u64..).zip(events) {
            if event["seq"] != place {
                self.wrong.push(format!("the history of {id} has {event} in place {place}"));
            }
            match event["event"].as_str() {
                Some("turned") => turned = true,
                Some("ended") => ends += 1,
                Some("sent") => {
                    let step = event["step"].as_str().unwrap_or_default().to_owned();
                    let undo = event["direction"] == "compensation";
                    let number =
                        |field: &str| event[field].as_u64().and_then(|n| u32::try_from(n).ok());
                    let (round, attempt) =
                        (number("round").unwrap_or(0), number("attempt").unwrap_or(0));
                    let first = intents.insert((step.clone(), undo, round));
                    if first && !undo && turned {
                        self.wrong.push(format!("{id} was turned, and then {step} was begun"));
                    }
                    if undo && !turned {
                        self.wrong.push(format!("{id} undid {step} before it was turned"));
                    }
                    if !self.sent.insert((id.to_owned(), step.clone(), undo, round, attempt)) {
                        self.wrong.push(format!("{id} sent one attempt of {step} twice: {event}"));
                    }
                }
                _ => {}
            }
        }
        if saga["seq"] != events.len() as u64 {
            let what = format!("{id} is at {}, its history has {}", saga["seq"], events.len());
            self.wrong.push(what);
        }
        if ends != usize::from(!saga["ended_at"].is_null()) {
            self.wrong.push(format!("the history of {id} has {ends} ends"));
        }
    }
}
