//! The shop that the tests run: in-process participants with a ledger, and an engine around them.
//!
//! A participant does what the data tells it: `{"Payment.Charge": "refuse"}`.

#![allow(dead_code)] // each test binary uses a part of it

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_core::{Saga, SagaId};
use amends_definition::{Surroundings, check};
use amends_engine::{Ask, Binder, Carrier, Deployment, Engine, Handle, Options, SagaVerb, Start};
use amends_store::memory::Disk;
use amends_transport::{Answer, CommandView, Fail, InProcess, Transport};
use serde_json::{Value as Json, json};

/// What the participants did and were asked, in order.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Vec<Entry>>>);

/// One thing that a participant did.
#[derive(Clone, Debug)]
pub struct Entry {
    pub saga: String,
    pub step: String,
    pub command: String,
    pub key: String,
    pub body: bytes::Bytes,
    /// False when it was asked and did nothing.
    pub done: bool,
}

impl Ledger {
    fn note(&self, command: &CommandView, done: bool) {
        self.0.lock().unwrap().push(Entry {
            saga: command.saga_id(),
            step: command.step_name().to_owned(),
            command: command.command().to_owned(),
            key: command.idempotency_key(),
            body: command.body().clone(),
            done,
        });
    }

    /// Everything that was asked for a saga.
    pub fn asked(&self, saga: SagaId) -> Vec<Entry> {
        let saga = saga.to_string();
        self.0.lock().unwrap().iter().filter(|entry| entry.saga == saga).cloned().collect()
    }

    /// How often a command was asked for, over all sagas.
    pub fn asked_in_all(&self, command: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|entry| entry.command == command).count()
    }

    /// The commands that were carried out for a saga.
    pub fn done(&self, saga: SagaId) -> Vec<String> {
        self.asked(saga).into_iter().filter(|e| e.done).map(|e| e.command).collect()
    }
}

struct Local {
    transport: Arc<dyn Transport>,
    answers_by_message: bool,
}

impl Binder for Local {
    fn bind(&self, service: &str, _: &amends_definition::Binding) -> Option<Carrier> {
        let transport = Arc::clone(&self.transport);
        let carrier = Carrier { transport, answers_by_message: self.answers_by_message };
        (service != "Nobody").then_some(carrier)
    }
}

const COMMANDS: [&str; 8] = [
    "Inventory.Reserve",
    "Inventory.Release",
    "Payment.Charge",
    "Payment.Refund",
    "Shipping.Create",
    "Shipping.Cancel",
    "Mail.Send",
    "Mail.Recall",
];

/// The participants of the shop.
pub fn participants(ledger: &Ledger) -> Arc<dyn Binder> {
    let transport = transport(ledger);
    Arc::new(Local { transport, answers_by_message: false })
}

/// The same, whose answers come by message, as over a broker; one that hangs is still to come.
pub fn participants_by_message(ledger: &Ledger) -> Arc<dyn Binder> {
    let transport = transport(ledger);
    Arc::new(Local { transport, answers_by_message: true })
}

fn transport(ledger: &Ledger) -> Arc<dyn Transport> {
    let mut transport = InProcess::new(tokio::runtime::Handle::current());
    for command in COMMANDS {
        let ledger = ledger.clone();
        transport = transport.handle(command, move |command: CommandView| {
            let ledger = ledger.clone();
            async move { carry_out(&ledger, &command).await }
        });
    }
    Arc::new(transport)
}

async fn carry_out(ledger: &Ledger, command: &CommandView) -> Result<Answer, Fail> {
    let data: HashMap<String, Json> = command.data_as()?;
    let told = data.get(command.command()).and_then(Json::as_str).unwrap_or("do");
    let (what, times) = told.split_once(' ').unwrap_or((told, "1000000"));
    let early = command.attempt() <= times.parse::<u32>().unwrap_or(u32::MAX);
    match what {
        "refuse" => {
            ledger.note(command, false);
            Err(Fail::refused_with("NO", "refused as asked"))
        }
        "busy" if early => {
            ledger.note(command, false);
            Err(Fail::transient("busy as asked"))
        }
        "hang" if early => {
            ledger.note(command, false);
            std::future::pending().await
        }
        "late" if early => {
            tokio::time::sleep(Duration::from_secs(15)).await;
            ledger.note(command, true);
            Ok(Answer::from(json!({ "done": command.command() })))
        }
        "later" => {
            ledger.note(command, true);
            Ok(Answer::Accepted)
        }
        _ => {
            ledger.note(command, true);
            Ok(Answer::from(json!({ "done": command.command() })))
        }
    }
}

/// An engine on a disk, with one definition.
pub async fn engine(disk: &Disk, ledger: &Ledger, definition: &str) -> Engine {
    engine_with(disk, participants(ledger), definition).await
}

/// The same, with these participants.
pub async fn engine_with(disk: &Disk, binder: Arc<dyn Binder>, definition: &str) -> Engine {
    let engine = Engine::start(Options::default(), disk.open(), binder).await.unwrap();
    engine.handle().deploy(vec![deployment(definition)]).await.unwrap();
    engine
}

/// A checked definition.
pub fn deployment(definition: &str) -> Deployment {
    let checked = check(definition.as_bytes(), "order.yaml", &Surroundings::none());
    let compiled = checked.compiled.unwrap_or_else(|| panic!("{:?}", checked.findings));
    Deployment { compiled }
}

/// A start that does not wait.
pub fn order(data: Json) -> Start {
    Start {
        saga_type: "Order".into(),
        version: None,
        data: data.to_string().into(),
        idempotency_key: None,
        wait: None,
    }
}

/// Starts a saga.
pub async fn begin(handle: &Handle, data: Json) -> SagaId {
    handle.start(order(data)).await.unwrap().snapshot.saga.id
}

/// The saga at its end.
pub async fn end(handle: &Handle, saga: SagaId) -> Arc<Saga> {
    let month = Duration::from_secs(31 * 24 * 3600);
    let ended = handle.wait(saga, month).await.unwrap().expect("it was acknowledged").saga;
    assert!(ended.state.ended(), "{:?}", ended.state);
    ended
}

/// Starts a saga and waits for its end.
pub async fn run(handle: &Handle, data: Json) -> Arc<Saga> {
    let saga = begin(handle, data).await;
    end(handle, saga).await
}

/// The saga now.
pub async fn look(handle: &Handle, saga: SagaId) -> Arc<Saga> {
    handle.get(saga).await.unwrap().expect("it was acknowledged").saga
}

/// A verb of an operator's.
pub fn verb(verb: SagaVerb) -> Ask {
    Ask::Verb { verb, by: "me".into(), reason: "test".into() }
}
