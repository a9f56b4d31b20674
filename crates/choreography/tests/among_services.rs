//! Services of one choreography among themselves: events late, twice and out of order, answers of every
//! kind, time that passes, records that are stored and read back at every step. Each saga must end all
//! done or all undone, at every service alike.

mod chance;

use std::collections::{BTreeMap, BTreeSet};

use amends_choreography::{
    Answered, Choreographed, InVain, Moment, Prepared, Reason, Record, SagaEvent, Service, State,
    Surroundings, Task,
};
use amends_core::choreography::Observing;
use amends_core::event::Started;
use amends_core::saga::{Pinned, Saga, State as Observed, Status};
use amends_core::{Millis, StepIx, Time};
use amends_wire::{Direction, SagaId};
use serde_json::value::RawValue;

use chance::Chance;

const ORDER: &[u8] = include_bytes!("corpus/order.yaml");
const SAGA: SagaId = SagaId(7);

/// `completed` or `failed`.
type End = &'static str;

fn order() -> Choreographed {
    Choreographed::read(ORDER, "order.choreography.yaml", &Surroundings::none()).unwrap()
}

/// All services, and what is on its way to each.
struct World {
    of: Choreographed,
    services: Vec<Service>,
    records: Vec<Record>,
    under_way: Vec<Vec<SagaEvent>>,
    now: Time,
    /// What was done, in order: the truth, outside of all records.
    ledger: Vec<(String, Direction)>,
    /// Whose handler is another process, with a fence of its own: what its steps came to there.
    sidecars: Vec<bool>,
    elsewhere: BTreeMap<StepIx, bool>,
    /// Failures are over: what is tried succeeds.
    calm: bool,
    said: BTreeSet<String>,
    /// All that was said, for who only listens.
    overheard: Vec<SagaEvent>,
}

impl World {
    fn new(of: Choreographed, chance: &mut Chance) -> Self {
        let services: Vec<Service> = of.services().iter().map(|name| of.service(name)).collect();
        let records = services.iter().map(|_| Record::new(of.clone(), SAGA)).collect();
        let under_way = services.iter().map(|_| Vec::new()).collect();
        let (now, ledger, said) = (Time(1_000_000), Vec::new(), BTreeSet::new());
        let sidecars = services.iter().map(|_| chance.percent(50)).collect();
        let (elsewhere, overheard) = (BTreeMap::new(), Vec::new());
        Self {
            of,
            services,
            records,
            under_way,
            now,
            ledger,
            sidecars,
            elsewhere,
            calm: false,
            said,
            overheard,
        }
    }

    fn publish(&mut self, events: Vec<SagaEvent>) {
        for event in events {
            self.said.insert(format!(
                "{} {:?}",
                event.name(),
                event.reason.as_ref().map(|r| &r.code)
            ));
            // As it travels.
            let message = event.message();
            let headers: Vec<_> = message.attributes.clone();
            let read = SagaEvent::read(&Attributes(headers), &message.body).unwrap();
            assert_eq!(read.message().body, message.body);
            let told = &event.context.completed_steps;
            let in_order = |(n, step): (usize, &String)| {
                !told[..n].iter().any(|earlier| self.precedes(step, earlier))
            };
            assert!(told.iter().enumerate().all(in_order), "{told:?}");
            for queue in &mut self.under_way {
                queue.push(read.clone());
            }
            self.overheard.push(read);
        }
    }

    /// Stores the record and reads it back, as another copy of the service would.
    fn stored(&mut self, at: usize) {
        let text = self.records[at].to_json();
        let of = self.of.clone();
        let read = Record::from_json(SAGA, &text, |_| Some(of)).unwrap();
        assert_eq!(read.to_json(), text);
        assert_eq!(read.state(), self.records[at].state());
        self.records[at] = read;
    }

