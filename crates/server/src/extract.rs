//! What is read from a request, and how what cannot be read is answered.

use std::time::Duration;

use amends_core::{NoSagaId, SagaId};
use amends_wire::json;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, IF_MATCH};
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::problem::{Answer, Code, Problem};
use crate::refusal::no_such_saga;

/// The largest body. A saga's data has its own, lower limit; a reply's result may be this large.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// How long a body may take to come in: a megabyte over a slow line, not a connection held open a
/// byte at a time.
pub const BODY_SECS_MAX: u64 = 30;

/// A body of any type, within the limits.
pub struct RawBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Answer<Self> {
        let said = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        if said
            .and_then(|length| length.parse().ok())
            .is_some_and(|said: usize| said > BODY_BYTES_MAX)
        {
            return Err(too_large());
        }
        read(request.into_body()).await.map(Self)
    }
}

/// A body that is JSON, checked and otherwise untouched.
pub struct JsonText(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Answer<Self> {
        if !is_json(request.headers()) {
            return Err(not_json(request.headers()));
        }
        let RawBody(text) = RawBody::from_request(request, state).await?;
        check_json(&text)?;
        Ok(Self(text))
    }
}

/// A JSON body of a fixed form.
pub struct Form<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Answer<Self> {
        let JsonText(text) = JsonText::from_request(request, state).await?;
        let form = serde_json::from_slice(&text);
        form.map(Self).map_err(|error| Problem::new(Code::BadBody, error.to_string()))
    }
}

/// The query.
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Answer<Self> {
        let query = parts.uri.query().unwrap_or_default();
        let params = serde_urlencoded::from_str(query);
        params.map(Self).map_err(|error| Problem::new(Code::BadQuery, error.to_string()))
    }
}

/// The parts of the path that stand for names.
pub struct Names<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Names<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let Path(names) = Path::from_request_parts(parts, state).await.map_err(|error| {
            Problem::new(Code::NoSuchRoute, format!("the path cannot be read: {error}"))
        })?;
        Ok(Self(names))
    }
}

/// Which event of the saga the caller has seen, from `If-Match: <seq>`.
pub struct Seen(pub Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for Seen {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Answer<Self> {
        let Some(said) = header(&parts.headers, IF_MATCH.as_str())? else {
            return Ok(Self(None));
        };
        let bare = said.trim().trim_matches('"');
        if bare == "*" {
            return Ok(Self(None));
        }
        bare.parse().map(|seq| Self(Some(seq))).map_err(|_| {
            let detail = format!("If-Match is {said:?}; give the saga's seq, a whole number");
            Problem::new(Code::BadHeader, detail)
        })
    }
}

/// The saga that the path names.
pub fn saga_id(text: &str) -> Answer<SagaId> {
    text.parse().map_err(|_: NoSagaId| {
        const SHOWN_CHARS_MAX: usize = 80;
        no_such_saga(&format!("{:?}", text.chars().take(SHOWN_CHARS_MAX).collect::<String>()))
    })
}

/// A header that is there at most once, as text.
pub fn header<'h>(headers: &'h HeaderMap, name: &str) -> Answer<Option<&'h str>> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    let wrong = |what: &str| Err(Problem::new(Code::BadHeader, format!("{name} {what}")));
    match (first, second) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => wrong("stands twice; send it once"),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => wrong("must be plain ASCII"),
        },
    }
}

/// A span of time as definitions write it: `500ms`, `30s`, `2m`.
pub fn span(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(Duration::from_millis)
}

/// Is this JSON, by the strict scanner that all bodies pass?
pub fn check_json(text: &[u8]) -> Answer<()> {
    json::check(text).map_err(|error| {
        Problem::new(Code::MalformedJson, format!("{error}; send one JSON value as UTF-8 text"))
    })
}

/// Does the content type say JSON?
pub fn is_json(headers: &HeaderMap) -> bool {
    let said = headers.get(CONTENT_TYPE).and_then(|said| said.to_str().ok()).unwrap_or_default();
    let (media, parameters) = said.split_once(';').unwrap_or((said, ""));
    let media = media.trim().to_ascii_lowercase();
    let charset = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    let utf8 = charset
        .filter(|(key, _)| key.eq_ignore_ascii_case("charset"))
        .all(|(_, value)| value.trim_matches('"').eq_ignore_ascii_case("utf-8"));
    utf8 && (media == "application/json"
        || (media.starts_with("application/") && media.ends_with("+json")))
}

/// The content type is another one.
pub fn not_json(headers: &HeaderMap) -> Problem {
    let said = headers.get(CONTENT_TYPE).and_then(|said| said.to_str().ok());
    let what = said.map_or("it has none".to_owned(), |said| format!("it has {said:?}"));
    let detail = format!("the body must have Content-Type: application/json (UTF-8); {what}");
    Problem::new(Code::UnsupportedMediaType, detail)
}

async fn read(body: Body) -> Answer<Bytes> {
    let whole = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(Duration::from_secs(BODY_SECS_MAX), whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => {
            Err(Problem::new(Code::BadBody, "the body broke off; send the request again"))
        }
        Err(_) => {
            let detail = format!("the body did not come within {BODY_SECS_MAX} s; send it again");
            Err(Problem::new(Code::BodyTimeout, detail))
        }
    }
}

fn too_large() -> Problem {
    let detail = format!(
        "the body has more than {BODY_BYTES_MAX} bytes: store the content elsewhere and send a reference"
    );
    Problem::new(Code::TooLarge, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn spans_are_read_as_definitions_write_them() {
        for (text, expected) in [
            ("30s", Some(30_000)),
            ("500ms", Some(500)),
            ("2m", Some(120_000)),
            ("0s", Some(0)),
            ("30", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(span(text).map(|span| span.as_millis()), expected, "{text}");
        }
    }

    #[test]
    fn ids_are_read_in_their_one_form() {
        let id = SagaId(0x0192_f0c1_2345_7abc_8def_0123_4567_89ab);
        assert_eq!(saga_id(&id.to_string()).unwrap(), id);
        for text in [
            "",
            "OrderFulfillment",
            "0192f0c123457abc8def0123456789ab",
            "0192f0c1-2345-7abc-8def-0123456789a",
            "+192f0c1-2345-7abc-8def-0123456789ab",
            "0192f0c1-2345-7abc-8def-0123456789aß",
        ] {
            assert_eq!(saga_id(text).unwrap_err().code(), "no_such_saga", "{text}");
        }
    }

    #[test]
    fn json_is_told_by_its_content_type() {
        for (said, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/cloudevents+json", true),
            ("application/json; charset=latin1", false),
            ("text/plain", false),
            ("text/json+json", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(said));
            assert_eq!(is_json(&headers), expected, "{said}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
