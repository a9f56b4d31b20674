//! The participants of a rehearsal: a transport that hands every command to the test.

use std::sync::mpsc;
use std::time::Duration;

use amends_definition::Binding;
use amends_engine::{Binder, Carrier};
use amends_transport::{Closing, Outgoing, Replies, Transport};
use amends_wire::Direction;
use serde_json::Value;

/// A command that was sent.
#[derive(Clone, Debug)]
pub struct Command {
    pub(super) outgoing: Outgoing,
    pub(super) replies: Replies,
}

impl Command {
    /// Its full name: `Stock.Reserve`.
    pub fn name(&self) -> &str {
        &self.outgoing.command
    }

    /// Its step; a run of a `for_each` step is named `<step>.<i>`.
    pub fn step(&self) -> &str {
        &self.outgoing.step_name
    }

    /// Is it the undo of its step?
    pub fn is_undo(&self) -> bool {
        self.outgoing.ticket.direction == Direction::Compensation
    }

    /// Is it the action of this step, or of one of its runs?
    pub fn is_action_of(&self, step: &str) -> bool {
        let own = self.step().split_once('.').map_or(self.step(), |(own, _)| own);
        !self.is_undo() && (own == step || self.step() == step)
    }

    /// Which attempt it is, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.outgoing.ticket.attempt
    }

    /// Its idempotency key: the same at every attempt.
    pub fn idempotency_key(&self) -> String {
        self.outgoing.idempotency_key()
    }

    /// Its whole body, as a participant gets it.
    pub fn body(&self) -> Value {
        serde_json::from_slice(&self.outgoing.body).unwrap_or_default()
    }

    /// Its data: the step's `input`, or the saga's data.
    pub fn data(&self) -> Value {
        self.body()["data"].take()
    }
}

/// Every service, played by the test.
#[derive(Clone)]
pub struct Script(mpsc::Sender<Command>);

impl Script {
    /// A script, and where its commands come out.
    pub fn new() -> (Self, mpsc::Receiver<Command>) {
        let (send, sent) = mpsc::channel();
        (Self(send), sent)
    }
}

impl Transport for Script {
    fn send(&self, outgoing: Outgoing, replies: Replies) {
        let _ = self.0.send(Command { outgoing, replies }); // the test is over
    }

    fn close(&self, _: Duration) -> Closing {
        Box::pin(std::future::ready(()))
    }
}

impl Binder for Script {
    fn bind(&self, _: &str, _: &Binding) -> Option<Carrier> {
        Some(Carrier { transport: std::sync::Arc::new(self.clone()), answers_by_message: false })
    }
}