    fn step(&mut self, chance: &mut Chance) {
        let at = chance.below(self.services.len() as u64) as usize;
        match chance.below(10) {
            0..=4 => self.hear(at, chance),
            5..=7 => self.work(at, chance),
            8 => {
                self.now = self.now + Millis(chance.below(if self.calm { 400 } else { 20_000 }));
            }
            _ => {
                let (service, now) = (self.services[at].clone(), self.now);
                // Late may be only what is unread.
                let heard = if self.calm { now } else { Time(now.0 - chance.below(10_000)) };
                let now = Moment { at: now, heard, jitter: 0 };
                let (_, events) = service.late(&mut self.records[at], now);
                self.publish(events);
            }
        }
        self.stored(at);
    }

    fn hear(&mut self, at: usize, chance: &mut Chance) {
        let queue = &mut self.under_way[at];
        if queue.is_empty() {
            return;
        }
        let which = chance.below(queue.len() as u64) as usize;
        // Brought once more later, perhaps.
        let twice = !self.calm && chance.percent(20);
        let event = if twice { queue[which].clone() } else { queue.swap_remove(which) };
        let service = self.services[at].clone();
        let events = service.hear(&mut self.records[at], &event, self.now).unwrap_or_else(|why| {
            panic!("{} does not take {event:?}: {why}", service.name());
        });
        self.publish(events);
    }

    fn work(&mut self, at: usize, chance: &mut Chance) {
        let (service, now) = (self.services[at].clone(), self.now);
        let moment = Moment { at: now, heard: now, jitter: 1 << 31 };
        let tasks = service.tasks(&self.records[at], now);
        if tasks.is_empty() {
            return;
        }
        let task = tasks[chance.below(tasks.len() as u64) as usize];
        let Task { step, direction, .. } = task;
        let name = service.step_name(step).to_owned();
        if self.sidecars[at] && direction == Direction::Action {
            return self.work_elsewhere(at, task, moment, chance);
        }
        let record = &mut self.records[at];
        let answered = match service.prepare(record, step, direction).unwrap() {
            Prepared::Skip => Answered::Skipped,
            Prepared::Ask(_) if !self.calm && chance.percent(30) => {
                let why = Reason::new("LOCKED", "not now");
                let events = service.tried(record, step, InVain::of(why), moment).unwrap();
                return self.publish(events);
            }
            Prepared::Ask(_) if direction == Direction::Compensation => Answered::Undone,
            Prepared::Ask(_) if !self.calm && chance.percent(10) => {
                Answered::Refused(Reason::new("NO", "it cannot be"))
            }
            Prepared::Ask(_) => {
                let result = format!("{{\"ref\":\"{name}-1\"}}");
                Answered::Completed(RawValue::from_string(result).unwrap())
            }
        };
        if matches!(answered, Answered::Completed(_) | Answered::Undone) {
            self.ledger.push((name, direction));
        }
        let events = service.answered(&mut self.records[at], step, answered, moment).unwrap();
        self.publish(events);
    }

    /// The handler is another process: what began there is known only when it answers.
    fn work_elsewhere(&mut self, at: usize, task: Task, now: Moment, chance: &mut Chance) {
        let step = task.step;
        let service = self.services[at].clone();
        let name = service.step_name(step).to_owned();
        let record = &mut self.records[at];
        if service.prepare(record, step, Direction::Action).unwrap() == Prepared::Skip {
            let events = service.answered(record, step, Answered::Skipped, now).unwrap();
            return self.publish(events);
        }
        service.begin(record, task, now.at).unwrap();
        self.stored(at);
        let in_vain = |is_known| InVain {
            is_known,
            asked: !is_known,
            ..InVain::of(Reason::new("AWAY", "no answer"))
        };
        if !self.calm && chance.percent(20) {
            // It did not get there.
            if chance.percent(50) {
                let record = &mut self.records[at];
                let events = service.tried(record, step, in_vain(true), now).unwrap();
                self.publish(events);
            }
            return;
        }
        let is_done = *self.elsewhere.entry(step).or_insert_with(|| {
            let is_done = self.calm || chance.percent(85);
            if is_done {
                self.ledger.push((name.clone(), Direction::Action));
            }
            is_done
        });
        if !self.calm && chance.percent(20) {
            // The answer is lost, or whoever waited for it has died.
            if chance.percent(50) {
                let record = &mut self.records[at];
                let events = service.tried(record, step, in_vain(false), now).unwrap();
                assert!(events.is_empty(), "nothing is given up of which nothing is known");
            }
            return;
        }
        let answered = if is_done {
            let result = format!("{{\"ref\":\"{name}-1\"}}");
            Answered::Completed(RawValue::from_string(result).unwrap())
        } else {
            Answered::Refused(Reason::new("NO", "it cannot be"))
        };
        let events = service.answered(&mut self.records[at], step, answered, now).unwrap();
        self.publish(events);
    }

