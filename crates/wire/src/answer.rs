//! Answers over HTTP: from status, headers and body to an outcome, first match decides
//! (`definition-and-wire.md` section 2).

use std::time::Duration;

use bytes::Bytes;

use crate::command::{Direction, SagaId};
use crate::json;
use crate::outcome::{FailureCodes, Fault, IN_PROGRESS, Outcome, Verdict, printable};
use crate::reply::{Headers, REPLY_BYTES_MAX, Reply, ReplyError, failed, fault};

/// How much of an answer a contract note shows: enough to recognise a login page by.
pub const NOTE_BODY_BYTES_MAX: usize = 200;

/// The longest `Retry-After` that is honoured: a participant's typing error must not put a saga
/// to sleep for a year.
pub const RETRY_AFTER_SECS_MAX: u64 = 3600;

/// What was asked: the command's identity and where it went.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// Which of the step's commands.
    pub direction: Direction,
    /// The saga.
    pub saga_id: SagaId,
    /// The step, or `<step>.<i>`.
    pub step_name: &'a str,
    /// The round, counted from 1.
    pub round: u16,
    /// The attempt.
    pub attempt: u32,
    /// Whether another sending of this command was open when this one left.
    pub another_sending_open: bool,
    /// The HTTP method.
    pub method: &'a str,
    /// Where to; shown in notes without its credentials and query.
    pub url: &'a str,
}

/// What the service and the step say about answers.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The step's `failures`.
    pub codes: &'a FailureCodes,
    /// The service's `refused_when`, over a JSON body.
    pub refused_when: Option<RefusedWhen<'a>>,
    /// The service says `not_found: gone`: its 404 on an undo is proof.
    pub not_found_is_gone: bool,
}

/// A service's verdict over a JSON body: is it a refusal? `None` when the body does not tell.
pub type RefusedWhen<'a> = &'a dyn Fn(&[u8]) -> Option<bool>;

/// What came back.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a, H: ?Sized> {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: &'a H,
    /// The whole body.
    pub body: &'a Bytes,
}

/// What an answer comes to. First match decides.
pub fn classify<H: Headers + ?Sized>(
    asked: &Exchange<'_>,
    rules: &Rules<'_>,
    answer: &Answer<'_, H>,
) -> Outcome {
    let mut outcome = verdict(asked, rules, answer);
    if let Outcome::Transient { retry_after: after @ None, .. } = &mut outcome {
        *after = retry_after(answer.headers);
    }
    outcome
}

/// Unknown, with a note for attention `contract`: the participant does not speak the protocol.
/// `body` may be cut off. It never shows the command's own headers or body.
pub fn breach(asked: &Exchange<'_>, status: u16, what: &str, body: &[u8]) -> Outcome {
    let start = &body[..body.len().min(NOTE_BODY_BYTES_MAX)];
    let start = printable(&String::from_utf8_lossy(start), NOTE_BODY_BYTES_MAX);
    let (method, url) = (asked.method, public_url(asked.url));
    Outcome::Unknown {
        error: Fault::new(format!("HTTP {status}: {what}")),
        contract: Some(format!("{method} {url} answered {status}: {what}. It begins: {start}")),
    }
}

fn verdict<H: Headers + ?Sized>(
    asked: &Exchange<'_>,
    rules: &Rules<'_>,
    answer: &Answer<'_, H>,
) -> Outcome {
    let &Answer { status, headers, body } = answer;
    let content = match Reply::find(headers, body) {
        Ok(Some(reply)) => return by_name(asked, rules, status, &reply, body),
        Ok(None) => Content::Json,
        Err(ReplyError::NotJson(_)) if body.trim_ascii().is_empty() => Content::Empty,
        Err(ReplyError::NotJson(_)) => Content::NotJson,
        Err(ReplyError::TooLarge { bytes }) => {
            let what = format!("its body is {bytes} bytes, over {REPLY_BYTES_MAX}");
            return breach(asked, status, &what, body);
        }
        Err(e) => return breach(asked, status, &e.to_string(), body),
    };
    let success = (200..300).contains(&status);
    let error = match content {
        Content::Json => ErrorBody::read(body, success, rules.codes),
        Content::Empty | Content::NotJson => ErrorBody::default(),
    };
    let told = || error.fault.clone().unwrap_or_else(|| Fault::new(format!("HTTP {status}")));

    if let (false, Some(retryable)) = (success, error.retryable) {
        let verdict = if retryable { Verdict::Transient } else { Verdict::Permanent };
        return failed(asked.direction, verdict, told());
    }
    if let Some(verdict) = error.fault.as_ref().and_then(|fault| rules.codes.verdict(fault)) {
        return failed(asked.direction, verdict, told());
    }
    if content == Content::Json
        && rules.refused_when.is_some_and(|refused| refused(body) == Some(true))
    {
        let why = || Fault::new("the answer meets the service's refused_when");
        return failed(asked.direction, Verdict::Permanent, error.fault.unwrap_or_else(why));
    }
    by_status(asked, rules, answer, content, &error, told)
}

/// What kind of body an answer has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Empty,
    Json,
    NotJson,
}

