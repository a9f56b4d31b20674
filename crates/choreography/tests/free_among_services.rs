//! Services of a free choreography among themselves: events late, twice and out of order, actions that are
//! refused or come to nothing, records that are stored and read back at every step. Each run must keep what
//! `amends check` has promised of the file (A146 to A151).

mod chance;

use std::collections::{BTreeMap, BTreeSet};

use amends_choreography::free::{Answered, Event, FreeChoreography, Record, Service, Task};
use amends_choreography::{InVain, Moment, Reason, State};
use amends_core::{Millis, Time};
use amends_wire::{Direction, SagaId};
use serde_json::value::RawValue;

use chance::Chance;

const SAGA: SagaId = SagaId(7);

/// A choreography, and what its file says that must hold of each run.
struct Case {
    of: FreeChoreography,
    data: &'static str,
    /// What an action returns.
    result: &'static str,
    /// Actions that a run which fails leaves undone, each after those that are built on it.
    undoable: &'static [(&'static str, &'static [&'static str])],
    /// Actions that a run which succeeds has done.
    required: &'static [&'static str],
    /// What is seen in so many runs; where it is not, nothing is tried.
    seen: &'static [&'static str],
}

fn order() -> Case {
    let file = include_bytes!("../../../examples/order/order.choreography.yaml");
    Case {
        of: FreeChoreography::read(file, "order.choreography.yaml").unwrap(),
        data: r#"{"order_id":"17","items":["A-1"],"total_amount":42.50,"shipping_address":"here"}"#,
        result: r#"{"reservation_id":"R-1","payment_id":"P-1","tracking_number":"T-1","own":1}"#,
        undoable: &[
            ("InventoryService.ReserveInventory", &["PaymentService.ProcessPayment"]),
            ("PaymentService.ProcessPayment", &["ShippingService.CreateShipment"]),
            ("ShippingService.CreateShipment", &[]),
        ],
        required: &[
            "InventoryService.ReserveInventory",
            "PaymentService.ProcessPayment",
            "ShippingService.CreateShipment",
        ],
        seen: &["InventoryFailed", "PaymentFailed", "ShipmentFailed", "OrderFulfilled"],
    }
}

/// Two bookings side by side, joined, and undone while they may still come.
fn travel() -> Case {
    let file = include_str!("../../definition/tests/free/travel.yaml");
    let said = ["TripFailed", "BothCancelled", "FlightGone", "HotelGone"];
    let file = said.iter().fold(file.to_owned(), |file, event| {
        let then = format!("    then: {event}\n");
        file.replace(&then, &format!("{then}    by: Cars\n"))
    });
    Case {
        of: FreeChoreography::read(file.as_bytes(), "travel.yaml").unwrap(),
        data: "{}",
        result: "null",
        undoable: &[
            ("Flights.Book", &["Cars.Rent"]),
            ("Hotels.Book", &["Cars.Rent"]),
            ("Cars.Rent", &[]),
        ],
        required: &["Flights.Book", "Hotels.Book", "Cars.Rent"],
        seen: &["FlightGone", "HotelGone", "BothCancelled", "TripBooked"],
    }
}

/// All services, and what is on its way to each.
struct World<'c> {
    case: &'c Case,
    services: Vec<Service>,
    records: Vec<Record>,
    under_way: Vec<Vec<Event>>,
    now: Time,
    /// What was done, in order: the truth, outside of all records.
    ledger: Vec<(String, Direction)>,
    said: Vec<Event>,
    /// Failures are over: what is tried succeeds.
    calm: bool,
}

impl<'c> World<'c> {
    fn new(case: &'c Case) -> Self {
        let services: Vec<Service> = case
            .of
            .services()
            .iter()
            .map(|name| case.of.service(name).with_attempts_max(3))
            .collect();
        let records = services.iter().map(|_| Record::new(case.of.name(), SAGA)).collect();
        let under_way = services.iter().map(|_| Vec::new()).collect();
        let (ledger, said) = (Vec::new(), Vec::new());
        Self { case, services, records, under_way, now: Time(1_000_000), ledger, said, calm: false }
    }

    fn publish(&mut self, events: Vec<Event>) {
        for event in events {
            // As it travels.
            let message = event.message();
            let read = Event::read(&Attributes(message.attributes), &message.body).unwrap();
            assert_eq!(read.message().body, message.body);
            self.under_way.iter_mut().for_each(|queue| queue.push(read.clone()));
            self.said.push(read);
        }
    }

    fn step(&mut self, chance: &mut Chance) {
        let at = chance.below(self.services.len() as u64) as usize;
        match chance.below(10) {
            0..=4 => self.hear(at, chance),
            5..=8 => self.work(at, chance),
            _ => self.now = self.now + Millis(chance.below(20_000)),
        }
        // As another copy of the service reads it.
        let text = self.records[at].to_json();
        self.records[at] = Record::from_json(SAGA, &text).unwrap();
        assert_eq!(self.records[at].to_json(), text);
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
        self.services[at].hear(&mut self.records[at], &event).unwrap();
    }

    fn moment(&self) -> Moment {
        Moment { at: self.now, heard: self.now, jitter: 1 << 31 }
    }

