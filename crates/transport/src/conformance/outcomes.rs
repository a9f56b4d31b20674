//! What a participant says is what is delivered.

use std::time::Duration;

use amends_wire::{Fault, Outcome};
use bytes::Bytes;

use super::stage::{Stage, action, says, undo};
use super::{Said, Subject};
use crate::contract::Outgoing;

pub(super) fn completed(result: Option<Bytes>) -> Outcome {
    Outcome::Completed { result, undone: None }
}

async fn comes_to(subject: &dyn Subject, outgoing: Outgoing, said: Said) -> Outcome {
    Stage::new(subject, says(said)).await.exchange(outgoing).await
}

fn refused(code: &str) -> Said {
    Said::Refused { code: code.to_owned(), message: "why".to_owned() }
}

fn transient(code: &str, retry_after: Option<Duration>) -> Said {
    Said::Transient { code: code.to_owned(), message: "why".to_owned(), retry_after }
}

/// Every word a participant has.
pub async fn each_outcome_is_told_as_it_was_said(subject: &dyn Subject) {
    let can = subject.capabilities();
    let result = Some(Bytes::from_static(b"{\"n\":1}"));
    let outcome = comes_to(subject, action(1, b"{}"), Said::Completed(result.clone())).await;
    assert_eq!(outcome, completed(result));
    let outcome = comes_to(subject, action(1, b"{}"), Said::Completed(None)).await;
    assert_eq!(outcome, completed(None));

    let error = Fault::coded("NO", "why");
    let outcome = comes_to(subject, action(1, b"{}"), refused("NO")).await;
    assert_eq!(outcome, Outcome::Refused { error });

    let wait = can.carries_retry_after.then_some(Duration::from_secs(3));
    let outcome = comes_to(subject, action(1, b"{}"), transient("BUSY", wait)).await;
    let error = Fault::coded("BUSY", "why");
    assert_eq!(outcome, Outcome::Transient { error, named: true, retry_after: wait });

    if can.own_exchange {
        let outcome = comes_to(subject, action(1, b"{}"), Said::Accepted).await;
        assert_eq!(outcome, Outcome::Accepted);
    }

    let outcome = comes_to(subject, undo(1), Said::Completed(None)).await;
    assert_eq!(outcome, completed(None));
    let outcome = comes_to(subject, undo(1), Said::Undone(true)).await;
    assert!(matches!(outcome, Outcome::Completed { undone: Some(true), .. }), "{outcome:?}");
    let outcome = comes_to(subject, undo(1), Said::Undone(false)).await;
    assert_eq!(outcome, Outcome::Gone { proven: true });
}

/// It is asked again instead.
pub async fn an_undo_cannot_be_refused(subject: &dyn Subject) {
    for code in ["NO", "LISTED_NO"] {
        let outcome = comes_to(subject, undo(1), refused(code)).await;
        let error = Fault::coded(code, "why");
        assert_eq!(outcome, Outcome::Transient { error, named: true, retry_after: None });
    }
}

/// Digits, space and duplicate keys included.
pub async fn a_result_comes_back_byte_for_byte(subject: &dyn Subject) {
    for text in ["{\"n\" : 1.500,\"n\":12345678901234567890}", "[]", "\"é\"", "0", "false"] {
        let result = Some(Bytes::from_static(text.as_bytes()));
        let outcome = comes_to(subject, action(1, b"{}"), Said::Completed(result.clone())).await;
        assert_eq!(outcome, completed(result));
    }
}

/// What the step lists under `failures` goes before the participant's own tone.
pub async fn a_listed_code_decides(subject: &dyn Subject) {
    let outcome = comes_to(subject, action(1, b"{}"), refused("LISTED_NO")).await;
    assert_eq!(outcome, Outcome::Refused { error: Fault::coded("LISTED_NO", "why") });
    let outcome = comes_to(subject, action(1, b"{}"), transient("LISTED_BUSY", None)).await;
    let error = Fault::coded("LISTED_BUSY", "why");
    assert_eq!(outcome, Outcome::Transient { error, named: true, retry_after: None });
}