    fn has_ended(&self) -> bool {
        self.under_way.iter().all(Vec::is_empty)
            && self
                .records
                .iter()
                .all(|record| matches!(record.state(), State::Completed | State::Failed))
    }
}

struct Attributes(Vec<(String, String)>);

impl amends_wire::Headers for Attributes {
    fn value(&self, name: &str) -> Option<&str> {
        let bare = name.strip_prefix("ce-").unwrap_or(name);
        self.0.iter().find(|(known, _)| known == bare).map(|(_, value)| &**value)
    }
}

#[test]
fn every_saga_ends_all_done_or_all_undone_at_every_service_alike() {
    let of = order();
    let mut ends: BTreeMap<End, u32> = BTreeMap::new();
    let mut said = BTreeSet::new();
    for seed in 0..1_500 {
        let mut chance = Chance(seed);
        let mut world = World::new(of.clone(), &mut chance);
        let data = format!("{{\"total\":5,\"physical\":{}}}", chance.percent(50));
        let started = of.start(SAGA, "OrderService", &data, world.now).unwrap();
        world.publish(vec![started]);
        if chance.percent(10) {
            let why = Reason::new("CANCELLED", "the customer rang");
            world.publish(vec![of.cancel(SAGA, "OrderService", why, world.now)]);
        }
        for _ in 0..chance.below(400) {
            world.step(&mut chance);
        }
        world.calm = true;
        let mut steps = 0;
        while !world.has_ended() {
            world.step(&mut chance);
            steps += 1;
            assert!(steps < 100_000, "seed {seed} does not end: {:#?}", world.records);
        }
        let end = world.judge(seed);
        world.overhear(seed, &mut chance);
        *ends.entry(end).or_default() += 1;
        said.extend(world.said);
    }
    // Where nothing fails, nothing is seen.
    assert!(ends.values().all(|&n| n > 150), "{ends:?}");
    for word in [
        "ReserveInventoryCompleted None",
        "ReserveInventoryCompensated None",
        "ReserveInventoryNeverRan Some(\"NO\")",
        "QuoteShippingSkipped None",
        "ChargePaymentNeverRan None",
        "ChargePaymentNeverRan Some(\"LOCKED\")",
        "CreateShipmentCompensated None",
        "SendConfirmationNeverRan Some(\"NO\")",
        "CloseOrderNeverRan None",
        "SagaFailed Some(\"CANCELLED\")",
        "SagaFailed Some(\"DEADLINE\")",
        "SagaFailed Some(\"LOCKED\")",
        "SagaFailed Some(\"AWAY\")",
    ] {
        assert!(said.contains(word), "{word} was never said: {said:#?}");
    }
}

