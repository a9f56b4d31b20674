//! The running load: clients that start sagas with faults to order, read, list, cancel, pause and
//! signal them, note what each request came to, and ask again under the same key when they do not
//! know.

pub mod api;
pub mod book;
pub mod worked;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_example_services::Worked;
use serde_json::{Value, json};

use crate::dice::Dice;
use api::{Answer, Api};
use book::{Book, CameTo, Start};
use worked::saga_type;

/// How many clients: enough that at every moment some start is on its way.
const CLIENTS: u64 = 6;

/// The longest pause of a client between two starts, in milliseconds.
const PAUSE_MS_MAX: u64 = 30;

/// The longest time for which a client leaves a saga paused, in milliseconds.
const PAUSED_MS_MAX: u64 = 400;

/// The pause before an unanswered request is repeated, in milliseconds.
const AGAIN_MS: u64 = 5;

/// How long a client waits for an answer: longer than an answer takes on a busy machine, and
/// shorter than an outage.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Of a hundred tries that were not answered, or told "not now", so many are the client's last.
const GIVES_UP_PERCENT: u64 = 5;

/// How many acknowledged sagas are remembered for later reads.
const REMEMBERED_MAX: usize = 512;

/// Clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: tokio::task::JoinSet<()>,
}

impl Load {
    pub fn start(api: &Api, dice: &Dice, book: &Arc<Book>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicU64::new(1));
        let known = Arc::new(Mutex::new(Vec::new()));
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            let mut client = Client {
                api: api.clone().within(ANSWER_WITHIN),
                book: Arc::clone(book),
                dice: dice.split(client),
                next: Arc::clone(&next),
                known: Arc::clone(&known),
            };
            let stop = Arc::clone(&stop);
            clients.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    client.start_one().await;
                    client.read_one().await;
                    let pause = client.dice.below(PAUSE_MS_MAX);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            });
        }
        Self { stop, clients }
    }

    /// Starts nothing more; every start that is on its way is brought to its end.
    pub async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("a client does not panic");
        }
    }
}

struct Client {
    api: Api,
    book: Arc<Book>,
    dice: Dice,
    next: Arc<AtomicU64>,
    known: Arc<Mutex<Vec<String>>>,
}

