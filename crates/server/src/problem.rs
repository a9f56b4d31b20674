//! Every error answer: problem details (RFC 9457) with a stable code, from one table.

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Declares the codes with status and title.
macro_rules! codes {
    ($($name:ident = $status:literal $code:literal $title:literal),+ $(,)?) => {
        /// What went wrong, for programs. A code is never renamed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $title] $name),+
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The code as it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// The status of the answer.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }

            /// A short summary, the same at every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }
        }
    };
}

codes! {
    MalformedJson = 400 "malformed_json" "The body is not JSON",
    BadBody = 400 "bad_body" "The body is not what this takes",
    BadQuery = 400 "bad_query" "The query is not what this takes",
    BadHeader = 400 "bad_header" "A header is not what this takes",
    MalformedReply = 400 "malformed_reply" "The body is no reply",
    Unauthenticated = 401 "unauthenticated" "A token is needed",
    Forged = 401 "forged" "The signature or reply token is not valid",
    Forbidden = 403 "forbidden" "The token's role may not do this",
    ForeignService = 403 "foreign_service" "The sender may not speak for this service",
    HostRefused = 403 "host_refused" "The host is no loopback name",
    OriginRefused = 403 "origin_refused" "The request comes from another site",
    NoSuchRoute = 404 "no_such_route" "There is nothing at this address",
    UnknownSagaType = 404 "unknown_saga_type" "There is no such saga type",
    UnknownVersion = 404 "unknown_version" "The saga type has no such version",
    NoSuchSaga = 404 "no_such_saga" "There is no such saga",
    NoSuchStep = 404 "no_such_step" "The saga has no such step",
    NoSuchOrphan = 404 "no_such_orphan" "There is no such orphan reply",
    UnknownSignal = 404 "unknown_signal" "No step waits for such a signal",
    MadeUpReply = 404 "made_up_reply" "The reply answers no command",
    MethodNotAllowed = 405 "method_not_allowed" "This address takes another method",
    BodyTimeout = 408 "body_timeout" "The body did not come in time",
    IdempotencyConflict = 409 "idempotency_conflict" "The idempotency key was used with other data",
    KeyInUse = 409 "key_in_use" "A running saga has the same business key",
    Retired = 409 "retired" "The saga type takes no new sagas",
    Choreographed = 409 "choreographed" "The saga type is run by its services among themselves",
    TooLate = 409 "too_late" "The point of no return is behind the saga",
    Ended = 409 "ended" "The saga has ended",
    AlreadyCompensating = 409 "already_compensating" "The saga is compensating already",
    AlreadyPaused = 409 "already_paused" "The saga is paused already",
    NotPaused = 409 "not_paused" "The saga is not paused",
    SignalTaken = 409 "signal_taken" "A signal of this name came before",
    VerbDoesNotFit = 409 "verb_does_not_fit" "This cannot be done where the step stands",
    AttemptInFlight = 409 "attempt_in_flight" "An attempt is in flight",
    NotLater = 409 "not_later" "A deadline can be moved later only",
    NotOwed = 409 "not_owed" "The saga does not wait for this",
    Unreadable = 409 "unreadable" "The saga cannot be read",
    DefinitionConflict = 409 "definition_conflict" "The version exists with other content",
    Moved = 412 "moved" "The saga has moved",
    TooLarge = 413 "too_large" "The body is too large",
    UnsupportedMediaType = 415 "unsupported_media_type" "The body has a content type that is not taken",
    BadData = 422 "bad_data" "The saga's data is not what its definition takes",
    DefinitionRejected = 422 "definition_rejected" "The definition has errors",
    Overloaded = 429 "overloaded" "More is asked than can be taken",
    CatalogBehind = 429 "catalog_behind" "The catalog has fallen behind the journal",
    TooManyStreams = 429 "too_many_streams" "Too many event streams are open",
    Internal = 500 "internal" "The server made a mistake",
    JournalFailed = 503 "journal_failed" "The journal cannot be written",
    CatalogFailed = 503 "catalog_failed" "The catalog does not answer",
    Stopping = 503 "stopping" "The server is stopping",
    NotReady = 503 "not_ready" "The server takes no work",
    TimedOut = 503 "timed_out" "The answer did not come in time",
}

/// A problem: an error answer. Boxed, because it travels through every result.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<Details>);

/// A problem as it is written.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Details {
    /// `urn:amends:problem:<code>`.
    #[serde(rename = "type")]
    kind: String,
    /// A short summary, the same for every occurrence of this code.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What happened, why, and what to do.
    detail: Cow<'static, str>,
    /// What went wrong, for programs.
    code: &'static str,
    /// The saga it is about, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    saga_id: Option<String>,
    /// Where the saga is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    /// When to come back, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_secs: Option<u32>,
    /// What is wrong with a definition: place, reason and fix of each finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<serde_json::Value>,
    /// Where a definition differs from the version that exists, a line a place: `-` what exists,
    /// `+` what came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diff: Vec<String>,
}

/// What a handler answers with: the answer, or the problem.
pub type Answer<T> = Result<T, Problem>;

impl Problem {
    /// A problem of this code; `detail` says what happened, why, and what to do.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Details {
            kind: format!("urn:amends:problem:{}", code.as_str()),
            title: code.title(),
            status: code.status(),
            detail: detail.into(),
            code: code.as_str(),
            saga_id: None,
            seq: None,
            retry_after_secs: None,
            findings: None,
            diff: Vec::new(),
        }))
    }

    /// About this saga.
    #[must_use]
    pub fn about(mut self, saga: amends_core::SagaId) -> Self {
        self.0.saga_id = Some(saga.to_string());
        self
    }

    /// The saga is at this event now.
    #[must_use]
    pub fn at_seq(mut self, seq: u64) -> Self {
        self.0.seq = Some(seq);
        self
    }

    /// Come back after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, secs: u32) -> Self {
        self.0.retry_after_secs = Some(secs);
        self
    }

    /// What is wrong with a definition.
    #[must_use]
    pub fn with_findings(mut self, findings: serde_json::Value) -> Self {
        self.0.findings = Some(findings);
        self
    }

    /// Where a definition differs from the version that exists.
    #[must_use]
    pub fn with_diff(mut self, diff: Vec<String>) -> Self {
        self.0.diff = diff;
        self
    }

    /// What happened, why, and what to do.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The code.
    #[cfg(test)]
    pub fn code(&self) -> &'static str {
        self.0.code
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(secs) = self.0.retry_after_secs {
            headers.insert(RETRY_AFTER, secs.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_words_and_statuses_are_errors() {
        for (i, code) in Code::ALL.iter().enumerate() {
            let word = code.as_str();
            assert!(word.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{word}");
            assert!(Code::ALL[..i].iter().all(|other| other.as_str() != word), "{word} twice");
            assert!((400..600).contains(&code.status()), "{word}");
        }
    }

    #[test]
    fn a_problem_is_written_as_the_standard_says() {
        let problem = Problem::new(Code::Overloaded, "come back").retry_after(2);
        let response = problem.clone().into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
        let written = serde_json::to_value(&problem).unwrap();
        let expected = serde_json::json!({
            "type": "urn:amends:problem:overloaded",
            "title": "More is asked than can be taken",
            "status": 429,
            "detail": "come back",
            "code": "overloaded",
            "retry_after_secs": 2,
        });
        assert_eq!(written, expected);
    }
}
