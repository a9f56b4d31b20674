//! From a sending to an HTTP request: the body as it is, everything else in headers.

use std::time::{SystemTime, UNIX_EPOCH};

use amends_transport::Outgoing;
use amends_wire::envelope::{
    AMENDS_ATTEMPT, AMENDS_DEADLINE, AMENDS_REPLY_TO, IDEMPOTENCY_KEY, Sending, TRACEPARENT,
    header_value,
};
use amends_wire::signature::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, sign};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::Full;

use crate::service::Bound;

/// The headers of a sending and a few of the binding's, so that the map grows once.
const HEADERS_EXPECTED: usize = 24;

/// The request of one sending.
pub(crate) fn request(bound: &Bound, target: Uri, outgoing: &Outgoing) -> Request<Full<Bytes>> {
    let mut headers = HeaderMap::with_capacity(HEADERS_EXPECTED);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let command = outgoing.command_id();
    let key = command.to_string();
    put(&mut headers, IDEMPOTENCY_KEY, &key);
    headers.insert(AMENDS_ATTEMPT, outgoing.ticket.attempt.into());
    if let Some(reply_to) = &outgoing.reply_to {
        put(&mut headers, AMENDS_REPLY_TO, reply_to);
        if let Some(value) = headers.get_mut(AMENDS_REPLY_TO) {
            value.set_sensitive(true);
        }
    }
    let sending = Sending {
        command: &command,
        command_name: &outgoing.command,
        saga_type: &outgoing.saga_type,
        attempt: outgoing.ticket.attempt,
        deadline_unix_ms: outgoing.deadline_unix_ms,
        causation_id: outgoing.causation_id.as_deref(),
        traceparent: outgoing.traceparent.as_deref(),
    };
    for (name, value) in sending.attributes() {
        if name == "expirytime" {
            put(&mut headers, AMENDS_DEADLINE, &value);
        }
        match name {
            TRACEPARENT => put(&mut headers, name, &value),
            _ => put(&mut headers, header_name(name), &header_value(&value)),
        }
    }
    if !bound.service.secrets.is_empty() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        // The signed text joins its parts with full stops, so an id must have none.
        let id = header_value(&key).replace('.', "%2E");
        put(
            &mut headers,
            WEBHOOK_SIGNATURE,
            &sign(&bound.service.secrets, &id, now, &outgoing.body),
        );
        put(&mut headers, WEBHOOK_ID, &id);
        headers.insert(WEBHOOK_TIMESTAMP, now.into());
    }
    for (name, value) in &bound.headers {
        headers.append(name, value.clone());
    }
    let mut request = Request::new(Full::new(outgoing.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target;
    *request.headers_mut() = headers;
    request
}

/// The header of a CloudEvents attribute.
fn header_name(attribute: &'static str) -> &'static str {
    match attribute {
        "specversion" => "ce-specversion",
        "id" => "ce-id",
        "source" => "ce-source",
        "type" => "ce-type",
        "correlationid" => "ce-correlationid",
        "causationid" => "ce-causationid",
        "expirytime" => "ce-expirytime",
        other => other,
    }
}

/// Puts a header in as it is; what HTTP does not allow, a step named in another script, say, is
/// percent-encoded instead.
fn put(headers: &mut HeaderMap, name: &'static str, text: &str) {
    let value = HeaderValue::from_str(text).or_else(|_| HeaderValue::from_str(&header_value(text)));
    if let Ok(value) = value {
        headers.insert(HeaderName::from_static(name), value);
    }
}
