//! What is asked of a service outside of any saga: a command that it does not have, and a body that is
//! none.

use std::sync::Arc;
use std::time::Duration;

use amends_transport::{Outgoing, Patience, Ticket};
use amends_wire::{CommandBody, Direction, FailureCodes};
use bytes::Bytes;

use super::exchange::{Circumstance, Exchange};
use super::participants::Participants;

/// A command that no service has.
const UNKNOWN: &str = "NoSuchCommandOfTheRehearsal";

/// A body that is cut off.
const GARBAGE: &[u8] = b"{\"amends\": \"a rehears";

/// Under which step the probes go.
const STEP: &str = "rehearsal";

/// Asks a service for both; `command` is one that it has.
pub async fn probe(
    participants: &Participants,
    service: &str,
    command: &str,
    saga_type: &str,
    saga_id: u128,
) -> Vec<Exchange> {
    let outgoing = |command: &str, body: Bytes| Outgoing {
        ticket: Ticket {
            saga_id,
            step: 0,
            run: 0,
            direction: Direction::Action,
            round: 1,
            attempt: 1,
        },
        service: service.into(),
        command: command.into(),
        saga_type: saga_type.into(),
        step_name: STEP.into(),
        body,
        deadline_unix_ms: u64::from(u32::MAX) * 1_000,
        patience: Patience { timeout: Duration::MAX, keep_open_for: Duration::MAX },
        another_sending_open: false,
        reply_to: None,
        causation_id: None,
        traceparent: None,
        codes: Arc::new(FailureCodes::default()),
    };
    let unknown = format!("{service}.{UNKNOWN}");
    let body = CommandBody {
        saga_id: amends_wire::SagaId(saga_id),
        saga_type,
        step_name: STEP,
        command: &unknown,
        round: 1,
        data: b"{}",
        flat: true,
        undo: None,
    };
    let body = body.render().unwrap_or_default();
    let mut log = vec![
        participants.ask(outgoing(&unknown, body), Circumstance::UnknownCommand).await,
        participants
            .ask(outgoing(command, Bytes::from_static(GARBAGE)), Circumstance::Garbage)
            .await,
    ];
    participants.settle(&mut log);
    log
}
