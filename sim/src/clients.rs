//! The callers: each starts a saga, repeats what it got no answer to, asks and tells things of it, and
//! holds every answer against what is durable.

use std::sync::Arc;
use std::time::Duration;

use amends_core::input::Refusal;
use amends_core::{Payload, Saga, SagaId};
use amends_engine::{Ask, AskError, SagaVerb, Snapshot, Start, StartError, Unavailable};
use amends_store::Query;
use bytes::Bytes;
use serde_json::json;

use crate::callbacks;
use crate::chance::Chance;
use crate::judge::{Call, Law, Place};
use crate::marks::Mark;
use crate::note;
use crate::world::World;

/// One caller.
struct Client {
    world: Arc<World>,
    number: u64,
    chance: Chance,
    saga_type: Arc<str>,
    data: Bytes,
    idempotency_key: Option<Arc<str>>,
}

/// Runs a caller to its end.
pub async fn run(world: Arc<World>, number: u64) {
    let mut chance = Chance::named(world.plan.seed, &format!("client {number}"));
    let saga_type = Arc::clone(&chance.pick(&world.plan.types).name);
    let key = if chance.permille(300) { chance.below(3) } else { 100 + number };
    let items: Vec<u64> = (0..chance.below(4)).collect();
    let wanted = chance.permille(700);
    let data = json!({ "n": number, "key": format!("k{key}"), "wanted": wanted, "items": items });
    let idempotency_key = chance.permille(850).then(|| format!("i{number}").into());
    let at = chance.below(world.plan.faults_ms * 4 / 5);
    tokio::time::sleep(Duration::from_millis(at)).await;
    let data = Bytes::from(data.to_string());
    let mut client = Client { world, number, chance, saga_type, data, idempotency_key };
    let Some(saga) = client.start().await else { return };
    client.afterwards(saga).await;
}

impl Client {
    fn order(&self) -> Start {
        Start {
            saga_type: Arc::clone(&self.saga_type),
            version: None,
            data: self.data.clone(),
            idempotency_key: self.idempotency_key.clone(),
            wait: None,
        }
    }

    async fn pause(&mut self, usual: u64, longest: u64) {
        let span = self.chance.span(usual, longest);
        tokio::time::sleep(Duration::from_millis(span)).await;
    }

    /// Starts it; one without a key is tried once, because nobody could tell a second from the first.
    async fn start(&mut self) -> Option<Saga> {
        loop {
            let Some(engine) = self.world.engine() else {
                self.pause(300, 1_000).await;
                continue;
            };
            let mut start = self.order();
            if self.chance.permille(150) {
                start.wait = Some(Duration::from_secs(self.chance.between(1, 20)));
            }
            let started = engine.handle.start(start).await;
            let n = self.number;
            match started {
                Ok(started) => {
                    let saga = &started.snapshot.saga;
                    note!(
                        self.world.trace,
                        Some(saga.id),
                        "started {n}, existing {}",
                        started.existing
                    );
                    self.world.judge.said(Law::S18, saga);
                    if self.world.disk.in_trouble() {
                        self.world.judge.said(Law::L6, saga);
                    }
                    self.world.judge.started(self.number, saga.id);
                    return Some(Saga::clone(saga));
                }
                Err(StartError::Unavailable(why)) => {
                    note!(self.world.trace, None, "start {n}: {why}");
                    let journal = matches!(why, Unavailable::JournalFailed(_));
                    self.world.judge.mark_if(journal, Mark::StartRefused);
                    self.idempotency_key.as_ref()?;
                    self.pause(400, 3_000).await;
                }
                Err(StartError::KeyInUse { saga_id }) => {
                    note!(self.world.trace, Some(saga_id), "start {n}: its business key is in use");
                    self.world.judge.mark(Mark::KeyInUse);
                    let none = self.world.judge.durable_seq(saga_id) == 0;
                    let none = none.then(|| "a saga that is not durable holds a key".to_owned());
                    self.world.judge.check(Law::S18, Some(saga_id), none);
                    return None;
                }
                Err(other) => {
                    let what = format!("the start of {n} is answered {other}");
                    self.world.judge.check(Law::S16, None, Some(what));
                    return None;
                }
            }
        }
    }

