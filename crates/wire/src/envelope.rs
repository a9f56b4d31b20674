//! The envelope of a sending: CloudEvents 1.0 attributes and our own headers.
//!
//! The body is the same at every sending; whatever differs between two of them stands here.
//! Binary mode puts the attributes into headers (HTTP, Kafka, NATS), structured mode puts
//! attributes and body into one JSON text (RabbitMQ, SQS).

use std::borrow::Cow;

use bytes::Bytes;

use crate::command::{CommandId, SagaId};
use crate::json;
use crate::reply::SendingId;

/// The number of the attempt, counted from 1.
pub const AMENDS_ATTEMPT: &str = "amends-attempt";
/// When the step's deadline passes, RFC 3339.
pub const AMENDS_DEADLINE: &str = "amends-deadline";
/// Where a later answer may be posted.
pub const AMENDS_REPLY_TO: &str = "amends-reply-to";
/// The idempotency key, over HTTP.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
/// The attribute that says what the data is.
pub const DATACONTENTTYPE: &str = "datacontenttype";
/// The header of it in binary mode.
pub const CONTENT_TYPE: &str = "content-type";
/// The media type of a structured envelope.
pub const CLOUDEVENTS_JSON: &str = "application/cloudevents+json";

/// What one sending says besides its body.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    /// What is sent.
    pub command: &'a CommandId,
    /// The command's full name, the event's `type`: `InventoryService.ReserveItems`.
    pub command_name: &'a str,
    /// The saga's type, which names the event's `source`.
    pub saga_type: &'a str,
    /// The attempt, counted from 1.
    pub attempt: u32,
    /// When the step's deadline passes, in milliseconds since 1970.
    pub deadline_unix_ms: u64,
    /// What caused it: the id of a domain event, where the sender knows it.
    pub causation_id: Option<&'a str>,
    /// The trace that it is part of.
    pub traceparent: Option<&'a str>,
}

impl<'a> Sending<'a> {
    /// The CloudEvents attributes by their bare names, in a fixed order. In binary mode each is
    /// a header `ce-<name>` over HTTP and NATS, `ce_<name>` over Kafka, `traceparent` excepted,
    /// which stands under its own name.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, Cow<'a, str>)> {
        let id = SendingId { command: self.command.clone(), attempt: self.attempt }.to_string();
        let saga_id: SagaId = self.command.saga_id;
        [
            ("specversion", Some(Cow::Borrowed("1.0"))),
            ("id", Some(id.into())),
            ("source", Some(source(self.saga_type).into())),
            ("type", Some(self.command_name.into())),
            ("correlationid", Some(saga_id.to_string().into())),
            ("causationid", self.causation_id.map(Cow::Borrowed)),
            ("expirytime", Some(rfc3339(self.deadline_unix_ms).into())),
            (TRACEPARENT, self.traceparent.map(Cow::Borrowed)),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
    }

    /// One JSON text with the attributes and, as `data`, the body, copied verbatim.
    pub fn structured(&self, body: &[u8]) -> Bytes {
        structured(self.attributes(), body)
    }
}

/// One JSON text with these attributes, by their bare names, and, as `data`, the body, which is
/// JSON and is copied verbatim.
pub fn structured<'n, 'a>(
    attributes: impl IntoIterator<Item = (&'n str, Cow<'a, str>)>,
    body: &[u8],
) -> Bytes {
    const ATTRIBUTES_BYTES: usize = 512;
    let mut out = Vec::with_capacity(ATTRIBUTES_BYTES + body.len());
    out.push(b'{');
    for (name, value) in attributes {
        if name == DATACONTENTTYPE {
            continue;
        }
        json::write_string(&mut out, name);
        out.push(b':');
        json::write_string(&mut out, &value);
        out.push(b',');
    }
    out.extend_from_slice(b"\"datacontenttype\":\"application/json\",\"data\":");
    out.extend_from_slice(body);
    out.push(b'}');
    out.into()
}

/// Whether this names a CloudEvents attribute, and no header beside the envelope: the standard
/// allows lower-case letters and digits alone, and each header of ours has a hyphen.
pub fn is_attribute(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// The header that carries an attribute in binary mode, where `prefix` is that of the transport
/// (`ce-`, over Kafka `ce_`). What is no attribute stands under its own name.
pub fn header_name<'a>(prefix: &str, name: &'a str) -> Cow<'a, str> {
    match name {
        DATACONTENTTYPE => Cow::Borrowed(CONTENT_TYPE),
        TRACEPARENT => Cow::Borrowed(name),
        _ if is_attribute(name) => Cow::Owned(format!("{prefix}{name}")),
        _ => Cow::Borrowed(name),
    }
}