impl Client {
    async fn start_one(&mut self) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let worked = self.dice.pick(&[
            Worked::Order,
            Worked::Order,
            Worked::Bank,
            Worked::Bank,
            Worked::Approval,
        ]);
        let key = format!("start-{n}");
        let mut data = worked::data(worked, n, &mut self.dice);
        data["start"] = json!(key);
        let came_to = self.until_known(worked, &key, &data).await;
        self.book.started(Start { key: key.clone(), came_to: came_to.clone() });
        let CameTo::Acknowledged(saga_id) = came_to else { return };
        self.remember(&saga_id);
        match self.dice.below(100) {
            0..8 => self.repeat(worked, &key, &data, &saga_id).await,
            8..10 => self.repeat_otherwise(worked, &key, &data).await,
            10..14 => self.cancel(&saga_id).await,
            14..18 => self.pause_and_resume(&saga_id).await,
            18..24 if worked == Worked::Bank => self.twin(&key, &data, &saga_id).await,
            24..28 => self.list(&saga_id).await,
            _ => {}
        }
        // Now and then nobody decides in time.
        if worked == Worked::Approval && self.dice.percent(90) {
            self.signal(&saga_id).await;
        }
    }

    async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Answer {
        let answer = self.api.post(path, key, body).await;
        self.book.heard(&answer);
        answer
    }

    async fn get(&self, path: &str) -> Answer {
        let answer = self.api.get(path).await;
        self.book.heard(&answer);
        answer
    }

    /// Asks under one key until the start is acknowledged, or the client is tired of it.
    async fn until_known(&mut self, worked: Worked, key: &str, data: &Value) -> CameTo {
        let mut may_be_there = false;
        loop {
            match self.post(&path(worked), Some(key), data).await {
                Answer::Of(status @ (200 | 201), saga) => {
                    if status == 200 && !may_be_there {
                        self.book.breaks(format!("{key} was there before its first start: {saga}"));
                    }
                    if status == 200 {
                        self.book.count(|tally| tally.found += 1);
                    }
                    let saga_id = saga["saga_id"].as_str().unwrap_or_default().to_owned();
                    self.book.saw(&saga_id, &self.book.floor(&saga_id), &saga);
                    return CameTo::Acknowledged(saga_id);
                }
                Answer::NotSent => {}
                // An answer that was garbled, too, comes without a code.
                Answer::Unknown => may_be_there = true,
                answer => match not_now(&answer) {
                    Some(NotNow::NothingDone) => {}
                    Some(NotNow::NobodyKnows) => may_be_there = true,
                    None => {
                        self.book.breaks(format!("the start {key} was answered {answer:?}"));
                        return CameTo::Unknown;
                    }
                },
            }
            if self.dice.percent(GIVES_UP_PERCENT) {
                return if may_be_there { CameTo::Unknown } else { CameTo::Refused };
            }
            tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
        }
    }

    /// The same start again gives the same saga, whatever happened in between.
    async fn repeat(&self, worked: Worked, key: &str, data: &Value, saga_id: &str) {
        let floor = self.book.floor(saga_id);
        match self.post(&path(worked), Some(key), data).await {
            Answer::Of(200, saga) if saga["saga_id"] == saga_id => {
                self.book.saw(saga_id, &floor, &saga);
            }
            answer => {
                self.otherwise(&format!("{key} gave {saga_id}, and again"), &answer, &[]);
            }
        }
    }

    /// The same key with other bytes is a conflict.
    async fn repeat_otherwise(&self, worked: Worked, key: &str, data: &Value) {
        let mut data = data.clone();
        data["other"] = json!(true);
        let answer = self.post(&path(worked), Some(key), &data).await;
        self.otherwise(&format!("{key} with other bytes"), &answer, &["idempotency_conflict"]);
    }

    /// Another start with the business key of a saga: refused while that one runs.
    async fn twin(&self, key: &str, data: &Value, saga_id: &str) {
        let mut data = data.clone();
        let key = format!("{key}-twin");
        data["start"] = json!(key);
        let answer = self.post(&path(Worked::Bank), Some(&key), &data).await;
        let came_to = match &answer {
            Answer::Of(201, twin) => {
                if let Answer::Of(200, first) = self.get(&format!("/v1/sagas/{saga_id}")).await
                    && first["ended_at"].is_null()
                {
                    let what = "have one business key, and both run";
                    self.book.breaks(format!("{saga_id} and {} {what}", twin["saga_id"]));
                }
                CameTo::Acknowledged(twin["saga_id"].as_str().unwrap_or_default().to_owned())
            }
            Answer::Of(409, problem)
                if problem["code"] == "key_in_use" && problem["saga_id"] == saga_id =>
            {
                CameTo::Refused
            }
            Answer::NotSent => CameTo::Refused,
            Answer::Unknown => CameTo::Unknown,
            other => match not_now(other) {
                Some(NotNow::NothingDone) => CameTo::Refused,
                Some(NotNow::NobodyKnows) => CameTo::Unknown,
                None => {
                    self.book.breaks(format!("the twin of {saga_id} was answered {other:?}"));
                    CameTo::Unknown
                }
            },
        };
        self.book.started(Start { key, came_to });
    }

    async fn cancel(&self, saga_id: &str) {
        let floor = self.book.floor(saga_id);
        let path = format!("/v1/sagas/{saga_id}/cancel");
        match self.post(&path, None, &json!({"reason": "the load draws it"})).await {
            Answer::Of(200 | 202, saga) => {
                self.book.cancelled(saga_id);
                self.book.saw(saga_id, &floor, &saga);
            }
            answer => {
                let may = ["too_late", "ended", "already_compensating"];
                self.otherwise(&format!("the cancel of {saga_id}"), &answer, &may);
            }
        }
    }

    /// Pauses a saga, and does not leave it so.
    async fn pause_and_resume(&mut self, saga_id: &str) {
        let reason = json!({"reason": "the load draws it"});
        let floor = self.book.floor(saga_id);
        match self.post(&format!("/v1/sagas/{saga_id}/pause"), None, &reason).await {
            Answer::Of(200 | 202, saga) => {
                self.book.count(|tally| tally.paused += 1);
                self.book.saw(saga_id, &floor, &saga);
            }
            answer => {
                let may = ["ended", "already_paused"];
                self.otherwise(&format!("the pause of {saga_id}"), &answer, &may);
            }
        }
        let paused = self.dice.below(PAUSED_MS_MAX);
        tokio::time::sleep(Duration::from_millis(paused)).await;
        loop {
            match self.post(&format!("/v1/sagas/{saga_id}/resume"), None, &reason).await {
                Answer::Of(200 | 202, _) => return,
                Answer::Of(409, problem)
                    if ["not_paused", "ended"].iter().any(|code| problem["code"] == *code) =>
                {
                    return;
                }
                // Noted; a server that has forgotten the saga would say so for ever.
                answer if !self.otherwise(&format!("the resume of {saga_id}"), &answer, &[]) => {
                    return;
                }
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
        }
    }

    /// Decides, mostly with yes; asks again until it is known that the answer has come.
    async fn signal(&mut self, saga_id: &str) {
        let body = json!({"approved": self.dice.percent(80), "by": "kim"});
        loop {
            let path = format!("/v1/sagas/{saga_id}/signals/approval");
            match self.post(&path, None, &body).await {
                Answer::Of(200..300, _) => {
                    return self.book.count(|tally| tally.signalled += 1);
                }
                Answer::Of(409, problem)
                    if ["signal_taken", "ended", "not_owed", "already_compensating"]
                        .iter()
                        .any(|code| problem["code"] == *code) =>
                {
                    return;
                }
                answer => {
                    self.otherwise(&format!("the signal to {saga_id}"), &answer, &[]);
                }
            }
            if self.dice.percent(GIVES_UP_PERCENT) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
        }
    }

    /// Some saga that was acknowledged is there, and has not gone back.
    async fn read_one(&mut self) {
        let saga_id = {
            let known = self.known.lock().unwrap();
            if known.is_empty() {
                return;
            }
            let place = usize::try_from(self.dice.below(known.len() as u64)).unwrap_or(0);
            known[place].clone()
        };
        let floor = self.book.floor(&saga_id);
        match self.get(&format!("/v1/sagas/{saga_id}")).await {
            Answer::Of(200, saga) => self.book.saw(&saga_id, &floor, &saga),
            answer => {
                self.otherwise(&format!("{saga_id} was acknowledged, and then"), &answer, &[]);
            }
        }
    }

    /// A list that has come as far as the client has knows what the client knows.
    async fn list(&self, saga_id: &str) {
        let (position, floor) = (self.api.position(), self.book.floor(saga_id));
        let path = format!("/v1/sagas?q={saga_id}&at_least={position}");
        match self.get(&path).await {
            Answer::Of(200, page) if page["as_of"].as_u64() >= Some(position) => {
                match page["sagas"].as_array().map_or(&[] as &[Value], Vec::as_slice) {
                    [row] if row["saga_id"] == saga_id => self.book.saw(saga_id, &floor, row),
                    rows => self.book.breaks(format!(
                        "{saga_id} was acknowledged before {position}, and the list as of {} has \
                         {rows:?}",
                        page["as_of"]
                    )),
                }
            }
            // The catalog is behind, and says so.
            Answer::Of(200, _) => {}
            answer => {
                self.otherwise("a list", &answer, &[]);
            }
        }
    }

    /// Any other answer must be a "not now", none at all, or a conflict of these; is it?
    fn otherwise(&self, what: &str, answer: &Answer, conflicts: &[&str]) -> bool {
        let fine = match answer {
            Answer::NotSent | Answer::Unknown => true,
            Answer::Of(409, problem) => conflicts.iter().any(|code| problem["code"] == *code),
            other => not_now(other).is_some(),
        };
        if !fine {
            self.book.breaks(format!("{what}: {answer:?}"));
        }
        fine
    }

    fn remember(&mut self, saga_id: &str) {
        let mut known = self.known.lock().unwrap();
        if known.len() < REMEMBERED_MAX {
            return known.push(saga_id.to_owned());
        }
        let place = usize::try_from(self.dice.below(REMEMBERED_MAX as u64)).unwrap_or(0);
        known[place] = saga_id.to_owned();
    }
}

/// A "not now".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotNow {
    NothingDone,
    NobodyKnows,
}

/// What a 429 or 503 says, by its code.
fn not_now(answer: &Answer) -> Option<NotNow> {
    let Answer::Of(429 | 503, problem) = answer else { return None };
    match problem["code"].as_str()? {
        "overloaded" | "catalog_behind" | "not_ready" | "stopping" => Some(NotNow::NothingDone),
        "journal_failed" | "catalog_failed" | "timed_out" => Some(NotNow::NobodyKnows),
        _ => None,
    }
}

fn path(worked: Worked) -> String {
    format!("/v1/sagas/{}", saga_type(worked))
}