impl World {
    /// Who only listens comes to the same end, in whatever order and however often it hears all this.
    fn overhear(&self, seed: u64, chance: &mut Chance) {
        let (of, definition) = (self.of.choreography(), self.of.choreography().definition());
        let started = Started {
            saga_id: amends_core::SagaId(SAGA.0),
            pinned: Pinned { saga_type: definition.saga_type().clone(), version: 1, hash: [0; 32] },
            steps: definition.steps().len() as u8,
            data: "{}".into(),
            business_key: None,
            deadline: None,
            choreographed: true,
        };
        let (mut saga, mut facts) = Observing::begin(started, Time(0));
        let mut left = self.overheard.clone();
        let mut now = Time(0);
        while !left.is_empty() {
            let which = chance.below(left.len() as u64) as usize;
            let twice = chance.percent(20);
            let event = if twice { left[which].clone() } else { left.swap_remove(which) };
            now = now + Millis(chance.below(20_000));
            let hears = |saga: &mut Saga, facts: &mut Vec<_>| {
                let report = self.of.report(&event).unwrap();
                Observing::new(of, saga, now, facts).hear(report)
            };
            hears(&mut saga, &mut facts).unwrap_or_else(|why| panic!("seed {seed}: {why:?}"));
            let (as_it_is, known) = (saga.clone(), facts.len());
            hears(&mut saga, &mut facts).unwrap();
            assert_eq!((&saga, facts.len()), (&as_it_is, known), "seed {seed}: heard twice");
            Observing::new(of, &mut saga, now, &mut facts)
                .tick(chance.percent(30), chance.percent(30));
        }
        let end = match self.records[0].state() {
            State::Completed => Observed::Completed,
            _ => Observed::Failed,
        };
        assert_eq!(saga.state, end, "seed {seed}: it saw another end: {saga:#?}");
        assert_eq!(saga.attention, [], "seed {seed}");
        for (run, state) in saga.runs() {
            let name = &definition.step(run.step).name;
            let stands = self.ledger.iter().filter(|(step, _)| **step == **name).count() == 1;
            assert_eq!(state.status == Status::Completed, stands, "seed {seed}: {name} {state:?}");
        }
    }

    fn judge(&self, seed: u64) -> End {
        let states: BTreeSet<&str> = self.records.iter().map(|r| r.state().as_str()).collect();
        assert_eq!(states.len(), 1, "seed {seed}: the services do not agree: {states:?}");
        let end = self.records[0].state();
        let mut stands: Vec<&str> = Vec::new();
        let mut undone = BTreeSet::new();
        for (name, direction) in &self.ledger {
            match direction {
                Direction::Action => {
                    assert!(!stands.contains(&&**name), "seed {seed}: {name} was done twice");
                    assert!(!undone.contains(name), "seed {seed}: {name} was done after its undo");
                    stands.push(name);
                }
                Direction::Compensation => {
                    let at = stands.iter().position(|step| step == name);
                    let at = at.unwrap_or_else(|| panic!("seed {seed}: {name} undone twice"));
                    let after = |step: &&str| self.precedes(name, step) && self.has_undo(step);
                    assert!(
                        !stands[at..].iter().any(after),
                        "seed {seed}: {name} before what followed"
                    );
                    stands.remove(at);
                    undone.insert(name.clone());
                }
            }
        }
        match end {
            State::Completed => {
                assert!(undone.is_empty(), "seed {seed}: complete, and {undone:?} undone");
                for step in
                    ["reserve_inventory", "charge_payment", "create_shipment", "close_order"]
                {
                    assert!(stands.contains(&step), "seed {seed}: complete without {step}");
                }
            }
            State::Failed => {
                let left: Vec<_> = stands.iter().filter(|step| self.has_undo(step)).collect();
                assert!(left.is_empty(), "seed {seed}: failed, and {left:?} stands");
            }
            State::Running | State::Compensating => panic!("seed {seed}: no end"),
        }
        end.as_str()
    }

    fn precedes(&self, before: &str, after: &str) -> bool {
        let definition = self.of.choreography().definition();
        let named = |name: &str| {
            definition.indices().find(|&ix| &*definition.step(ix).name == name).unwrap()
        };
        definition.descendants(named(before)).contains(named(after))
    }

    fn has_undo(&self, step: &str) -> bool {
        let definition = self.of.choreography().definition();
        definition.steps().iter().any(|s| &*s.name == step && s.compensation().is_some())
    }
}