/// A message as it came, out of its envelope: headers by lower-case names, each attribute under
/// `ce-<name>` whatever the transport calls it, and the body.
///
/// In structured mode attributes and body stand in one text. What is none, or a broken one, is
/// left as it is: whoever reads it says what is wrong.
pub fn open(
    headers: impl IntoIterator<Item = (String, String)>,
    body: &Bytes,
) -> (Vec<(String, String)>, Bytes) {
    let mut opened: Vec<_> = headers
        .into_iter()
        .map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            match name.strip_prefix("ce_") {
                Some(attribute) => (format!("ce-{attribute}"), value),
                None => (name, value),
            }
        })
        .collect();
    match in_structure(body) {
        Some((attributes, data)) => {
            opened.extend(attributes);
            (opened, data)
        }
        None => (opened, body.clone()),
    }
}

/// The attributes and the data of a structured envelope, where this is one.
fn in_structure(body: &Bytes) -> Option<(Vec<(String, String)>, Bytes)> {
    let members = json::members(body).ok()??;
    let mut attributes = Vec::new();
    let mut data = None;
    for member in &members {
        let name = member.name()?;
        match &*name {
            "data" => {
                if data.replace(body.slice_ref(member.value)).is_some() {
                    return None;
                }
            }
            // Base64 is for what is no JSON, and everything here is.
            "data_base64" => return None,
            name => {
                if let Some(value) = json::string(member.value).filter(|_| is_attribute(name)) {
                    let name = header_name("ce-", name);
                    attributes.push((name.into_owned(), value.into_owned()));
                }
            }
        }
    }
    let is_event =
        attributes.iter().any(|(name, value)| name == "ce-specversion" && value == "1.0");
    is_event.then_some((attributes, data?))
}

/// The event source of a saga type: a URI reference.
pub fn source(saga_type: &str) -> String {
    format!(
        "/sagas/{}",
        percent_encoded(saga_type, |b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    )
}

/// A value as CloudEvents puts it into an HTTP header: what is not plain ASCII, and space, `"`
/// and `%`, percent-encoded.
pub fn header_value(value: &str) -> Cow<'_, str> {
    percent_encoded(value, |b| b.is_ascii_graphic() && b != b'"' && b != b'%')
}

/// The text of such a value. What is no encoding is left as it stands.
pub fn header_text(value: &str) -> Cow<'_, str> {
    let digit = |at: usize| value.as_bytes().get(at).and_then(|b| char::from(*b).to_digit(16));
    if !value.contains('%') {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    let mut at = 0;
    while let Some(&byte) = value.as_bytes().get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).map_or(Cow::Borrowed(value), Cow::Owned)
}

fn percent_encoded(text: &str, plain: impl Fn(u8) -> bool) -> Cow<'_, str> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if text.bytes().all(&plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Cow::Owned(out)
}

/// The last instant that RFC 3339 can write, 9999-12-31T23:59:59.999Z.
const RFC3339_UNIX_MS_MAX: u64 = 253_402_300_799_999;

