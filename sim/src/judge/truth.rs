//! What is true: the sagas as their durable facts say, replayed by the judge as they become durable.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use amends_core::event::Event;
use amends_core::{Definition, Direction, RunRef, Saga, SagaId, Time};
use amends_engine::persist;
use amends_store::{Epoch, Record, ShardId};

use super::facts::laws_of;
use super::time::{Clock, Outage, made_up};
use super::{Inner, Judge, Law};
use crate::disk::Witness;
use crate::marks::{Mark, of_fact};

/// See the module.
#[derive(Default)]
pub struct Truth {
    pub(crate) sagas: BTreeMap<SagaId, Known>,
    owners: BTreeMap<ShardId, Epoch>,
    /// The clock of each opening's engine.
    pub(crate) clocks: BTreeMap<u64, Clock>,
    /// The starts that were acknowledged, by their caller's number.
    pub(crate) acknowledged: BTreeMap<u64, SagaId>,
    /// The last event of each saga that a caller was told of.
    pub(crate) told: BTreeMap<SagaId, u64>,
}

/// A saga as it is durably.
pub struct Known {
    /// Its state.
    pub saga: Saga,
    /// Its definition.
    pub definition: Arc<Definition>,
    /// After each event, a hash of the state.
    pub states: Vec<u64>,
    /// The commands of which the sending is durable: step, run, direction, attempt, with the opening
    /// that wrote it, and whether it has left.
    pub(crate) sent: BTreeMap<(u8, u8, Direction, u32), (u64, bool)>,
    /// Its last fact.
    pub(crate) last: Option<Event>,
    /// The runs of which a settled refusal was heard.
    pub(crate) refused: BTreeSet<RunRef>,
    /// The outages that it has not heard of.
    pub(crate) missed: Vec<Outage>,
    /// When something last happened to it, in milliseconds of the run.
    pub moved_at: u64,
    /// Which opening wrote its first fact: to every later one it is a saga that was recovered. Its time
    /// does not tell: an engine whose clock ran ahead and that wrote nothing down takes that time with it.
    pub(crate) started_by: u64,
    /// Which opening wrote its end.
    pub(crate) ended_by: Option<u64>,
    /// The openings that have published its end.
    pub(crate) published: BTreeSet<u64>,
    /// The last event that each opening has published.
    pub(crate) last_published: BTreeMap<u64, u64>,
}

/// A hash of a state, to hold what is read against what is true.
pub fn hash(saga: &Saga) -> u64 {
    let mut hasher = DefaultHasher::new();
    saga.hash(&mut hasher);
    hasher.finish()
}

/// What the disk tells: the judge with the moment added.
impl Witness for Judge {
    fn durable(&self, opening: u64, record: &Record) {
        let now = self.trace.now();
        let mut inner = self.inner();
        for batch in &record.batches {
            let owner = inner.truth.owners.get(&batch.shard).copied();
            let stale = (owner != Some(batch.epoch)).then(|| {
                format!("shard {} is {owner:?}'s and {:?} wrote", batch.shard.0, batch.epoch)
            });
            inner.check(&self.trace, Law::S14, None, stale);
            for entry in &batch.entries {
                self.entry(&mut inner, opening, now, SagaId(entry.saga), &entry.events);
            }
        }
    }

    fn acquired(&self, shard: ShardId, epoch: Epoch) {
        self.inner().truth.owners.insert(shard, epoch);
    }
}

impl Judge {
    fn entry(
        &self,
        inner: &mut Inner,
        opening: u64,
        now: u64,
        id: SagaId,
        events: &amends_store::Events,
    ) {
        let engine_now = inner.truth.clocks.get(&opening).map(|clock| clock.says(now));
        let held = inner.truth.sagas.get(&id).map_or(0, |known| known.saga.seq);
        let gap = (events.first_seq != held + 1)
            .then(|| format!("event {} follows event {held}", events.first_seq));
        let gapless = gap.is_none();
        inner.check(&self.trace, Law::S20, Some(id), gap);
        if !gapless {
            return;
        }
        let mut count = 0;
        for event in persist::decode(&events.bytes) {
            let Ok((at, event)) = event else {
                inner.check(
                    &self.trace,
                    Law::S17,
                    Some(id),
                    Some("its facts cannot be read".into()),
                );
                return;
            };
            count += 1;
            if engine_now.is_some_and(|now| at > now) {
                let what = format!("a fact of {} ms is durable before that time", at.0);
                inner.check(&self.trace, Law::S22, Some(id), Some(what));
            }
            self.event(inner, opening, now, id, at, &event);
        }
        let miscounted = (count != events.count)
            .then(|| format!("{} events are said and {count} are there", events.count));
        inner.check(&self.trace, Law::S20, Some(id), miscounted);
    }