    fn work(&mut self, at: usize, chance: &mut Chance) {
        let (service, now) = (self.services[at].clone(), self.moment());
        let advance = service.advance(&mut self.records[at], now);
        self.publish(advance.events);
        if advance.asks.is_empty() {
            return;
        }
        let (task, body) = &advance.asks[chance.below(advance.asks.len() as u64) as usize];
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        assert_eq!(body["step_name"], service.action(*task));
        let answered = match task.direction {
            _ if !self.calm && chance.percent(20) => {
                let in_vain =
                    InVain { is_known: chance.percent(50), ..InVain::of(Reason::new("AWAY", "")) };
                let events = service.tried(&mut self.records[at], *task, in_vain, now);
                return self.publish(events);
            }
            Direction::Compensation => {
                let anything = self.stands(&service.action(*task));
                if anything {
                    assert_eq!(body["outcome"], "completed");
                    assert_eq!(body["original_result"].to_string(), self.result().to_string());
                }
                Answered::Undone { anything }
            }
            Direction::Action if !self.calm && chance.percent(15) => {
                Answered::Refused(Reason::new("NO", "it cannot be"))
            }
            Direction::Action => {
                Answered::Completed(RawValue::from_string(self.case.result.to_owned()).unwrap())
            }
        };
        self.answer(at, &service, *task, answered);
    }

    fn answer(&mut self, at: usize, service: &Service, task: Task, answered: Answered) {
        if matches!(answered, Answered::Completed(_) | Answered::Undone { anything: true }) {
            self.ledger.push((service.action(task), task.direction));
        }
        let now = self.moment();
        let events = service.answered(&mut self.records[at], task, answered, now).unwrap();
        self.publish(events);
    }

    fn result(&self) -> serde_json::Value {
        serde_json::from_str(self.case.result).unwrap()
    }

    fn stands(&self, action: &str) -> bool {
        let of_it = self.ledger.iter().filter(|(name, _)| name == action);
        of_it
            .map(|(_, direction)| if *direction == Direction::Action { 1 } else { -1 })
            .sum::<i32>()
            == 1
    }

    fn is_over(&self) -> bool {
        let is_idle = |(service, record): (&Service, &Record)| {
            let mut record = record.clone();
            let advance = service.advance(&mut record, self.moment());
            advance.events.is_empty() && service.wakes_at(&record, self.now).is_none()
        };
        self.under_way.iter().all(Vec::is_empty)
            && self.services.iter().zip(&self.records).all(is_idle)
    }

    fn judge(&self, seed: u64) -> State {
        let of = &self.case.of;
        let has_said = |name: &str| self.said.iter().any(|event| event.name == name);
        let (done, undone) = (has_said(of.done()), has_said(of.undone()));
        assert!(done != undone, "seed {seed}: done {done}, undone {undone}: A147, A148");
        let end = if done { State::Completed } else { State::Failed };
        for (service, record) in self.services.iter().zip(&self.records) {
            assert_eq!(service.state(record), end, "seed {seed}: {} does not know", service.name());
        }
        let (mut stands, mut reversed): (Vec<&str>, BTreeSet<&str>) = Default::default();
        for (name, direction) in &self.ledger {
            let name = name.as_str();
            match direction {
                Direction::Action => {
                    assert!(!stands.contains(&name), "seed {seed}: {name} was done twice");
                    assert!(
                        !reversed.contains(name),
                        "seed {seed}: {name} was done after its undo"
                    );
                    stands.push(name);
                }
                Direction::Compensation => {
                    assert!(stands.contains(&name), "seed {seed}: {name} was undone for nothing");
                    stands.retain(|stands| *stands != name);
                    reversed.insert(name);
                    let (_, built) = self.case.undoable.iter().find(|(of, _)| *of == name).unwrap();
                    let early = built.iter().find(|built| stands.contains(built));
                    assert!(early.is_none(), "seed {seed}: {name} before {early:?}: A149");
                }
            }
        }
        if done {
            assert!(reversed.is_empty(), "seed {seed}: done, and {reversed:?} undone: A150");
            let left_out = self.case.required.iter().find(|action| !stands.contains(action));
            assert!(left_out.is_none(), "seed {seed}: done without {left_out:?}: A151");
        } else {
            let left =
                stands.iter().find(|name| self.case.undoable.iter().any(|(of, _)| of == *name));
            assert!(left.is_none(), "seed {seed}: undone, and {left:?} stands: A146");
        }
        end
    }
}

struct Attributes(Vec<(String, String)>);

impl amends_wire::Headers for Attributes {
    fn value(&self, name: &str) -> Option<&str> {
        let bare = name.strip_prefix("ce-").unwrap_or(name);
        self.0.iter().find(|(known, _)| known == bare).map(|(_, value)| &**value)
    }
}

fn many_runs_of(case: &Case) {
    let mut ends: BTreeMap<&str, u32> = BTreeMap::new();
    let mut said: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..2_000 {
        let mut chance = Chance(seed);
        let mut world = World::new(case);
        let started = world.services[0].start(SAGA, case.data, world.now).unwrap();
        world.publish(vec![started]);
        for _ in 0..chance.below(200) {
            world.step(&mut chance);
        }
        world.calm = true;
        let mut steps = 0;
        while !world.is_over() {
            world.step(&mut chance);
            steps += 1;
            assert!(steps < 100_000, "seed {seed} does not end: {:#?}", world.records);
        }
        *ends.entry(world.judge(seed).as_str()).or_default() += 1;
        let names: BTreeSet<String> = world.said.iter().map(|event| event.name.clone()).collect();
        names.into_iter().for_each(|name| *said.entry(name).or_default() += 1);
    }
    assert!(ends.len() == 2 && ends.values().all(|&n| n > 100), "{ends:?}");
    for event in case.seen {
        assert!(said.get(*event).is_some_and(|&n| n > 20), "{event} was hardly said: {said:?}");
    }
}

#[test]
fn every_order_ends_one_way_and_is_undone_whole() {
    many_runs_of(&order());
}

#[test]
fn every_trip_ends_one_way_and_is_undone_whole() {
    many_runs_of(&travel());
}
