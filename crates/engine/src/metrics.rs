//! What is measured, in the seed's names and the engine's own; never a saga's id in a label.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_core::event::Event;
use amends_core::input::{Answer, Outcome};
use amends_core::saga::{Saga, State};
use amends_core::{Direction, Millis};
use amends_store::Count;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::watch;

use crate::convert;
use crate::deployed::Deployed;
use crate::engine::Shared;
use crate::messaging;
use crate::shard::message::{Internal, Survey};

/// How often the gauges are read.
const GAUGES_EVERY: Duration = Duration::from_secs(5);

/// The seed's buckets, and finer ones below a second, where most sagas end.
const SAGA_SECONDS: [f64; 12] =
    [0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 600.0];

/// Buckets of a batch's size.
const BATCH_SAGAS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 512.0, 1024.0, 2048.0];

/// Buckets of how late a timer fires.
const LAG_SECONDS: [f64; 6] = [0.001, 0.01, 0.05, 0.25, 1.0, 5.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByType {
    saga_type: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    saga_type: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    saga_type: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    saga_type: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByAttempt {
    saga_type: String,
    step: String,
    direction: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByService {
    service: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPlace {
    place: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFate {
    outcome: &'static str,
}

/// What became of an event at a place where services speak among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overheard {
    /// It is part of its saga's history.
    Heard,
    /// It is about something else.
    Other,
    /// It waits for what is not known yet.
    PutOff,
    /// It waits for the engine, which takes no work.
    Unavailable,
    /// It cannot be read.
    Damaged,
    /// It contradicts what was heard, or what it needs never came.
    Contradicted,
}

impl Overheard {
    const fn outcome(self) -> &'static str {
        match self {
            Self::Heard => "heard",
            Self::Other => "others",
            Self::PutOff => "put_off",
            Self::Unavailable => "unavailable",
            Self::Damaged => "damaged",
            Self::Contradicted => "contradicted",
        }
    }
}

/// Every metric of an engine.
pub struct Metrics {
    registry: Registry,
    started: Family<ByType, Counter>,
    completed: Family<ByType, Counter>,
    failed: Family<ByType, Counter>,
    compensating: Family<ByType, Counter>,
    duration: Family<ByOutcome, Histogram, fn() -> Histogram>,
    stuck: Family<ByState, Gauge>,
    instances: Family<ByState, Gauge>,
    attention: Family<ByReason, Counter>,
    dead_letters: Family<ByType, Counter>,
    attempts: Family<ByAttempt, Counter>,
    replies_dropped: Counter,
    overheard: Family<ByFate, Counter>,
    unreadable: Counter,
    batch: Histogram,
    timer_lag: Histogram,
    in_memory: Gauge,
    catalog_lag: Gauge,
    journal_bytes: Gauge,
    events_lag: Family<ByPlace, Gauge>,
    in_flight: Family<ByService, Gauge>,
    waiting: Family<ByService, Gauge>,
    circuits_open: Family<ByService, Gauge>,
    by_type: Mutex<HashMap<Arc<str>, Arc<TypeCounters>>>,
    sagas_in_memory: AtomicI64,
    orphans: AtomicU64,
}

/// The counters of one type, found once.
struct TypeCounters {
    started: Counter,
    completed: Counter,
    failed: Counter,
    compensating: Counter,
    completed_seconds: Histogram,
    failed_seconds: Histogram,
}

fn saga_seconds() -> Histogram {
    Histogram::new(SAGA_SECONDS)
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            started: Family::default(),
            completed: Family::default(),
            failed: Family::default(),
            compensating: Family::default(),
            duration: Family::new_with_constructor(saga_seconds),
            stuck: Family::default(),
            instances: Family::default(),
            attention: Family::default(),
            dead_letters: Family::default(),
            attempts: Family::default(),
            replies_dropped: Counter::default(),
            overheard: Family::default(),
            unreadable: Counter::default(),
            batch: Histogram::new(BATCH_SAGAS),
            timer_lag: Histogram::new(LAG_SECONDS),
            in_memory: Gauge::default(),
            catalog_lag: Gauge::default(),
            journal_bytes: Gauge::default(),
            events_lag: Family::default(),
            in_flight: Family::default(),
            waiting: Family::default(),
            circuits_open: Family::default(),
            by_type: Mutex::default(),
            sagas_in_memory: AtomicI64::new(0),
            orphans: AtomicU64::new(0),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("saga_started", "Sagas started", self.started.clone());
        r.register("saga_completed", "Sagas ended completed", self.completed.clone());
        r.register("saga_failed", "Sagas ended failed", self.failed.clone());
        r.register("saga_compensating", "Decisions to compensate", self.compensating.clone());
        let duration = self.duration.clone();
        let help = "Time from a saga's start to its end";
        r.register_with_unit("saga_duration", help, Unit::Seconds, duration);
        r.register("saga_stuck_count", "Sagas that are stuck", self.stuck.clone());
        r.register("saga_instances", "Sagas by state", self.instances.clone());
        r.register("saga_attention", "Attention raised", self.attention.clone());
        r.register(
            "saga_dead_letters",
            "Undos whose retries were used up",
            self.dead_letters.clone(),
        );
        r.register("saga_step_attempts", "Answers to attempts", self.attempts.clone());
        let help = "Replies that answered nothing or came too late for their saga's record";
        r.register("amends_replies_orphaned", help, self.replies_dropped.clone());
        let help = "Events of choreographed sagas, by what became of them";
        r.register("amends_events_heard", help, self.overheard.clone());
        r.register("amends_sagas_unreadable", "Sagas quarantined", self.unreadable.clone());
        r.register("amends_journal_batch_sagas", "Sagas in a batch", self.batch.clone());
        let help = "How late timers fire";
        r.register_with_unit("amends_timer_lag", help, Unit::Seconds, self.timer_lag.clone());
        r.register("amends_sagas_in_memory", "Sagas in memory", self.in_memory.clone());
        let help = "Journal records that the catalog does not hold";
        r.register("amends_catalog_lag_records", help, self.catalog_lag.clone());
        let size = self.journal_bytes.clone();
        r.register_with_unit("amends_journal_size", "The journal's size", Unit::Bytes, size);
        let help = "Journal records whose events the broker of a place has not confirmed";
        r.register("amends_events_lag_records", help, self.events_lag.clone());
        r.register("amends_service_in_flight", "Commands that are out", self.in_flight.clone());
        r.register("amends_service_waiting", "Commands that wait for room", self.waiting.clone());
        let help = "Shards in which the service's circuit is open";
        r.register("amends_service_circuits_open", help, self.circuits_open.clone());
    }

    /// OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut encoded = String::new();
        // Writing into a string does not fail.
        let _ = text::encode(&mut encoded, &self.registry);
        encoded
    }

    /// Sagas in memory, as of the last survey.
    pub fn sagas_in_memory(&self) -> u64 {
        self.sagas_in_memory.load(Ordering::Relaxed).try_into().unwrap_or_default()
    }

    /// Counts what a decision's facts say.
    pub(crate) fn facts(&self, deployed: &Deployed, saga: &Saga, facts: &[Event]) {
        for fact in facts {
            match fact {
                Event::Started(_) => drop(self.of_type(deployed).started.inc()),
                Event::Turned { .. } => drop(self.of_type(deployed).compensating.inc()),
                Event::Ended { state } => {
                    let of_type = self.of_type(deployed);
                    let lasted = saga.updated_at.since(saga.created_at).0 as f64 / 1_000.0;
                    if *state == State::Completed {
                        of_type.completed.inc();
                        of_type.completed_seconds.observe(lasted);
                    } else {
                        of_type.failed.inc();
                        of_type.failed_seconds.observe(lasted);
                    }
                }
                Event::DeadLettered { redrives: 0, .. } => {
                    self.dead_letters.get_or_create(&by_type(deployed)).inc();
                }
                Event::AttentionRaised { reason, .. } => {
                    let saga_type = deployed.definition.saga_type().to_string();
                    let reason = crate::words::reason(*reason);
                    self.attention.get_or_create(&ByReason { saga_type, reason }).inc();
                }
                _ => {}
            }
        }
    }

    /// Counts what an attempt came to, where that is not the plain case.
    pub(crate) fn answered(&self, deployed: &Deployed, answer: &Answer) {
        let outcome = match &answer.outcome {
            Outcome::Completed { .. } => return,
            Outcome::Refused(_) => "refused",
            Outcome::Transient { .. } => "transient",
            Outcome::Accepted => "accepted",
            Outcome::Gone { .. } => "gone",
            Outcome::Unknown { .. } => "unknown",
            Outcome::NotSent(_) => "not_sent",
        };
        let by = ByAttempt {
            saga_type: deployed.definition.saga_type().to_string(),
            step: deployed.definition.step(answer.run.step).name.to_string(),
            direction: match answer.direction {
                Direction::Action => "action",
                Direction::Compensation => "compensation",
            },
            outcome,
        };
        self.attempts.get_or_create(&by).inc();
    }

    pub(crate) fn batch(&self, sagas: usize) {
        self.batch.observe(sagas as f64);
    }

    pub(crate) fn timer_lag(&self, lag: Millis) {
        self.timer_lag.observe(lag.0 as f64 / 1_000.0);
    }

    pub(crate) fn orphan(&self) {
        self.orphans.fetch_add(1, Ordering::Relaxed);
        self.replies_dropped.inc();
    }

    /// Counts an event that was heard.
    pub(crate) fn overheard(&self, overheard: Overheard) {
        self.overheard.get_or_create(&ByFate { outcome: overheard.outcome() }).inc();
    }

    /// Counts a saga that is quarantined.
    pub(crate) fn unreadable(&self, saga_type: &str) {
        self.unreadable.inc();
        let reason = crate::words::UNREADABLE;
        let by = ByReason { saga_type: saga_type.to_owned(), reason };
        self.attention.get_or_create(&by).inc();
    }

    fn of_type(&self, deployed: &Deployed) -> Arc<TypeCounters> {
        let mut known = self.by_type.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let saga_type = deployed.definition.saga_type();
        if let Some(counters) = known.get(saga_type) {
            return Arc::clone(counters);
        }
        let by = by_type(deployed);
        let seconds = |outcome| {
            let by = ByOutcome { saga_type: saga_type.to_string(), outcome };
            self.duration.get_or_create(&by).clone()
        };
        let counters = Arc::new(TypeCounters {
            started: self.started.get_or_create(&by).clone(),
            completed: self.completed.get_or_create(&by).clone(),
            failed: self.failed.get_or_create(&by).clone(),
            compensating: self.compensating.get_or_create(&by).clone(),
            completed_seconds: seconds("completed"),
            failed_seconds: seconds("failed"),
        });
        known.insert(Arc::clone(saga_type), Arc::clone(&counters));
        counters
    }
}

/// Sets a gauge to what was counted; what was not is none.
fn set(gauge: &Family<ByState, Gauge>, counts: &[Count]) {
    gauge.clear();
    for count in counts {
        let Some(state) = convert::state_in(count.state) else { continue };
        let state = crate::words::state(state);
        let by = ByState { saga_type: count.saga_type.to_string(), state };
        gauge.get_or_create(&by).set(count.sagas as i64);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn by_type(deployed: &Deployed) -> ByType {
    ByType { saga_type: deployed.definition.saga_type().to_string() }
}

/// Reads the gauges again and again, until told to stop.
pub(crate) async fn gauges(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(GAUGES_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            _ = ticks.tick() => {}
        }
        read_gauges(&shared).await;
    }
}

async fn read_gauges(shared: &Arc<Shared>) {
    let metrics = &shared.metrics;
    let health = shared.health();
    metrics.catalog_lag.set(health.catalog_lag_records as i64);
    metrics.journal_bytes.set(health.journal_bytes as i64);
    if let Ok(counts) = shared.store.catalog.counts().await {
        set(&metrics.instances, &counts);
    }
    if let Ok(stuck) = shared.store.catalog.stuck(shared.clock.now().0).await {
        set(&metrics.stuck, &stuck);
    }
    if let Ok(lags) = messaging::lags(shared).await {
        metrics.events_lag.clear();
        for (place, records) in lags {
            metrics.events_lag.get_or_create(&ByPlace { place }).set(records as i64);
        }
    }
    let survey = survey(shared).await;
    metrics.in_memory.set(survey.in_memory as i64);
    metrics.sagas_in_memory.store(survey.in_memory as i64, Ordering::Relaxed);
    for (name, load) in shared.registry.lane_names().into_iter().zip(survey.lanes) {
        let by = ByService { service: name.to_string() };
        metrics.in_flight.get_or_create(&by).set(load.in_flight as i64);
        metrics.waiting.get_or_create(&by).set(load.waiting as i64);
        metrics.circuits_open.get_or_create(&by).set(load.circuits_open as i64);
    }
}

/// What is in memory, over all shards.
async fn survey(shared: &Arc<Shared>) -> Survey {
    let mut answers = Vec::new();
    shared.tell_all(|| {
        let (reply, answer) = tokio::sync::oneshot::channel();
        answers.push(answer);
        Internal::Survey(reply)
    });
    let mut whole = Survey::default();
    for answer in answers {
        if let Ok(part) = answer.await {
            whole.add(part);
        }
    }
    whole
}
