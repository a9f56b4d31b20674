//! Replies as they come: plain, in envelopes, and broken.

use super::*;
use crate::json::NESTING_MAX;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;

const ID: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

fn read(text: &str) -> Result<Reply, ReplyError> {
    Reply::parse(&(), &Bytes::from(text.to_owned()))
}

/// A plain reply about step `s` of our saga, with `rest` after it.
fn plain(name: &str, rest: &str) -> Result<Reply, ReplyError> {
    read(&format!(r#"{{"type":"{name}","saga_id":"{ID}","step_name":"s"{rest}}}"#))
}

fn codes() -> FailureCodes {
    FailureCodes {
        permanent: vec!["OUT_OF_STOCK".to_owned()],
        transient: vec!["LOCKED".to_owned()],
    }
}

fn bare(kind: ReplyKind) -> Reply {
    Reply {
        kind,
        saga_id: ID.parse().ok(),
        step_name: Some("s".to_owned()),
        result: None,
        error: None,
        retryable: None,
        undone: None,
        attempt: None,
        round: None,
    }
}

#[test]
fn the_four_replies_are_read_by_name() {
    for kind in ReplyKind::ALL {
        assert_eq!(plain(kind.as_str(), ""), Ok(bare(kind)));
    }
}

#[test]
fn every_field_is_read_and_the_result_stays_as_it_was_written() {
    let rest = format!(
        r#","result": {{"n" : 1.500, "n":2}} ,"attempt":4,"undone":null,"unheard_of":[],
        "idempotency_key":"{ID}/s/action/2","causationid":"{ID}/s/action/2:4""#
    );
    let reply = plain("SagaStepCompleted", &rest).unwrap();
    assert_eq!(reply.result.as_deref(), Some(br#"{"n" : 1.500, "n":2}"#.as_slice()));
    assert_eq!((reply.attempt, reply.round, reply.undone), (Some(4), Some(2), None));
    assert_eq!(plain("SagaStepCompleted", ",\"result\":null").unwrap().result, None);
    assert!(!format!("{reply:?}").contains("1.500"));
}

#[test]
fn an_error_is_a_string_or_an_object() {
    let error =
        |json: &str| plain("SagaStepFailed", &format!(",\"error\":{json}")).map(|r| r.error);
    assert_eq!(error("\"no\\u0020stock\""), Ok(Some(Fault::new("no stock"))));
    assert_eq!(error(r#"{"code":"A","message":"b","more":1}"#), Ok(Some(Fault::coded("A", "b"))));
    assert_eq!(error(r#"{"code":"A"}"#), Ok(Some(Fault::coded("A", ""))));
    assert_eq!(error(r#"{"code":null,"message":"b"}"#), Ok(Some(Fault::new("b"))));
    assert_eq!(error("null"), Ok(None));
    for wrong in ["7", "[]", r#"{"code":7}"#, r#"{"message":{}}"#] {
        assert!(matches!(error(wrong), Err(ReplyError::Wrong { field: "error", .. })), "{wrong}");
    }
}

#[test]
fn a_structured_envelope_is_read_with_its_data() {
    let text = format!(
        r#"{{"specversion":"1.0","id":"1","source":"x","type":"SagaStepCompleted",
        "correlationid":"{ID}","causationid":"{ID}/s/action:3","data":{{"result":[1.0]}}}}"#
    );
    let reply = read(&text).unwrap();
    let expected = Reply {
        result: Some(Bytes::from_static(b"[1.0]")),
        attempt: Some(3),
        round: Some(1),
        ..bare(ReplyKind::StepCompleted)
    };
    assert_eq!(reply, expected);

    let base64 = BASE64.encode(format!(r#"{{"saga_id":"{ID}","step_name":"s"}}"#));
    let text = format!(
        r#"{{"specversion":"1.0","type":"SagaCompensationCompleted","data_base64":"{base64}"}}"#
    );
    assert_eq!(read(&text), Ok(bare(ReplyKind::CompensationCompleted)));
    let wrong = |rest: &str| read(&format!(r#"{{"type":"SagaStepFailed",{rest}}}"#)).unwrap_err();
    assert!(matches!(
        wrong(r#""specversion":"0.3""#),
        ReplyError::Wrong { field: "specversion", .. }
    ));
    let twice = wrong(r#""specversion":"1.0","data":{},"data_base64":"""#);
    assert_eq!(twice, ReplyError::Twice { field: "data" });
    assert_eq!(wrong(r#""specversion":"1.0","data":7"#), ReplyError::NotAnObject);
}

#[test]
fn a_binary_envelope_is_read_from_headers() {
    let headers: &[(&str, &str)] = &[
        ("ce-specversion", "1.0"),
        ("ce-type", "SagaStepFailed"),
        ("ce-correlationid", ID),
        ("ce-causationid", "something of their own"),
    ];
    let body = Bytes::from_static(br#"{"step_name":"s","error":"no"}"#);
    let reply = Reply::parse(headers, &body).unwrap();
    assert_eq!(reply, Reply { error: Some(Fault::new("no")), ..bare(ReplyKind::StepFailed) });
}

#[test]
fn what_contradicts_itself_is_refused() {
    let other = "0192f0c1-2345-7abc-8def-0123456789ac";
    let about = |rest: &str| match plain("SagaStepCompleted", rest) {
        Err(ReplyError::Contradiction { about }) => about,
        other => panic!("{other:?}"),
    };
    assert_eq!(about(&format!(",\"idempotency_key\":\"{other}/s/action\"")), "saga");
    assert_eq!(about(&format!(",\"idempotency_key\":\"{ID}/t/action\"")), "step");
    assert_eq!(about(&format!(",\"idempotency_key\":\"{ID}/s/compensation\"")), "direction");
    let both =
        format!(",\"idempotency_key\":\"{ID}/s/action\",\"causationid\":\"{ID}/s/action/2:1\"");
    assert_eq!(about(&both), "round");
    assert_eq!(about(&format!(",\"attempt\":1,\"causationid\":\"{ID}/s/action:2\"")), "attempt");
    let headers: &[(&str, &str)] = &[("ce-type", "SagaStepFailed"), ("ce-correlationid", other)];
    let body = Bytes::from(format!(r#"{{"saga_id":"{ID}","step_name":"s"}}"#));
    let verdict = Reply::parse(headers, &body);
    assert_eq!(verdict, Err(ReplyError::Contradiction { about: "saga" }));
    // A name that is said twice is a contradiction that two readers would settle differently.
    assert_eq!(
        plain("SagaStepCompleted", &format!(",\"saga\\u005fid\":\"{ID}\"")),
        Err(ReplyError::Twice { field: "saga_id" })
    );
}

#[test]
fn what_is_no_reply_is_told_why() {
    assert!(matches!(read("{\"type\":"), Err(ReplyError::NotJson(_))));
    assert!(matches!(read("\0"), Err(ReplyError::NotJson(_))));
    assert!(matches!(
        Reply::parse(&(), &Bytes::from_static(b"{\"type\":\"\xff\"}")),
        Err(ReplyError::NotJson(e)) if e.kind == crate::json::JsonErrorKind::NotUtf8
    ));
    assert_eq!(read("[]"), Err(ReplyError::NoSuchType { found: "missing".to_owned() }));
    assert_eq!(read("{}"), Err(ReplyError::NoSuchType { found: "missing".to_owned() }));
    assert_eq!(
        read(r#"{"type":"OrderPaid\n"}"#),
        Err(ReplyError::NoSuchType { found: "OrderPaid ".to_owned() })
    );
    assert_eq!(
        read(r#"{"type":"SagaStepFailed","step_name":"s"}"#),
        Err(ReplyError::Missing { field: "saga_id" })
    );
    assert_eq!(
        read(&format!(r#"{{"type":"SagaStepFailed","saga_id":"{ID}"}}"#)),
        Err(ReplyError::Missing { field: "step_name" })
    );
    for (rest, wrong) in [
        (",\"retryable\":\"yes\"", "retryable"),
        (",\"undone\":1", "undone"),
        (",\"attempt\":-1", "attempt"),
        (",\"attempt\":4294967296", "attempt"),
        (",\"idempotency_key\":\"mine\"", "idempotency_key"),
        (",\"causationid\":7", "causationid"),
    ] {
        match plain("SagaStepFailed", rest) {
            Err(ReplyError::Wrong { field, .. }) => assert_eq!(field, wrong),
            other => panic!("{rest}: {other:?}"),
        }
    }
    let bad_id = r#"{"type":"SagaStepFailed","saga_id":"order-1","step_name":"s"}"#;
    assert!(matches!(read(bad_id), Err(ReplyError::Wrong { field: "saga_id", .. })));
}

#[test]
fn size_and_nesting_have_limits() {
    let filled = |bytes: usize| {
        let start =
            format!(r#"{{"type":"SagaStepCompleted","saga_id":"{ID}","step_name":"s","result":""#);
        format!("{start}{}\"}}", "x".repeat(bytes - start.len() - 2))
    };
    assert!(read(&filled(REPLY_BYTES_MAX)).is_ok());
    assert_eq!(
        read(&filled(REPLY_BYTES_MAX + 1)),
        Err(ReplyError::TooLarge { bytes: REPLY_BYTES_MAX + 1 })
    );
    let nested = |n: usize| {
        plain("SagaStepCompleted", &format!(",\"result\":{}{}", "[".repeat(n), "]".repeat(n)))
    };
    assert!(nested(NESTING_MAX - 1).is_ok());
    assert!(matches!(nested(NESTING_MAX), Err(ReplyError::NotJson(_))));
}

#[test]
fn a_plain_result_is_no_reply_whatever_it_contains() {
    for body in [
        r#"{"type":"invoice","saga_id":7,"result":1,"result":2}"#,
        r#"{"note":"SagaStepFailed"}"#,
        r#"{"specversion":"1.0","type":"OrderPaid"}"#,
        "7",
    ] {
        assert_eq!(Reply::find(&(), &Bytes::from(body)), Ok(None), "{body}");
    }
}

#[test]
fn a_failure_is_a_refusal_unless_something_says_otherwise() {
    let outcome = |rest: &str| plain("SagaStepFailed", rest).unwrap().outcome(&codes());
    let refused = |error| Outcome::Refused { error };
    let transient = |error, named| Outcome::Transient { error, named, retry_after: None };
    assert_eq!(outcome(""), refused(Fault::default()));
    assert_eq!(outcome(",\"error\":\"broke\""), refused(Fault::new("broke")));
    assert_eq!(outcome(",\"error\":\"x\",\"retryable\":true"), transient(Fault::new("x"), true));
    let locked = r#","error":{"code":"LOCKED","message":"m"}"#;
    assert_eq!(outcome(locked), transient(Fault::coded("LOCKED", "m"), true));
    assert_eq!(outcome(",\"error\":\"LOCKED\""), transient(Fault::coded("LOCKED", "LOCKED"), true));
    let said = format!("{locked},\"retryable\":false");
    assert_eq!(outcome(&said), refused(Fault::coded("LOCKED", "m")));
    let stock = r#","error":{"code":"OUT_OF_STOCK"}"#;
    assert_eq!(outcome(stock), refused(Fault::coded("OUT_OF_STOCK", "")));
    let running = r#","error":{"code":"IN_PROGRESS"},"retryable":true"#;
    assert_eq!(outcome(running), transient(Fault::coded("IN_PROGRESS", ""), false));
}

#[test]
fn an_undo_cannot_be_refused() {
    let failed = plain("SagaCompensationFailed", ",\"error\":\"no\",\"retryable\":false").unwrap();
    let expected = Outcome::Transient { error: Fault::new("no"), named: true, retry_after: None };
    assert_eq!(failed.outcome(&codes()), expected);

    let done = |rest| plain("SagaCompensationCompleted", rest).unwrap().outcome(&codes());
    assert_eq!(done(""), Outcome::Completed { result: None, undone: None });
    assert_eq!(done(",\"undone\":true"), Outcome::Completed { result: None, undone: Some(true) });
    assert_eq!(done(",\"undone\":false"), Outcome::Gone { proven: true });
}

proptest! {
    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200), name in "[a-zA-Z-]{0,24}") {
        let body = Bytes::from(body);
        let headers: &[(&str, &str)] =
            &[("ce-type", "SagaStepFailed"), ("ce-correlationid", &name), ("ce-causationid", &name)];
        let _ = Reply::find(headers, &body);
        let _ = Reply::parse(&(), &body);
    }

    #[test]
    fn no_field_panics(
        kind in 0..4usize,
        fields in prop::collection::vec(
            (
                "(saga_id|step_name|result|error|retryable|undone|attempt|data|specversion|correlationid|causationid|idempotency_key)",
                prop_oneof![Just("null".to_owned()), Just("{}".to_owned()), Just("true".to_owned()),
                    Just(format!("\"{ID}\"")), Just(format!("\"{ID}/s/action:1\"")), "\"[a-z:/0-9]{0,8}\"", "[0-9]{1,12}"],
            ),
            0..6,
        ),
    ) {
        let rest: String = fields.iter().map(|(k, v)| format!(",\"{k}\":{v}")).collect();
        let text = format!("{{\"type\":\"{}\"{rest}}}", ReplyKind::ALL[kind].as_str());
        if let Ok(reply) = read(&text) {
            let _ = reply.outcome(&codes());
        }
    }
}
