//! What arrives at the participant.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::stage::{Gate, Stage, action, echoes, undo, within};
use super::{Said, Subject};
use crate::contract::{Delivery, Outgoing, Ticket};

/// A shard waits for its journal and for nothing else: not for a participant, and it may run anywhere.
pub async fn a_sending_is_taken_at_once_from_any_thread(subject: &dyn Subject) {
    let (mut gate, participant) = Gate::shut(Said::Completed(None));
    let mut stage = Stage::new(subject, participant).await;
    let (transport, replies) = (Arc::clone(&stage.transport), stage.replies());
    let (taken, is_taken) = oneshot::channel();
    std::thread::spawn(move || {
        transport.send(action(1, b"{}"), replies);
        let _ = taken.send(()); // the case has failed
    });
    within(is_taken).await.expect("a sending needs no runtime around it");
    gate.arrival().await;
    gate.open.add_permits(1);
    assert_eq!(stage.ended().await, (1, super::outcomes::completed(None)));
    assert_eq!(stage.rest().await, []);
}

/// Step, run, direction, round and attempt as they were sent: the engine ends that attempt.
pub async fn an_ending_names_its_own_sending(subject: &dyn Subject) {
    if !subject.capabilities().own_exchange {
        return;
    }
    let mut stage = Stage::new(subject, echoes()).await;
    for (saga, attempt) in [(1, 1), (1, 2), (2, 7)] {
        for mut outgoing in [action(saga, b"{}"), undo(saga)] {
            outgoing.ticket = Ticket { step: 3, run: 5, round: 2, attempt, ..outgoing.ticket };
            stage.send(outgoing.clone());
            let Delivery::Ended { ticket, .. } = stage.delivered().await else {
                panic!("a sending with an exchange of its own ends in it");
            };
            assert_eq!(ticket, outgoing.ticket);
        }
    }
    assert_eq!(stage.rest().await, []);
}

/// The bytes that were made durable are the bytes that arrive: numbers, space and order.
pub async fn a_command_arrives_byte_for_byte(subject: &dyn Subject) {
    let (mut gate, participant) = Gate::shut(Said::Completed(None));
    let stage = Stage::new(subject, participant).await;
    let outgoing =
        action(1, "{ \"n\": 1.500,\n\"n\":12345678901234567890, \"t\":\"é\\u0000\"}".as_bytes());
    stage.send(outgoing.clone());
    assert_eq!(gate.arrival().await.body, outgoing.body);
}

/// Attempt, deadline, reply address and trace differ between sendings, and come beside the body.
pub async fn facts_of_a_sending_arrive_beside_the_body(subject: &dyn Subject) {
    let (mut gate, participant) = Gate::shut(Said::Completed(None));
    let mut stage = Stage::new(subject, participant).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut outgoing = Outgoing {
        reply_to: Some("http://127.0.0.1:9/v1/replies/abc-_".to_owned()),
        traceparent: Some(trace.to_owned()),
        ..action(1, b"{}")
    };
    outgoing.ticket.attempt = 7;
    stage.send(outgoing.clone());
    let seen = gate.arrival().await;
    assert_eq!(seen.attempt, 7);
    assert_eq!(seen.deadline, "2023-11-14T22:13:20.000Z");
    assert_eq!(seen.reply_to, outgoing.reply_to);
    assert_eq!(seen.traceparent.as_deref(), Some(trace));
    // What is open beside it has facts of its own. It is another saga's: a broker that keeps order may
    // bring a saga's next command when the one before it is settled.
    let mut beside = action(2, b"{}");
    beside.ticket.attempt = 3;
    beside.deadline_unix_ms += 1;
    stage.send(beside);
    let other = gate.arrival().await;
    assert_eq!((other.attempt, &*other.deadline), (3, "2023-11-14T22:13:20.001Z"));
    assert_eq!((other.reply_to, other.traceparent), (None, None));
    gate.open.add_permits(2);
    let ended = [stage.ended().await.0, stage.ended().await.0];
    assert_eq!(ended.iter().sum::<u128>(), 3, "one of each saga");
    outgoing.ticket.attempt = 8;
    outgoing.reply_to = None;
    outgoing.traceparent = None;
    stage.send(outgoing.clone());
    let again = gate.arrival().await;
    assert_eq!((again.attempt, again.reply_to, again.traceparent), (8, None, None));
    assert_eq!(again.body, seen.body, "two sendings of one command must be byte-equal");
}

/// The largest input that a definition allows.
pub async fn large_bodies_arrive_whole(subject: &dyn Subject) {
    let mut stage = Stage::new(subject, echoes()).await;
    let data = format!("\"{}\"", "x".repeat(256 * 1024));
    let outcome = stage.exchange(action(1, data.as_bytes())).await;
    assert_eq!(outcome, super::outcomes::completed(Some(Bytes::from(data))));
}

/// A command that is not answered holds up no other.
pub async fn sendings_run_side_by_side(subject: &dyn Subject) {
    const SENDINGS: u128 = 64;
    let (mut gate, participant) = Gate::shut(Said::Completed(None));
    let mut stage = Stage::new(subject, participant).await;
    for saga in 0..SENDINGS {
        stage.send(action(saga, b"{}"));
    }
    for _ in 0..SENDINGS {
        gate.arrival().await;
    }
    gate.open.add_permits(SENDINGS as usize);
    for _ in 0..SENDINGS {
        stage.ended().await;
    }
}
