//! The running load: clients that start sagas with faults to order, note what each start came to,
//! and ask again under the same key when they do not know.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_example_services::Worked;
use serde_json::{Map, Value, json};

use super::api::{Answer, Api};
use super::dice::Dice;

/// How many clients: enough that at every moment some start is on its way.
const CLIENTS: u64 = 6;

/// The longest pause of a client between two starts, in milliseconds.
const PAUSE_MS_MAX: u64 = 30;

/// The pause before an unanswered start is repeated, in milliseconds.
const AGAIN_MS: u64 = 5;

/// A start that was acknowledged.
#[derive(Clone, Debug)]
pub struct Started {
    pub worked: Worked,
    pub saga_id: String,
}

/// What became of the starts.
#[derive(Default)]
pub struct Book {
    pub started: Mutex<Vec<Started>>,
    pub broken: Mutex<Vec<String>>,
    /// Starts of which a client could not say whether they were taken.
    pub unknown: AtomicU64,
    /// Starts that found nobody, or were told "not now".
    pub refused: AtomicU64,
    /// Unknown starts that turned out to have been taken.
    pub found: AtomicU64,
    pub cancelled: AtomicU64,
}

impl Book {
    pub fn breaks(&self, what: String) {
        self.broken.lock().unwrap().push(what);
    }
}

/// Clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: tokio::task::JoinSet<()>,
}

impl Load {
    pub fn start(api: &Api, dice: &Dice, book: &Arc<Book>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicU64::new(1));
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            let mut client = Client {
                api: api.clone(),
                book: Arc::clone(book),
                dice: dice.split(client),
                next: Arc::clone(&next),
            };
            let stop = Arc::clone(&stop);
            clients.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    client.start_one().await;
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
}

impl Client {
    async fn start_one(&mut self) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let worked = self.dice.pick(&[Worked::Order, Worked::Bank]);
        let mut data = worked.sample(n);
        data["faults"] = faults(worked, &mut self.dice);
        let key = format!("start-{n}");
        let Some(saga_id) = self.until_acknowledged(worked, &key, &data).await else { return };
        self.book.started.lock().unwrap().push(Started { worked, saga_id: saga_id.clone() });
        match self.dice.below(100) {
            0..8 => self.repeat(worked, &key, &data, &saga_id).await,
            8..10 => self.repeat_otherwise(worked, &key, data).await,
            10..13 => self.cancel(&saga_id).await,
            _ => {}
        }
    }

    /// Asks under one key until the start is acknowledged.
    async fn until_acknowledged(&self, worked: Worked, key: &str, data: &Value) -> Option<String> {
        let mut may_be_there = false;
        loop {
            match self.api.post(&path(worked), Some(key), data).await {
                Answer::Of(status @ (200 | 201), saga) => {
                    if status == 200 && !may_be_there {
                        self.book.breaks(format!("{key} was there before its first start: {saga}"));
                    }
                    if status == 200 {
                        self.book.found.fetch_add(1, Ordering::Relaxed);
                    }
                    return saga["saga_id"].as_str().map(str::to_owned);
                }
                Answer::Of(429 | 503, _) | Answer::NotSent => {
                    self.book.refused.fetch_add(1, Ordering::Relaxed);
                }
                Answer::Unknown => {
                    may_be_there = true;
                    self.book.unknown.fetch_add(1, Ordering::Relaxed);
                }
                Answer::Of(status, problem) => {
                    self.book.breaks(format!("the start {key} was answered {status}: {problem}"));
                    return None;
                }
            }
            tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
        }
    }

    /// The same start again gives the same saga, whatever happened in between.
    async fn repeat(&self, worked: Worked, key: &str, data: &Value, saga_id: &str) {
        match self.api.post(&path(worked), Some(key), data).await {
            Answer::Of(200, saga) if saga["saga_id"] == saga_id => {}
            Answer::Of(429 | 503, _) | Answer::NotSent | Answer::Unknown => {}
            other => self.book.breaks(format!("{key} gave {saga_id}, and again: {other:?}")),
        }
    }

    /// The same key with other bytes is a conflict.
    async fn repeat_otherwise(&self, worked: Worked, key: &str, mut data: Value) {
        data["other"] = json!(true);
        match self.api.post(&path(worked), Some(key), &data).await {
            Answer::Of(409, problem) if problem["code"] == "idempotency_conflict" => {}
            Answer::Of(429 | 503, _) | Answer::NotSent | Answer::Unknown => {}
            other => self.book.breaks(format!("{key} with other bytes: {other:?}")),
        }
    }

    async fn cancel(&self, saga_id: &str) {
        let reason = json!({"reason": "the load draws it"});
        let path = format!("/v1/sagas/{saga_id}/cancel");
        match self.api.post(&path, None, &reason).await {
            Answer::Of(200 | 202, _) => {
                self.book.cancelled.fetch_add(1, Ordering::Relaxed);
            }
            // Too late, not now, or nobody knows.
            Answer::Of(409 | 429 | 503, _) | Answer::NotSent | Answer::Unknown => {}
            other => self.book.breaks(format!("the cancel of {saga_id}: {other:?}")),
        }
    }
}

fn path(worked: Worked) -> String {
    format!("/v1/sagas/{}", saga_type(worked))
}

fn saga_type(worked: Worked) -> &'static str {
    let named = worked.definition().lines().find_map(|line| line.strip_prefix("saga: "));
    named.expect("a definition names its saga")
}

/// The steps of a worked saga, all compensatable and one after the other.
pub fn steps(worked: Worked) -> Vec<&'static str> {
    let lines = worked.definition().lines();
    lines.filter_map(|line| line.strip_prefix("  - name: ")).collect()
}

/// What goes wrong in a saga: in a third of them nothing.
fn faults(worked: Worked, dice: &mut Dice) -> Value {
    const ACTION: [&str; 12] = [
        "refuse",
        "refuse",
        "refuse",
        "refuse",
        "lost_reply",
        "lost_reply:99",
        "timeout:1",
        "timeout",
        "late_success",
        "late_success:100ms",
        "duplicate",
        "accepted",
    ];
    const UNDO: [&str; 6] =
        ["lost_reply", "transient", "timeout:1", "duplicate", "accepted", "late_success:100ms"];
    let steps = steps(worked);
    let mut faults = Map::new();
    if dice.percent(65) {
        faults.insert(dice.pick(&steps).to_owned(), json!(dice.pick(&ACTION)));
    }
    if dice.percent(20) {
        faults.insert(dice.pick(&steps).to_owned(), json!("transient:1"));
    }
    if dice.percent(20) {
        faults.insert(format!("{}/compensation", dice.pick(&steps)), json!(dice.pick(&UNDO)));
    }
    if dice.below(300) == 0 {
        faults.insert(dice.pick(&steps).to_owned(), json!("crash"));
    }
    Value::Object(faults)
}
