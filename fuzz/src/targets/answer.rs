//! An answer over HTTP, from status, headers and body to an outcome.
//!
//! The input is two bytes of status, one of flags, a header's value up to the first line break, and
//! the body.

use std::time::Duration;

use amends_wire::{
    Answer, Direction, Exchange, FailureCodes, Outcome, RETRY_AFTER_SECS_MAX, Rules, SagaId,
    breach, classify, json,
};
use bytes::Bytes;

use super::Target;
use super::reply::is_well_formed;

pub(super) const TARGET: Target =
    Target { name: "answer", what: "HTTP answer → outcome", run, seeds };

/// Stands in the address of the service, and nowhere in what is kept of an answer.
const SECRET: &str = "hunter2";

fn seeds() -> Vec<Vec<u8>> {
    let answers: [(u16, u8, &str, &str); 10] = [
        (200, 0, "application/json", "{\"id\":7}"),
        (200, 1, "application/json", "{\"undone\":false}"),
        (202, 0, "application/json", ""),
        (404, 1, "application/json", "{\"code\":\"NOT_FOUND\"}"),
        (409, 2, "application/json", "{\"error\":{\"code\":\"IN_PROGRESS\"}}"),
        (422, 0, "application/problem+json", "{\"title\":\"no\",\"detail\":\"none left\"}"),
        (429, 0, "120", "{\"retryable\":true}"),
        (503, 0, "Wed, 21 Oct 2015 07:28:00 GMT", "<html>"),
        (200, 0, "text/html", "<html>log in</html>"),
        (200, 0, "application/json", "{\"type\":\"SagaStepFailed\",\"error\":\"OUT_OF_STOCK\"}"),
    ];
    answers
        .iter()
        .map(|(status, flags, header, body)| {
            let [high, low] = status.to_be_bytes();
            [&[high, low, *flags][..], header.as_bytes(), b"\n", body.as_bytes()].concat()
        })
        .collect()
}

fn run(bytes: &[u8]) {
    let Some((&[high, low, flags], rest)) = bytes.split_first_chunk() else { return };
    let at = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    let (header, body) = rest.split_at(at);
    let header = String::from_utf8_lossy(header);
    let body = Bytes::copy_from_slice(body.strip_prefix(b"\n").unwrap_or(body));
    let direction = if flags & 1 == 0 { Direction::Action } else { Direction::Compensation };
    let url = format!("https://user:{SECRET}@host/path?key={SECRET}#{SECRET}");
    let asked = Exchange {
        direction,
        saga_id: SagaId(7),
        step_name: "a",
        round: 1,
        attempt: 2,
        another_sending_open: flags & 2 != 0,
        method: "POST",
        url: &url,
    };
    let codes = FailureCodes {
        permanent: vec!["OUT_OF_STOCK".to_owned()],
        transient: vec!["LOCKED".to_owned()],
    };
    let refused = |body: &[u8]| json::check(body).is_ok().then_some(body.len().is_multiple_of(2));
    let rules = Rules {
        codes: &codes,
        refused_when: if flags & 4 == 0 { None } else { Some(&refused) },
        not_found_is_gone: flags & 8 != 0,
    };
    let headers: &[(&str, &str)] = &[
        ("content-type", if flags & 16 == 0 { &header } else { "application/json" }),
        ("retry-after", &header),
        ("date", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ("ce-type", if flags & 32 == 0 { "" } else { &header }),
    ];
    let status = u16::from_be_bytes([high, low]);
    let outcome = classify(&asked, &rules, &Answer { status, headers, body: &body });
    is_well_formed(&outcome, direction);
    if let Outcome::Transient { retry_after: Some(after), .. } = &outcome {
        assert!(*after <= Duration::from_secs(RETRY_AFTER_SECS_MAX), "{after:?}");
    }
    for outcome in [outcome, breach(&asked, status, &header, &body)] {
        let Outcome::Unknown { contract: Some(note), .. } = outcome else { continue };
        let echoed = String::from_utf8_lossy(&body).contains(SECRET) || header.contains(SECRET);
        assert!(echoed || !note.contains(SECRET), "S24: {note}");
    }
}
