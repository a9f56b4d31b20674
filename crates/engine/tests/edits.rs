//! What an operator gave a step is what its undo is about, too (`semantics.md` section 5, compensation).

mod shop;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amends_core::saga::State;
use amends_definition::Binding;
use amends_engine::{Binder, Carrier, SagaVerb};
use amends_store::memory::Disk;
use amends_transport::{Closing, Outgoing, Replies, Transport};
use amends_wire::Outcome;
use serde_json::{Value, json};
use shop::{Ledger, begin, end, engine_with, look, participants, verb};

const ORDER: &str = r#"
saga: Order
steps:
  - { name: pay, action: Payment.Charge, compensation: Payment.Refund }
  - { name: ship, action: Shipping.Create, compensation: Shipping.Cancel }
services:
  Payment: { fence: barrier }
  Shipping: { fence: barrier }
"#;

/// The way to the participants, which may be shut: then no command leaves.
struct Gate {
    within: Arc<dyn Binder>,
    shut: Arc<AtomicBool>,
}

struct Gated {
    way: Arc<dyn Transport>,
    shut: Arc<AtomicBool>,
}

impl Binder for Gate {
    fn bind(&self, service: &str, binding: &Binding) -> Option<Carrier> {
        let carrier = self.within.bind(service, binding)?;
        let (way, shut) = (carrier.transport, Arc::clone(&self.shut));
        Some(Carrier { transport: Arc::new(Gated { way, shut }), ..carrier })
    }
}

impl Transport for Gated {
    fn send(&self, outgoing: Outgoing, replies: Replies) {
        if self.shut.load(Ordering::SeqCst) {
            return replies.end(outgoing.ticket, Outcome::not_sent("the way is shut"));
        }
        self.way.send(outgoing, replies);
    }

    fn close(&self, grace: Duration) -> Closing {
        self.way.close(grace)
    }
}

#[tokio::test(start_paused = true)]
async fn the_undo_of_an_edited_step_carries_what_the_step_was_given() {
    let (ledger, shut) = (Ledger::default(), Arc::new(AtomicBool::new(true)));
    let gate = Gate { within: participants(&ledger), shut: Arc::clone(&shut) };
    let engine = engine_with(&Disk::new(), Arc::new(gate), ORDER).await;
    let handle = engine.handle();
    let saga = begin(&handle, json!({"amount": 5, "Shipping.Create": "refuse"})).await;
    let never_left = || async {
        let saga = look(&handle, saga).await;
        saga.runs()
            .any(|(_, run)| run.action.as_ref().is_some_and(|a| a.attempts > 0 && a.left == 0))
    };
    while !never_left().await {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let body = r#"{"amount": 7}"#;
    let edit = SagaVerb::Edit { step: "pay".into(), body: body.into(), force: true };
    handle.ask(saga, verb(edit), None).await.unwrap();
    shut.store(false, Ordering::SeqCst);
    assert_eq!(end(&handle, saga).await.state, State::Failed);
    let data = |command: &str| {
        let asked = ledger.asked(saga).into_iter().find(|entry| entry.command == command);
        let body: Value = serde_json::from_slice(&asked.expect(command).body).unwrap();
        body["data"].clone()
    };
    assert_eq!(data("Payment.Charge"), json!({"amount": 7}));
    assert_eq!(data("Payment.Refund"), json!({"amount": 7}), "it undoes what was done");
    engine.stop().await;
}