    async fn afterwards(&mut self, saga: Saga) {
        for _ in 0..self.chance.below(7) {
            self.pause(4_000, 40_000).await;
            if !self.world.traffic.troubled() {
                return;
            }
            match self.chance.below(14) {
                0 => self.cancel(saga.id).await,
                1 => self.pause_and_resume(saga.id).await,
                2 | 3 => self.signal(&saga).await,
                4 => self.operate(&saga).await,
                5 => self.start_again(saga.id).await,
                6 => self.start_with_other_bytes(saga.id).await,
                7 => self.forge(&saga).await,
                8 => self.history(saga.id).await,
                9 => self.list().await,
                10 => self.wait(saga.id).await,
                _ => self.get(saga.id).await,
            }
        }
    }

    async fn ask(&mut self, saga: SagaId, ask: Ask) -> Option<Result<Snapshot, AskError>> {
        let engine = self.world.engine()?;
        let seen = self.world.judge.durable_seq(saga);
        let at_seq = self.chance.permille(200).then_some(seen);
        let asked = engine.handle.ask(saga, ask.clone(), at_seq).await;
        match &asked {
            Ok(snapshot) => {
                note!(self.world.trace, Some(saga), "{ask:?}: taken at {}", snapshot.saga.seq);
                self.world.judge.said(Law::S18, &snapshot.saga);
            }
            Err(error) => {
                note!(self.world.trace, Some(saga), "{ask:?}: {error}");
                let judge = &self.world.judge;
                judge.mark_if(matches!(error, AskError::Moved { .. }), Mark::Moved);
                let flight = matches!(error, AskError::Refused(Refusal::AttemptInFlight));
                judge.mark_if(flight, Mark::InFlight);
                let gone = matches!(error, AskError::NoSuchSaga(_)) && self.owns(engine.opening);
                let gone = gone.then(|| "an acknowledged saga is not there".to_owned());
                self.world.judge.check(Law::S18, Some(saga), gone);
            }
        }
        Some(asked)
    }

    /// Is it still the engine that owns the shards? What one says that was replaced may be old.
    fn owns(&self, opening: u64) -> bool {
        self.world.owner().is_some_and(|owner| owner.opening == opening)
    }

    async fn cancel(&mut self, saga: SagaId) {
        let _ = self.ask(saga, verb(SagaVerb::Cancel)).await;
    }

    async fn pause_and_resume(&mut self, saga: SagaId) {
        let _ = self.ask(saga, verb(SagaVerb::Pause)).await;
        self.pause(4_000, 60_000).await;
        let _ = self.ask(saga, verb(SagaVerb::Resume)).await;
    }

    async fn signal(&mut self, saga: &Saga) {
        let go = self.chance.permille(800);
        for name in self.world.judge.signals_of(saga.id) {
            let body = Payload::from(json!({ "go": go }).to_string().as_str());
            let _ = self.ask(saga.id, Ask::Signal { name, body }).await;
        }
    }

    /// Something that an operator might do, whether or not it fits.
    async fn operate(&mut self, saga: &Saga) {
        let Some(step) = self.step_of(saga) else { return };
        let force = self.chance.permille(300);
        let what = match self.chance.below(6) {
            0 => SagaVerb::Retry { step },
            1 => {
                let completed = self.chance.permille(500).then(|| Payload::from("{\"by\":1}"));
                SagaVerb::Resolve { step, completed, force }
            }
            2 => SagaVerb::Skip { step, force },
            3 => SagaVerb::Edit { step, body: Payload::from("{\"edited\":1}"), force },
            4 => {
                let deadline = self.world.wall() + amends_core::Millis::secs(60);
                let step = self.chance.permille(500).then_some(step);
                SagaVerb::Extend { step, deadline }
            }
            _ => SagaVerb::Acknowledge { step },
        };
        let _ = self.ask(saga.id, verb(what)).await;
    }

    fn step_of(&mut self, saga: &Saga) -> Option<String> {
        let names = self.world.judge.steps_of(saga.id);
        (!names.is_empty()).then(|| self.chance.pick(&names).0.clone())
    }

    async fn start_again(&mut self, saga: SagaId) {
        if self.idempotency_key.is_none() {
            return;
        }
        let Some(engine) = self.world.engine() else { return };
        match engine.handle.start(self.order()).await {
            Ok(again) => {
                self.world.judge.mark(Mark::StartRepeated);
                let other = again.snapshot.saga.id;
                let other = (other != saga).then(|| format!("the same start gave {other} as well"));
                self.world.judge.check(Law::S16, Some(saga), other);
                self.world.judge.said(Law::S18, &again.snapshot.saga);
            }
            Err(StartError::Unavailable(_)) => {}
            Err(error) => {
                let what = format!("the same start is answered {error}");
                self.world.judge.check(Law::S16, Some(saga), Some(what));
            }
        }
    }

