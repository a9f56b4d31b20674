//! Participants with a barrier: each keeps its answers and tombstones, as the rules ask of them, and
//! writes down when it did what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use amends_disk::Disk;
use amends_engine::{Binder, Carrier};
use amends_transport::{Answer, CommandView, Fail, InProcess, Transport};
use amends_wire::Direction;
use serde_json::{Value as Json, json};

const COMMANDS: [&str; 6] = [
    "Inventory.Reserve",
    "Inventory.Release",
    "Payment.Charge",
    "Payment.Refund",
    "Shipping.Create",
    "Shipping.Cancel",
];

/// A command as it came.
#[derive(Clone, Debug)]
struct Came {
    /// How many acts the disk had seen by then.
    moment: usize,
    saga: String,
    step: String,
    is_undo: bool,
    key: String,
    body: bytes::Bytes,
    refuses: bool,
}

/// What one step has done to the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// How often its action took effect.
    pub done: u32,
    /// How often it was undone.
    pub undone: u32,
}

#[derive(Default)]
struct Ledger {
    came: Vec<Came>,
    answers: BTreeMap<String, (bytes::Bytes, Result<Answer, Fail>)>,
    effects: BTreeMap<(String, String), Effects>,
    tombstones: Vec<(String, String)>,
    faults: Vec<String>,
}

/// The shop. Clones are the same one.
#[derive(Clone)]
pub struct Shop {
    ledger: Arc<Mutex<Ledger>>,
    disk: Disk,
}

impl Shop {
    /// An empty one, whose clock is what happens to the disk.
    pub fn beside(disk: &Disk) -> Self {
        Self { ledger: Arc::default(), disk: disk.clone() }
    }

    /// The shop as it was when the disk had seen so many acts, beside another disk.
    pub fn as_of(&self, moment: usize, disk: &Disk) -> Self {
        let shop = Self::beside(disk);
        let came = self.ledger().came.clone();
        for came in came.into_iter().filter(|came| came.moment <= moment) {
            let _ = shop.ledger().take(Came { moment: 0, ..came }); // it was answered then
        }
        shop
    }

    /// Its services, for an engine.
    pub fn binder(&self) -> Arc<dyn Binder> {
        let mut transport = InProcess::new(tokio::runtime::Handle::current());
        for command in COMMANDS {
            let shop = self.clone();
            transport = transport.handle(command, move |command: CommandView| {
                let shop = shop.clone();
                async move { shop.carry_out(&command) }
            });
        }
        Arc::new(Bound(Arc::new(transport)))
    }

    fn carry_out(&self, command: &CommandView) -> Result<Answer, Fail> {
        let data: BTreeMap<String, Json> = command.data_as()?;
        let came = Came {
            moment: self.disk.acts(),
            saga: command.saga_id(),
            step: command.step_name().to_owned(),
            is_undo: command.direction() == Direction::Compensation,
            key: command.idempotency_key(),
            body: command.body().clone(),
            refuses: data.get("refused").and_then(Json::as_str) == Some(command.command()),
        };
        self.ledger().take(came)
    }

    /// What the steps of a saga have done.
    pub fn effects(&self, saga: &str) -> BTreeMap<String, Effects> {
        let ledger = self.ledger();
        let of_it = ledger.effects.iter().filter(|((of, _), _)| of == saga);
        of_it.map(|((_, step), effects)| (step.clone(), *effects)).collect()
    }

    /// The sagas and steps that it was asked for.
    pub fn asked(&self) -> Vec<(String, String)> {
        self.ledger().came.iter().map(|came| (came.saga.clone(), came.step.clone())).collect()
    }

    /// Commands that broke a rule, in words.
    pub fn faults(&self) -> Vec<String> {
        self.ledger().faults.clone()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }
}

impl Ledger {
    fn take(&mut self, came: Came) -> Result<Answer, Fail> {
        self.came.push(came.clone());
        if let Some((body, answer)) = self.answers.get(&came.key) {
            if *body != came.body {
                self.faults.push(format!("{} came with two bodies (S4)", came.key));
            }
            return answer.clone();
        }
        let answer = self.judge(&came);
        self.answers.insert(came.key, (came.body, answer.clone()));
        answer
    }

    fn judge(&mut self, came: &Came) -> Result<Answer, Fail> {
        let place = (came.saga.clone(), came.step.clone());
        if came.is_undo {
            let effects = self.effects.entry(place.clone()).or_default();
            if effects.done > effects.undone {
                effects.undone += 1;
                return Ok(Answer::Undone);
            }
            self.tombstones.push(place);
            return Ok(Answer::Gone);
        }
        if came.refuses || self.tombstones.contains(&place) {
            return Err(Fail::refused("as the test wants it"));
        }
        self.effects.entry(place).or_default().done += 1;
        Ok(Answer::from(json!({ "of": came.step })))
    }
}

struct Bound(Arc<dyn Transport>);

impl Binder for Bound {
    fn bind(&self, _: &str, _: &amends_definition::Binding) -> Option<Carrier> {
        Some(Carrier { transport: Arc::clone(&self.0), answers_by_message: false })
    }
}
