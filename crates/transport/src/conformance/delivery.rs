//! What arrives at the participant.

use bytes::Bytes;

use super::stage::{Gate, Stage, action, echoes};
use super::{Said, Subject};
use crate::contract::Outgoing;

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
    let stage = Stage::new(subject, participant).await;
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