    async fn start_with_other_bytes(&mut self, saga: SagaId) {
        if self.idempotency_key.is_none() {
            return;
        }
        let Some(engine) = self.world.engine() else { return };
        let data = Bytes::from(String::from_utf8_lossy(&self.data).replace('{', "{ "));
        let taken = match engine.handle.start(Start { data, ..self.order() }).await {
            Err(StartError::IdempotencyConflict { saga_id }) => {
                self.world.judge.mark(Mark::Conflict);
                (saga_id != saga).then(|| format!("the conflict names {saga_id}"))
            }
            Err(StartError::Unavailable(_)) => None,
            other => Some(format!(
                "other bytes under one key are answered {:?}",
                other.map(|s| s.existing)
            )),
        };
        self.world.judge.check(Law::S16, Some(saga), taken);
    }

    async fn forge(&mut self, saga: &Saga) {
        let steps = self.world.judge.steps_of(saga.id);
        if steps.is_empty() {
            return;
        }
        let (step_name, run, service) = self.chance.pick(&steps).clone();
        let others = self.world.plan.services.iter().filter(|other| *other.name != *service);
        let others: Vec<_> = others.map(|other| Arc::clone(&other.name)).collect();
        let foreign = self.chance.permille(500) && !others.is_empty();
        let sender =
            if foreign { self.chance.pick(&others).to_string() } else { service.to_string() };
        let direction = amends_core::Direction::Action;
        let round = 1;
        let key = amends_wire::idempotency_key(
            amends_wire::SagaId(saga.id.0),
            &step_name,
            amends_wire::Direction::Action,
            round,
        );
        let call =
            Call { place: Place { saga: saga.id, run }, direction, key, round, attempt: 999 };
        callbacks::forge(&self.world, &call, foreign, &sender).await;
    }

    async fn get(&mut self, saga: SagaId) {
        let Some(engine) = self.world.engine() else { return };
        let seen = self.world.judge.told(saga);
        let got = engine.handle.get(saga).await;
        let Ok(got) = got else { return };
        self.read(saga, engine.opening, seen, got);
    }

    async fn wait(&mut self, saga: SagaId) {
        let Some(engine) = self.world.engine() else { return };
        let seen = self.world.judge.told(saga);
        let span = Duration::from_secs(self.chance.between(1, 60));
        let Ok(got) = engine.handle.wait(saga, span).await else { return };
        self.read(saga, engine.opening, seen, got);
    }

    fn read(&self, saga: SagaId, opening: u64, seen: u64, got: Option<Snapshot>) {
        let judge = &self.world.judge;
        let seq = got.as_ref().map_or(0, |got| got.saga.seq);
        note!(self.world.trace, Some(saga), "read at {seq}");
        if let Some(got) = &got {
            judge.said(Law::S18, &got.saga);
        }
        if self.owns(opening) {
            let less = (seq < seen).then(|| format!("event {seen} was told, and now {seq} is"));
            judge.check(Law::S18, Some(saga), less);
        }
    }

    async fn history(&mut self, saga: SagaId) {
        let Some(engine) = self.world.engine() else { return };
        let Ok(Some(history)) = engine.handle.history(saga).await else { return };
        let last = history.last().map_or(0, |item| item.seq);
        let durable = self.world.judge.durable_seq(saga);
        let ahead = (last > durable).then(|| format!("event {last} is told and {durable} durable"));
        self.world.judge.check(Law::S18, Some(saga), ahead);
    }

    async fn list(&mut self) {
        let Some(engine) = self.world.engine() else { return };
        let Ok(page) = engine.handle.list(Query::default(), None).await else { return };
        for row in page.rows {
            let saga = SagaId(row.saga);
            let durable = self.world.judge.durable_seq(saga);
            let ahead = (row.seq > durable).then(|| format!("its row is at {}", row.seq));
            self.world.judge.check(Law::S18, Some(saga), ahead);
        }
    }
}

/// A verb of an operator.
pub fn verb(verb: SagaVerb) -> Ask {
    Ask::Verb { verb, by: "an operator".into(), reason: "simulated".into() }
}