    fn event(
        &self,
        inner: &mut Inner,
        opening: u64,
        now: u64,
        id: SagaId,
        at: Time,
        event: &Event,
    ) {
        self.trace.line(Some(id), format_args!("fact {}", words(event)));
        if let Event::Started(started) = event {
            let saga = Saga::started(started, at);
            let pinned = &saga.pinned;
            let saga_type = self.plan.saga_type(&pinned.saga_type);
            let definition = saga_type.and_then(|t| t.definition(pinned.version)).cloned();
            let unknown = definition.is_none().then(|| format!("version {}", pinned.version));
            inner.check(&self.trace, Law::S19, Some(id), unknown);
            if let Some(key) = &saga.business_key {
                let holder = inner.truth.sagas.values().find(|other| {
                    other.saga.business_key.as_ref() == Some(key)
                        && other.saga.pinned.saga_type == saga.pinned.saga_type
                        && !other.saga.state.ended()
                });
                let twice = holder.map(|other| format!("its business key is {}'s", other.saga.id));
                inner.check(&self.trace, Law::S16, Some(id), twice);
            }
            if let Some(definition) = definition {
                let known = Known {
                    states: vec![hash(&saga)],
                    saga,
                    definition,
                    sent: BTreeMap::new(),
                    last: None,
                    refused: BTreeSet::new(),
                    missed: Vec::new(),
                    moved_at: now,
                    started_by: opening,
                    ended_by: None,
                    published: BTreeSet::new(),
                    last_published: BTreeMap::new(),
                };
                inner.truth.sagas.insert(id, known);
            }
            return;
        }
        let Some(known) = inner.truth.sagas.get_mut(&id) else { return };
        let before = known.saga.clone();
        let applied = known.saga.apply(at, event);
        let last = known.last.replace(event.clone());
        let mut found = laws_of(&known.definition, &before, last.as_ref(), at, event, &known.saga);
        found.extend(made_up(known, &before, at, event).map(|broken| (Law::S22, broken)));
        let marks = of_fact(&before, event, &known.saga);
        known.moved_at = now;
        known.states.push(hash(&known.saga));
        if let Event::Sent { command, attempt, .. } = event {
            let place = (command.run.step.0, command.run.run, command.direction, *attempt);
            known.sent.insert(place, (opening, false));
        }
        if let Event::Refused { run, settled: true, .. } = event {
            known.refused.insert(*run);
        }
        if let Event::Ended { .. } = event {
            known.ended_by = Some(opening);
            let another = known.started_by != opening;
            inner.marks.extend(another.then_some(Mark::EndedByAnother));
        }
        inner.marks.extend(marks);
        let illegal =
            applied.err().map(|error| format!("{} does not follow: {error}", words(event)));
        inner.check(&self.trace, Law::S17, Some(id), illegal);
        for (law, broken) in found {
            inner.check(&self.trace, law, Some(id), broken);
        }
    }
}

/// An event in few words.
fn words(event: &Event) -> String {
    match event {
        Event::Started(started) => format!("Started {}", started.pinned.saga_type),
        other => format!("{other:?}"),
    }
}

impl Truth {
    /// A saga.
    pub fn saga(&self, id: SagaId) -> Option<&Known> {
        self.sagas.get(&id)
    }
}

impl Judge {
    /// Something is said of a saga at this event: it must be durable by now, and as it is said.
    pub fn said(&self, law: Law, saga: &Saga) {
        let mut inner = self.inner();
        let known = inner.truth.saga(saga.id);
        let held = known.map_or(0, |known| known.saga.seq);
        let ahead = (saga.seq > held)
            .then(|| format!("event {} was told and event {held} is durable", saga.seq));
        let state = known.and_then(|known| known.states.get(saga.seq.checked_sub(1)? as usize));
        let other = state.is_some_and(|state| *state != hash(saga));
        let other = other.then(|| format!("the state told at event {} is another", saga.seq));
        inner.check(&self.trace, law, Some(saga.id), ahead);
        let told = inner.truth.told.entry(saga.id).or_default();
        *told = (*told).max(saga.seq);
        inner.check(&self.trace, Law::S17, Some(saga.id), other);
    }

    /// The last durable event of a saga; 0 when there is no such saga.
    pub fn durable_seq(&self, saga: SagaId) -> u64 {
        self.inner().truth.saga(saga).map_or(0, |known| known.saga.seq)
    }
}