fn by_status<H: Headers + ?Sized>(
    asked: &Exchange<'_>,
    rules: &Rules<'_>,
    answer: &Answer<'_, H>,
    content: Content,
    error: &ErrorBody,
    told: impl Fn() -> Fault,
) -> Outcome {
    let &Answer { status, headers, body } = answer;
    let undo = asked.direction == Direction::Compensation;
    let by_proxy = |error| Outcome::Transient { error, named: false, retry_after: None };
    match status {
        202 => Outcome::Accepted,
        200..300 if content == Content::NotJson => {
            breach(asked, status, "its body is not JSON, so it is no result", body)
        }
        200..300 if undo && error.undone == Some(false) => Outcome::Gone { proven: true },
        200..300 => {
            Outcome::Completed { result: result(body), undone: error.undone.filter(|_| undo) }
        }
        // A repeat that meets its first copy at work is told so by whatever stands in front.
        409 if error.fault.is_none() && asked.another_sending_open => by_proxy(told()),
        409 if error.has_code(IN_PROGRESS) => by_proxy(told()),
        409 | 422 => failed(asked.direction, Verdict::Permanent, told()),
        410 if undo => Outcome::Gone { proven: true },
        404 if undo && is_json(headers) => Outcome::Gone { proven: rules.not_found_is_gone },
        425 | 429 | 503 => by_proxy(told()),
        300..400 => breach(asked, status, "it redirects, and no redirect is followed", body),
        400 | 401 | 403 | 404 | 405 | 415 => breach(
            asked,
            status,
            "this status does not say whether the command had an effect",
            body,
        ),
        _ if content == Content::NotJson => breach(asked, status, "its body is not JSON", body),
        _ => Outcome::Unknown { error: told(), contract: None },
    }
}

/// A reply by name in the answer: it must be about what was asked.
fn by_name(
    asked: &Exchange<'_>,
    rules: &Rules<'_>,
    status: u16,
    reply: &Reply,
    body: &Bytes,
) -> Outcome {
    let other = |what: &str| breach(asked, status, &format!("its reply is about {what}"), body);
    if reply.kind.direction() != asked.direction {
        return other("the step's other command");
    }
    if reply.saga_id.is_some_and(|id| id != asked.saga_id) {
        return other("another saga");
    }
    if reply.step_name.as_ref().is_some_and(|name| name != asked.step_name) {
        return other("another step");
    }
    if reply.round.is_some_and(|round| round != asked.round) {
        return other("another round");
    }
    let mut outcome = reply.outcome(rules.codes);
    if let Outcome::Transient { named, .. } = &mut outcome {
        // It says of another attempt that it had no effect, not of this one.
        *named &= reply.attempt.is_none_or(|attempt| attempt == asked.attempt);
    }
    outcome
}

/// The parts of a JSON body that say what went wrong.
#[derive(Default)]
struct ErrorBody {
    fault: Option<Fault>,
    retryable: Option<bool>,
    undone: Option<bool>,
}

impl ErrorBody {
    /// Reads `error`; in an answer that is no success also `code` and `message` (or `detail`,
    /// `title` of a problem document) at the top level, which in a success are the result's own.
    fn read(body: &[u8], success: bool, codes: &FailureCodes) -> Self {
        let Ok(Some(members)) = json::members(body) else { return Self::default() };
        let part = |name: &str| {
            members.iter().find(|m| m.name().as_deref() == Some(name)).map(|m| m.value)
        };
        let flag = |name: &str| match part(name) {
            Some(b"true") => Some(true),
            Some(b"false") => Some(false),
            _ => None,
        };
        let text = |name: &str| part(name).and_then(json::string);
        let mut found = part("error").and_then(|value| fault(value).ok().flatten());
        if !success {
            let message = || ["message", "detail", "title"].into_iter().find_map(text);
            match (&mut found, text("code")) {
                (Some(found), Some(code)) if found.code.is_none() => {
                    *found = Fault::coded(code, &found.message);
                }
                (None, Some(code)) => {
                    found = Some(Fault::coded(code, message().unwrap_or_default()));
                }
                (None, None) => found = message().map(Fault::new),
                _ => {}
            }
        }
        if let Some(found) = &mut found {
            codes.recognise(found);
        }
        Self { fault: found, retryable: flag("retryable"), undone: flag("undone") }
    }

    fn has_code(&self, code: &str) -> bool {
        let named = |fault: &Fault| match &fault.code {
            Some(known) => known == code,
            None => fault.message == code,
        };
        self.fault.as_ref().is_some_and(named)
    }
}

fn result(body: &Bytes) -> Option<Bytes> {
    let text = body.trim_ascii();
    (!text.is_empty() && text != b"null").then(|| body.slice_ref(text))
}

/// `application/json` and its kin (`application/problem+json`), whatever their parameters.
fn is_json<H: Headers + ?Sized>(headers: &H) -> bool {
    let Some(content_type) = headers.value("content-type") else { return false };
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media == "application/json" || media.ends_with("+json")
}

/// Seconds, or a date; a date is read against the answer's own, so that clocks need not agree.
fn retry_after<H: Headers + ?Sized>(headers: &H) -> Option<Duration> {
    let value = headers.value("retry-after")?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        Duration::from_secs(value.parse().unwrap_or(RETRY_AFTER_SECS_MAX))
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        let said_at = httpdate::parse_http_date(headers.value("date")?).ok()?;
        until.duration_since(said_at).unwrap_or_default()
    };
    Some(wait.min(Duration::from_secs(RETRY_AFTER_SECS_MAX)))
}

/// A URL without what may be secret in it: user, password, query and fragment.
fn public_url(url: &str) -> String {
    let url = &url[..url.find(['?', '#']).unwrap_or(url.len())];
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests;