/// An instant as RFC 3339 writes it, in UTC with milliseconds; what lies beyond the year 9999 is
/// written as its end.
pub fn rfc3339(unix_ms: u64) -> String {
    let unix_ms = unix_ms.min(RFC3339_UNIX_MS_MAX);
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    let ms = ms % 1_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The Gregorian date of a day counted from 1970-01-01. Years are counted from March, so that
/// the leap day is their last, in eras of 400 years, which all have the same length.
fn civil(days_since_1970: u64) -> (u64, u64, u64) {
    const DAYS_FROM_0000_03_01_TO_1970: u64 = 719_468;
    const ERA_DAYS: u64 = 146_097;
    let days = days_since_1970 + DAYS_FROM_0000_03_01_TO_1970;
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Direction;
    use crate::reply::{Headers, Reply, ReplyKind};
    use proptest::prelude::*;
    use serde_json::Value;
    use std::time::{Duration, UNIX_EPOCH};

    fn command() -> CommandId {
        CommandId {
            saga_id: SagaId(0x0192_f0c1_2345_7abc_8def_0123_4567_89ab),
            step_name: "reserve_inventory".to_owned(),
            direction: Direction::Action,
            round: 1,
        }
    }

    fn sending(command: &CommandId) -> Sending<'_> {
        Sending {
            command,
            command_name: "InventoryService.ReserveItems",
            saga_type: "Order Fulfilment",
            attempt: 3,
            deadline_unix_ms: 1_700_000_000_123,
            causation_id: None,
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        }
    }

    #[test]
    fn the_attributes_are_complete_and_in_order() {
        let command = command();
        let shown: Vec<_> = sending(&command).attributes().collect();
        let id = "0192f0c1-2345-7abc-8def-0123456789ab";
        let expected = [
            ("specversion", "1.0".to_owned()),
            ("id", format!("{id}/reserve_inventory/action:3")),
            ("source", "/sagas/Order%20Fulfilment".to_owned()),
            ("type", "InventoryService.ReserveItems".to_owned()),
            ("correlationid", id.to_owned()),
            ("expirytime", "2023-11-14T22:13:20.123Z".to_owned()),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        ];
        let shown: Vec<_> = shown.iter().map(|(n, v)| (*n, v.clone().into_owned())).collect();
        assert_eq!(shown, expected);
        let caused = Sending { causation_id: Some("x/7"), ..sending(&command) };
        assert!(caused.attributes().any(|a| a == ("causationid", "x/7".into())));
    }

    #[test]
    fn a_structured_envelope_carries_the_body_verbatim() {
        let command = command();
        let text = sending(&command).structured(b"{\"n\":1.50}");
        assert!(text.ends_with(b",\"data\":{\"n\":1.50}}"));
        let read: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(read["specversion"], "1.0");
        assert_eq!(read["datacontenttype"], "application/json");
    }

    #[test]
    fn a_reply_that_echoes_the_id_as_its_cause_names_round_and_attempt() {
        let command = CommandId { round: 2, ..command() };
        let id = sending(&command).attributes().find(|(name, _)| *name == "id").unwrap().1;
        let headers: &[(&str, &str)] = &[("ce-type", "SagaStepCompleted"), ("ce-causationid", &id)];
        assert_eq!(headers.value("ce-causationid"), Some(&*id));
        let reply = Reply::parse(headers, &Bytes::new()).unwrap();
        assert_eq!(reply.kind, ReplyKind::StepCompleted);
        assert_eq!((reply.round, reply.attempt), (Some(2), Some(3)));
        assert_eq!(reply.step_name.as_deref(), Some("reserve_inventory"));
    }

    #[test]
    fn an_envelope_opens_to_the_same_in_either_mode() {
        let command = command();
        let sending = sending(&command);
        let body = Bytes::from_static(b"{\"n\":1.50}");
        let in_structure =
            open([("Amends-Reply-To".to_owned(), "r".to_owned())], &sending.structured(&body));
        for prefix in ["ce-", "ce_", "Ce-"] {
            let own = [("amends-reply-to".to_owned(), "r".to_owned())];
            let headers = sending
                .attributes()
                .map(|(name, value)| (header_name(prefix, name).into_owned(), value.into_owned()));
            let json = ("content-type".to_owned(), "application/json".to_owned());
            let in_headers = open(own.into_iter().chain(headers).chain([json]), &body);
            assert_eq!(in_headers, in_structure, "{prefix}");
        }
        let (attributes, data) = in_structure;
        assert_eq!(data, body);
        let id = attributes.iter().find(|(name, _)| name == "ce-id").map(|(_, id)| &**id);
        let parsed = id.and_then(SendingId::parse).unwrap();
        assert_eq!((parsed.command, parsed.attempt), (command.clone(), 3));
    }

    #[test]
    fn what_is_no_envelope_is_left_as_it_is() {
        let header = ("x-own".to_owned(), "1".to_owned());
        for body in [
            "",
            "no json",
            "[]",
            "{\"type\":\"SagaStepCompleted\"}",
            "{\"specversion\":\"0.3\",\"data\":{}}",
            "{\"specversion\":\"1.0\"}",
            "{\"specversion\":\"1.0\",\"data\":1,\"data\":2}",
            "{\"specversion\":\"1.0\",\"data_base64\":\"e30=\"}",
        ] {
            let body = Bytes::from_static(body.as_bytes());
            assert_eq!(open([header.clone()], &body), (vec![header.clone()], body));
        }
    }

    #[test]
    fn header_values_are_plain_ascii() {
        assert_eq!(header_value("a/b:c"), "a/b:c");
        assert_eq!(header_value("5% \"é\"\n"), "5%25%20%22%C3%A9%22%0A");
    }

    #[test]
    fn what_is_no_encoding_stands_as_it_is() {
        for value in ["50%", "%", "%4", "%zz", "%FF", "a%2", "plain"] {
            assert_eq!(header_text(value), value);
        }
        assert_eq!(header_text("50%25"), "50%");
    }

    #[test]
    fn instants_are_written_to_the_end_of_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn a_header_value_is_read_back(text in ".*") {
            let value = header_value(&text);
            prop_assert_eq!(&header_text(&value), &text);
        }

        /// Checked against the calendar of the HTTP date format.
        #[test]
        fn instants_agree_with_http_dates(secs in 0..253_402_300_799u64) {
            let theirs = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(secs));
            let ours = rfc3339(secs * 1000);
            let month = &theirs[8..11];
            let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
            let number = months.find(month).unwrap() / 3 + 1;
            let day = &theirs[5..7];
            let (year, time) = (&theirs[12..16], &theirs[17..25]);
            prop_assert_eq!(ours, format!("{year}-{number:02}-{day}T{time}.000Z"));
        }
    }
}
