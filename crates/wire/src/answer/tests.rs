//! What an answer over HTTP means, row by row.

use super::*;
use proptest::prelude::*;

const ID: SagaId = SagaId(1);
const JSON: &[(&str, &str)] = &[("content-type", "application/json; charset=utf-8")];
const HTML: &[(&str, &str)] = &[("content-type", "text/html")];

/// What was asked and what the service says; changed a field at a time.
struct Case {
    direction: Direction,
    another_sending_open: bool,
    not_found_is_gone: bool,
    refused_when: Option<&'static str>,
    headers: &'static [(&'static str, &'static str)],
}

const ACTION: Case = Case {
    direction: Direction::Action,
    another_sending_open: false,
    not_found_is_gone: false,
    refused_when: None,
    headers: JSON,
};
const UNDO: Case = Case { direction: Direction::Compensation, ..ACTION };

impl Case {
    fn answer(&self, status: u16, body: &str) -> Outcome {
        let codes = FailureCodes {
            permanent: vec!["OUT_OF_STOCK".to_owned()],
            transient: vec!["LOCKED".to_owned()],
        };
        let refused =
            self.refused_when.map(|word| move |body: &[u8]| Some(text(body).contains(word)));
        let rules = Rules {
            codes: &codes,
            refused_when: refused.as_ref().map(|f| f as &dyn Fn(&[u8]) -> Option<bool>),
            not_found_is_gone: self.not_found_is_gone,
        };
        let asked = Exchange {
            direction: self.direction,
            saga_id: ID,
            step_name: "s",
            round: 1,
            attempt: 2,
            another_sending_open: self.another_sending_open,
            method: "POST",
            url: "http://user:pass@host:1/Reserve?token=t#f",
        };
        let body = Bytes::from(body.to_owned());
        classify(&asked, &rules, &Answer { status, headers: self.headers, body: &body })
    }
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

fn completed(result: &'static str) -> Outcome {
    Outcome::Completed { result: Some(Bytes::from_static(result.as_bytes())), undone: None }
}

fn refused(error: Fault) -> Outcome {
    Outcome::Refused { error }
}

fn transient(error: Fault, named: bool) -> Outcome {
    Outcome::Transient { error, named, retry_after: None }
}

fn status_only(status: u16) -> Fault {
    Fault::new(format!("HTTP {status}"))
}

#[track_caller]
fn is_breach(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Unknown { contract: Some(note), .. } => note.clone(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_plain_unknown(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Unknown { contract: None, .. }), "{outcome:?}");
}

#[test]
fn a_reply_by_name_goes_before_any_status() {
    let done = r#"{"type":"SagaStepCompleted","result":{"n":1.0}}"#;
    let failed = r#"{"type":"SagaStepFailed","error":"no"}"#;
    for status in [200, 202, 302, 404, 409, 500, 503] {
        assert_eq!(ACTION.answer(status, done), completed(r#"{"n":1.0}"#));
        assert_eq!(ACTION.answer(status, failed), refused(Fault::new("no")));
    }
    let in_headers = Case { headers: &[("ce-type", "SagaStepCompleted")], ..ACTION };
    let nothing = Outcome::Completed { result: None, undone: None };
    assert_eq!(in_headers.answer(200, ""), nothing);
    let undone = r#"{"type":"SagaCompensationCompleted","undone":false}"#;
    assert_eq!(UNDO.answer(200, undone), Outcome::Gone { proven: true });
}

#[test]
fn a_reply_by_name_must_be_about_what_was_asked() {
    let other = "00000000-0000-0000-0000-000000000002";
    for fields in [
        r#""type":"SagaCompensationCompleted""#.to_owned(),
        format!(r#""type":"SagaStepCompleted","saga_id":"{other}""#),
        r#""type":"SagaStepCompleted","step_name":"t""#.to_owned(),
        format!(r#""type":"SagaStepCompleted","idempotency_key":"{ID}/s/action/2""#),
        r#""type":"SagaStepCompleted","retryable":"maybe""#.to_owned(),
    ] {
        is_breach(&ACTION.answer(200, &format!("{{{fields}}}")));
    }
    let whole = format!(r#"{{"type":"SagaStepCompleted","saga_id":"{ID}","step_name":"s"}}"#);
    assert_eq!(ACTION.answer(200, &whole), Outcome::Completed { result: None, undone: None });
}

#[test]
fn a_transient_that_names_another_attempt_says_nothing_of_this_one() {
    let reply = |attempt: u32| {
        let body = format!(
            r#"{{"type":"SagaStepFailed","error":"e","retryable":true,"attempt":{attempt}}}"#
        );
        ACTION.answer(500, &body)
    };
    assert_eq!(reply(2), transient(Fault::new("e"), true));
    assert_eq!(reply(1), transient(Fault::new("e"), false));
}

#[test]
fn retryable_decides_in_an_answer_that_is_no_success() {
    let not_now = r#"{"error":{"code":"OUT_OF_STOCK","message":"m"},"retryable":true}"#;
    assert_eq!(ACTION.answer(422, not_now), transient(Fault::coded("OUT_OF_STOCK", "m"), true));
    let never = r#"{"error":"LOCKED","retryable":false}"#;
    assert_eq!(ACTION.answer(503, never), refused(Fault::coded("LOCKED", "LOCKED")));
    assert_eq!(ACTION.answer(500, r#"{"retryable":false}"#), refused(status_only(500)));
    assert_eq!(UNDO.answer(500, r#"{"retryable":false}"#), transient(status_only(500), true));
    // In a success it is the result's own.
    let result = r#"{"retryable":true}"#;
    assert_eq!(ACTION.answer(200, result), completed(result));
}

#[test]
fn a_listed_code_goes_before_the_status() {
    let out = refused(Fault::coded("OUT_OF_STOCK", "m"));
    let locked = transient(Fault::coded("LOCKED", "m"), true);
    for status in [400, 404, 409, 500, 503] {
        for body in [
            r#"{"error":{"code":"CODE","message":"m"}}"#,
            r#"{"code":"CODE","message":"m"}"#,
            r#"{"code":"CODE","detail":"m","title":"t"}"#,
            r#"{"error":"m","code":"CODE"}"#,
        ] {
            assert_eq!(ACTION.answer(status, &body.replace("CODE", "OUT_OF_STOCK")), out);
            assert_eq!(ACTION.answer(status, &body.replace("CODE", "LOCKED")), locked);
        }
    }
    assert_eq!(ACTION.answer(200, r#"{"error":{"code":"OUT_OF_STOCK","message":"m"}}"#), out);
    // A result may have a code of its own, and may speak of failure.
    for result in [r#"{"code":"OUT_OF_STOCK"}"#, r#"{"note":"FAILURE"}"#] {
        let body = Bytes::from(result);
        assert_eq!(
            ACTION.answer(200, result),
            Outcome::Completed { result: Some(body), undone: None }
        );
    }
}

#[test]
fn refused_when_goes_before_the_status_and_reads_json_only() {
    let case = Case { refused_when: Some("DECLINED"), ..ACTION };
    let why = "the answer meets the service's refused_when";
    let declined = r#"{"status":"DECLINED"}"#;
    assert_eq!(case.answer(200, declined), refused(Fault::new(why)));
    assert_eq!(case.answer(202, declined), refused(Fault::new(why)));
    let told = r#"{"error":"DECLINED"}"#;
    assert_eq!(case.answer(200, told), refused(Fault::new("DECLINED")));
    assert_eq!(case.answer(200, "7"), completed("7"));
    is_breach(&case.answer(200, "DECLINED"));
    let undo = Case { refused_when: Some("DECLINED"), ..UNDO };
    assert_eq!(undo.answer(200, declined), transient(Fault::new(why), true));
}

#[test]
fn success_is_the_body_as_the_result() {
    for status in [200, 201, 203, 204, 299] {
        assert_eq!(ACTION.answer(status, " {\"n\":1.50}\n"), completed("{\"n\":1.50}"));
    }
    for body in ["", " \n", "null"] {
        assert_eq!(ACTION.answer(200, body), Outcome::Completed { result: None, undone: None });
    }
    // `undone` of an action's result is the result's own.
    assert_eq!(ACTION.answer(200, r#"{"undone":false}"#), completed(r#"{"undone":false}"#));
}

#[test]
fn success_of_an_undo_says_whether_there_was_anything() {
    let undone = |outcome: Outcome| match outcome {
        Outcome::Completed { undone, .. } => undone,
        other => panic!("{other:?}"),
    };
    assert_eq!(undone(UNDO.answer(200, "")), None);
    assert_eq!(undone(UNDO.answer(200, "{\"undone\":true}")), Some(true));
    assert_eq!(UNDO.answer(200, "{\"undone\":false}"), Outcome::Gone { proven: true });
}

#[test]
fn status_202_is_accepted() {
    for body in ["", "{\"id\":1}", "later"] {
        assert_eq!(ACTION.answer(202, body), Outcome::Accepted);
        assert_eq!(UNDO.answer(202, body), Outcome::Accepted);
    }
}

#[test]
fn status_409_and_422_refuse() {
    for status in [409, 422] {
        let told = ACTION.answer(status, r#"{"error":{"code":"X","message":"m"}}"#);
        assert_eq!(told, refused(Fault::coded("X", "m")));
        assert_eq!(ACTION.answer(status, ""), refused(status_only(status)));
        assert_eq!(UNDO.answer(status, ""), transient(status_only(status), true));
    }
}

#[test]
fn a_bare_409_while_another_sending_is_open_is_a_repeat_turned_away() {
    let case = Case { another_sending_open: true, ..ACTION };
    for body in ["", "conflict", "{}", "[]"] {
        assert_eq!(case.answer(409, body), transient(status_only(409), false), "{body}");
    }
    assert_eq!(case.answer(409, r#"{"error":"no"}"#), refused(Fault::new("no")));
    assert_eq!(case.answer(422, ""), refused(status_only(422)));
}

#[test]
fn status_409_in_progress_is_transient_and_no_word_of_no_effect() {
    for body in [
        r#"{"error":{"code":"IN_PROGRESS"}}"#,
        r#"{"code":"IN_PROGRESS"}"#,
        r#"{"error":"IN_PROGRESS"}"#,
    ] {
        let outcome = ACTION.answer(409, body);
        assert!(matches!(outcome, Outcome::Transient { named: false, .. }), "{outcome:?}");
    }
}

#[test]
fn gone_is_an_undos_410_and_its_404_in_json() {
    assert_eq!(UNDO.answer(410, ""), Outcome::Gone { proven: true });
    assert_eq!(UNDO.answer(404, "{}"), Outcome::Gone { proven: false });
    let said = Case { not_found_is_gone: true, ..UNDO };
    assert_eq!(said.answer(404, "{}"), Outcome::Gone { proven: true });
    let problem = Case { headers: &[("content-type", "Application/Problem+JSON")], ..UNDO };
    assert_eq!(problem.answer(404, "{\"title\":\"t\"}"), Outcome::Gone { proven: false });
    // The 404 of a router that does not know the path is no answer of the service.
    is_breach(&Case { headers: HTML, ..said }.answer(404, "<h1>404</h1>"));
    is_breach(&Case { headers: &[], ..UNDO }.answer(404, ""));
    is_breach(&ACTION.answer(404, "{}"));
    is_plain_unknown(&ACTION.answer(410, ""));
}

#[test]
fn busy_statuses_are_transient_and_their_retry_after_is_honoured() {
    for status in [425, 429, 503] {
        assert_eq!(ACTION.answer(status, ""), transient(status_only(status), false));
        assert_eq!(UNDO.answer(status, "<busy>"), transient(status_only(status), false));
    }
    let after = |headers| match (Case { headers, ..ACTION }).answer(503, "") {
        Outcome::Transient { retry_after, .. } => retry_after.map(|wait| wait.as_secs()),
        other => panic!("{other:?}"),
    };
    assert_eq!(after(&[("retry-after", "7")]), Some(7));
    assert_eq!(after(&[("retry-after", "99999999999999999999")]), Some(RETRY_AFTER_SECS_MAX));
    assert_eq!(after(&[("retry-after", "soon")]), None);
    assert_eq!(after(&[("retry-after", "-1")]), None);
    const LATER: (&str, &str) = ("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT");
    assert_eq!(after(&[LATER]), None);
    assert_eq!(after(&[LATER, ("date", "Wed, 21 Oct 2015 07:28:00 GMT")]), Some(30));
    assert_eq!(after(&[LATER, ("date", "Wed, 21 Oct 2015 07:29:00 GMT")]), Some(0));
    let named = Case { headers: &[("retry-after", "7")], ..ACTION };
    let outcome = named.answer(500, "{\"retryable\":true}");
    assert!(
        matches!(outcome, Outcome::Transient { named: true, retry_after: Some(_), .. }),
        "{outcome:?}"
    );
}

#[test]
fn what_breaks_the_protocol_is_unknown_with_a_note() {
    for status in [300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 415] {
        is_breach(&ACTION.answer(status, ""));
        is_breach(&ACTION.answer(status, "{\"error\":\"e\"}"));
    }
    for status in [200, 201, 500, 502] {
        is_breach(&Case { headers: HTML, ..ACTION }.answer(status, "<html>"));
    }
    let large = format!("\"{}\"", "x".repeat(REPLY_BYTES_MAX));
    is_breach(&ACTION.answer(200, &large));
    let deep = "[".repeat(1000) + &"]".repeat(1000);
    is_breach(&ACTION.answer(200, &deep));
}

#[test]
fn a_note_shows_where_and_what_but_nothing_secret() {
    let note = is_breach(&ACTION.answer(403, &format!("<login>\x1b\n{}", "é".repeat(300))));
    assert!(note.starts_with("POST http://host:1/Reserve answered 403: "), "{note}");
    let start = note.split_once("It begins: ").unwrap().1;
    assert!(start.starts_with("<login>\u{fffd} é"), "{start}");
    assert!(start.len() <= NOTE_BODY_BYTES_MAX);
    for secret in ["user", "pass", "token"] {
        assert!(!note.contains(secret), "{note}");
    }
}

#[test]
fn everything_else_is_unknown() {
    for status in [100, 199, 402, 406, 408, 412, 413, 423, 451, 500, 501, 502, 504, 599, 999] {
        is_plain_unknown(&ACTION.answer(status, ""));
        is_plain_unknown(&UNDO.answer(status, "{\"error\":\"e\"}"));
    }
}

proptest! {
    #[test]
    fn any_answer_is_judged(
        undo: bool,
        open: bool,
        gone: bool,
        status in 0..1000u16,
        body in prop_oneof![
            "\\PC{0,60}",
            "\\{\"(type|error|code|retryable|undone)\":(\"[A-Za-z_]{0,20}\"|true|false|null|\\{\\}|7)\\}",
        ],
    ) {
        let direction = if undo { Direction::Compensation } else { Direction::Action };
        let case = Case { direction, another_sending_open: open, not_found_is_gone: gone, ..ACTION };
        match case.answer(status, &body) {
            Outcome::Refused { .. } => prop_assert!(!undo, "an undo cannot be refused"),
            Outcome::Gone { .. } => prop_assert!(undo, "only an undo finds nothing"),
            Outcome::NotSent { .. } => prop_assert!(false, "what was answered was sent"),
            _ => {}
        }
    }

    #[test]
    fn no_bytes_panic(
        status: u16,
        body in prop::collection::vec(any::<u8>(), 0..300),
        url in any::<String>(),
        header in any::<String>(),
    ) {
        let codes = FailureCodes::default();
        let rules = Rules { codes: &codes, refused_when: None, not_found_is_gone: false };
        let asked = Exchange {
            direction: Direction::Action, saga_id: ID, step_name: "s", round: 1, attempt: 1,
            another_sending_open: false, method: "POST", url: &url,
        };
        let headers: &[(&str, &str)] =
            &[("content-type", &header), ("retry-after", &header), ("date", &header)];
        let body = Bytes::from(body);
        let _ = classify(&asked, &rules, &Answer { status, headers, body: &body });
        let _ = breach(&asked, status, &header, &body);
    }
}
