//! A reply by name: plain, or in either form of CloudEvents.
//!
//! The first byte says which headers come with it; the rest is the body.

use amends_wire::{
    Direction, FAULT_CODE_BYTES_MAX, FAULT_MESSAGE_BYTES_MAX, FailureCodes, Fault, Outcome, Reply,
    json,
};
use bytes::Bytes;

use super::Target;

pub(super) const TARGET: Target =
    Target { name: "reply", what: "callback or message → reply → outcome", run, seeds };

const ID: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

fn seeds() -> Vec<Vec<u8>> {
    let plain = |rest: &str| {
        format!(
            "\0{{\"type\":\"SagaStepCompleted\",\"saga_id\":\"{ID}\",\"step_name\":\"a\"{rest}}}"
        )
    };
    let texts = [
        plain(",\"result\":{\"n\":1.50}"),
        plain(",\"attempt\":3,\"round\":2"),
        plain(&format!(",\"idempotency_key\":\"{ID}/a/action/2\"")),
        format!(
            "\0{{\"type\":\"SagaStepFailed\",\"saga_id\":\"{ID}\",\"step_name\":\"a.3\",\"error\":{{\"code\":\"NO\",\"message\":\"no\"}},\"retryable\":false}}"
        ),
        format!(
            "\0{{\"type\":\"SagaCompensationCompleted\",\"saga_id\":\"{ID}\",\"step_name\":\"a\",\"undone\":false}}"
        ),
        format!(
            "\0{{\"specversion\":\"1.0\",\"type\":\"SagaStepCompleted\",\"source\":\"s\",\"id\":\"1\",\"correlationid\":\"{ID}\",\"causationid\":\"{ID}/a/action:2\",\"data\":{{\"step_name\":\"a\"}}}}"
        ),
        format!(
            "\0{{\"specversion\":\"1.0\",\"type\":\"SagaStepCompleted\",\"data_base64\":\"e30=\",\"correlationid\":\"{ID}\"}}"
        ),
        "\u{1}{\"result\":null}".to_owned(),
        "\u{2}".to_owned(),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

fn run(bytes: &[u8]) {
    let (&form, body) = bytes.split_first().unwrap_or((&0, &[]));
    let causation = format!("{ID}/a/action/{form}:7");
    let both: [(&str, &str); 3] = [
        ("ce-type", if form & 4 == 0 { "SagaStepFailed" } else { "SagaCompensationCompleted" }),
        ("ce-correlationid", ID),
        ("ce-causationid", &causation),
    ];
    let headers = &both[..usize::from(form % 4)];
    let body = Bytes::copy_from_slice(body);
    let found = Reply::find(headers, &body);
    let parsed = Reply::parse(headers, &body);
    match (&found, &parsed) {
        (Ok(Some(found)), Ok(parsed)) => assert_eq!(found, parsed, "two readings of one reply"),
        (Ok(None) | Err(_), Ok(_)) => panic!("a reply that is none: {parsed:?}"),
        _ => {}
    }
    if let Err(error) = &parsed {
        assert!(!error.to_string().is_empty());
    }
    let Ok(Some(reply)) = found else { return };
    assert!(reply.round != Some(0), "there is no round 0: {reply:?}");
    is_json(reply.result.as_ref());
    reply.error.iter().for_each(is_short);
    let codes =
        FailureCodes { permanent: vec!["NO".to_owned()], transient: vec!["LATER".to_owned()] };
    for codes in [FailureCodes::default(), codes] {
        is_well_formed(&reply.outcome(&codes), reply.kind.direction());
    }
}

/// What holds of every outcome, whatever it was made from.
pub(super) fn is_well_formed(outcome: &Outcome, direction: Direction) {
    let undo = direction == Direction::Compensation;
    match outcome {
        Outcome::Completed { result, undone } => {
            is_json(result.as_ref());
            assert!(undo || undone.is_none(), "an action that undid something");
        }
        Outcome::Refused { error } => {
            assert!(!undo, "an undo cannot be refused");
            is_short(error);
        }
        Outcome::Transient { error, .. } | Outcome::Unknown { error, .. } => is_short(error),
        Outcome::Gone { .. } => assert!(undo, "only an undo finds nothing"),
        Outcome::NotSent { .. } => panic!("what was answered was sent"),
        Outcome::Accepted => {}
    }
}

fn is_json(result: Option<&Bytes>) {
    let Some(result) = result else { return };
    assert_eq!(json::check(result), Ok(()), "a result that is no JSON text");
    assert_ne!(result.trim_ascii(), b"null", "null is no result");
}

fn is_short(fault: &Fault) {
    assert!(fault.message.len() <= FAULT_MESSAGE_BYTES_MAX);
    let code = fault.code.as_deref().unwrap_or_default();
    assert!(code.len() <= FAULT_CODE_BYTES_MAX);
    let printable = |text: &str| !text.chars().any(char::is_control);
    assert!(printable(&fault.message) && printable(code), "{fault:?}");
}
