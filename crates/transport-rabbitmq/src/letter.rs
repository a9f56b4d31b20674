//! A message in AMQP's form, either way.

use std::borrow::Cow;

use amends_transport::{Brought, Message};
use amends_wire::envelope::{header_name, is_attribute, open, structured};
use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};

/// What says why a message was put aside.
pub const REASON: &str = "amends-dead-letter-reason";

/// How long a reason may be: it says what is wrong, and need not quote it.
const REASON_BYTES_MAX: usize = 4 * 1024;

/// How much of the headers of a message that is put aside is kept. They stand in one frame with
/// the reason, of 128 KiB unless the server is set otherwise, and one that is larger ends the
/// connection.
const HEADERS_BYTES_MAX: usize = 64 * 1024;

/// On disk, also where a queue keeps others in memory.
const PERSISTENT: u8 = 2;

/// How often a quorum queue has brought a message before.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// What CloudEvents calls its attributes over AMQP in binary mode, which we take and do not send.
const BINARY_PREFIXES: [&str; 2] = ["cloudevents:", "cloudevents_"];

/// A message as it leaves. One with attributes is an event, and they stand in its body; headers
/// beside them are headers here, too.
pub(crate) fn outgoing(message: &Message) -> (BasicProperties, Bytes) {
    let is_event = message.attributes.iter().any(|(name, _)| name == "specversion");
    let (inside, beside): (Vec<_>, Vec<_>) =
        message.attributes.iter().partition(|(name, _)| is_event && is_attribute(name));
    let mut headers = FieldTable::default();
    for (name, value) in beside {
        insert(&mut headers, &header_name("ce-", name), value);
    }
    let (content_type, body) = if is_event {
        let attributes = inside.iter().map(|(name, value)| (&**name, Cow::Borrowed(&**value)));
        ("application/cloudevents+json", structured(attributes, &message.body))
    } else {
        ("application/json", message.body.clone())
    };
    let mut properties = BasicProperties::default()
        .with_content_type(content_type.into())
        .with_delivery_mode(PERSISTENT)
        .with_headers(headers);
    // For whoever looks at a queue. There is no expiration: a message waits as long as it must.
    if let Ok(id) = ShortString::try_new(&*message.id) {
        properties = properties.with_message_id(id);
    }
    if let Ok(saga_id) = ShortString::try_new(&*message.saga_id) {
        properties = properties.with_correlation_id(saga_id);
    }
    if let Ok(name) = ShortString::try_new(&*message.name) {
        properties = properties.with_type(name);
    }
    (properties, body)
}

/// A message as it came, out of its envelope.
pub(crate) fn incoming(delivery: &Delivery, body: &Bytes) -> Brought {
    let properties = &delivery.properties;
    let table = properties.headers().iter().flatten();
    let mut headers: Vec<_> = table.filter_map(|(name, value)| header(name, value)).collect();
    let is_structured = |kind: &ShortString| kind.as_str().starts_with("application/cloudevents");
    if let Some(kind) = properties.content_type().as_ref().filter(|kind| !is_structured(kind)) {
        headers.push(("content-type".to_owned(), kind.to_string()));
    }
    let (headers, body) = open(headers, body);
    Brought { headers, body, deliveries: deliveries(delivery) }
}

/// A header of the protocol's: text. What else the server adds is its own business.
fn header(name: &ShortString, value: &AMQPValue) -> Option<(String, String)> {
    let name = name.as_str().to_ascii_lowercase();
    let bare = BINARY_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
    let name = bare.map_or_else(|| name.clone(), |bare| header_name("ce-", bare).into_owned());
    match value {
        AMQPValue::LongString(text) => {
            Some((name, std::str::from_utf8(text.as_bytes()).ok()?.to_owned()))
        }
        AMQPValue::ShortString(text) => Some((name, text.to_string())),
        _ => None,
    }
}

/// A queue that does not count says at least whether it is the first time.
fn deliveries(delivery: &Delivery) -> u32 {
    let headers = delivery.properties.headers().as_ref();
    let before = headers.and_then(|headers| headers.inner().get(DELIVERY_COUNT));
    let before = before.and_then(number).unwrap_or_else(|| i64::from(delivery.redelivered));
    u32::try_from(before.saturating_add(1)).unwrap_or(1).max(1)
}

fn number(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(n) => Some((*n).into()),
        AMQPValue::ShortInt(n) => Some((*n).into()),
        AMQPValue::LongInt(n) => Some((*n).into()),
        AMQPValue::LongUInt(n) => Some((*n).into()),
        AMQPValue::LongLongInt(n) => Some(*n),
        _ => None,
    }
}

/// A message as it is put aside: as it came, with the reason. What would send it elsewhere or have
/// it expire, or names another user than us, stays behind.
pub(crate) fn put_aside(came: &BasicProperties, reason: &str) -> BasicProperties {
    const ROUTES: [&str; 2] = ["CC", "BCC"];
    let mut headers = FieldTable::default();
    let mut left = HEADERS_BYTES_MAX;
    for (name, value) in came.headers().iter().flatten() {
        let bytes = name.as_str().len() + bytes(value);
        if bytes <= left && !ROUTES.contains(&name.as_str()) {
            left -= bytes;
            headers.insert(name.clone(), value.clone());
        }
    }
    insert(&mut headers, REASON, shortened(reason));
    let mut properties =
        BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(headers);
    if let Some(kind) = came.content_type() {
        properties = properties.with_content_type(kind.clone());
    }
    if let Some(id) = came.message_id() {
        properties = properties.with_message_id(id.clone());
    }
    if let Some(id) = came.correlation_id() {
        properties = properties.with_correlation_id(id.clone());
    }
    if let Some(kind) = came.kind() {
        properties = properties.with_type(kind.clone());
    }
    properties
}

fn shortened(reason: &str) -> &str {
    let mut ends = (0..=reason.len().min(REASON_BYTES_MAX)).rev();
    let end = ends.find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
    &reason[..end]
}

/// About as many as it takes up on the wire.
fn bytes(value: &AMQPValue) -> usize {
    const PLAIN: usize = 9;
    match value {
        AMQPValue::LongString(text) => text.len() + PLAIN,
        AMQPValue::ShortString(text) => text.as_str().len() + PLAIN,
        AMQPValue::ByteArray(array) => array.len() + PLAIN,
        AMQPValue::FieldArray(array) => array.as_slice().iter().map(bytes).sum::<usize>() + PLAIN,
        AMQPValue::FieldTable(table) => {
            let entries = table.into_iter().map(|(name, value)| name.as_str().len() + bytes(value));
            entries.sum::<usize>() + PLAIN
        }
        _ => PLAIN,
    }
}

fn insert(headers: &mut FieldTable, name: &str, value: &str) {
    // A name that AMQP cannot say is none of the protocol's.
    if let Ok(name) = ShortString::try_new(name) {
        headers.insert(name, AMQPValue::LongString(value.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_transport::Kind;

    fn message(attributes: &[(&str, &str)]) -> Message {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Message {
            id: "s/write/action:1".to_owned(),
            saga_id: "s".to_owned(),
            kind: Kind::Command,
            name: "Desk.Write".to_owned(),
            attributes: attributes.iter().map(owned).collect(),
            body: "{\"n\":1.50}".into(),
        }
    }

    fn delivered(properties: BasicProperties) -> Delivery {
        let mut delivery = Delivery::mock(1, "".into(), "q".into(), false, Vec::new());
        delivery.properties = properties;
        delivery
    }

    #[test]
    fn what_leaves_comes_out_of_its_envelope_as_it_was() {
        let sent = [
            ("specversion", "1.0"),
            ("id", "s/write/action:1"),
            ("datacontenttype", "application/json"),
            ("amends-reply-to", "http://h/5%"),
        ];
        let (properties, body) = outgoing(&message(&sent));
        assert_eq!(properties.expiration(), &None, "it waits as long as it must");
        assert_eq!(properties.correlation_id().as_ref().unwrap().as_str(), "s");
        let brought = incoming(&delivered(properties), &body);
        assert_eq!(brought.body, "{\"n\":1.50}");
        let expected = [
            ("amends-reply-to", "http://h/5%"),
            ("ce-specversion", "1.0"),
            ("ce-id", "s/write/action:1"),
            ("content-type", "application/json"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(brought.headers, expected);
    }

    #[test]
    fn binary_mode_is_taken_too() {
        let mut headers = FieldTable::default();
        insert(&mut headers, "cloudEvents:type", "SagaStepCompleted");
        insert(&mut headers, "cloudEvents_id", "7");
        let brought =
            incoming(&delivered(BasicProperties::default().with_headers(headers)), &"{}".into());
        let expected = [("ce-type", "SagaStepCompleted"), ("ce-id", "7")];
        for (name, value) in expected {
            assert!(brought.headers.contains(&(name.to_owned(), value.to_owned())));
        }
    }

    #[test]
    fn what_is_put_aside_fits_into_a_frame_and_goes_nowhere_else() {
        let mut headers = FieldTable::default();
        insert(&mut headers, "CC", "elsewhere");
        insert(&mut headers, "large", &"x".repeat(100_000));
        insert(&mut headers, "small", "kept");
        let came = BasicProperties::default()
            .with_headers(headers)
            .with_expiration("1000".into())
            .with_user_id("another".into());
        let aside = put_aside(&came, &"é".repeat(REASON_BYTES_MAX));
        let kept = aside.headers().as_ref().unwrap();
        let names: Vec<_> = kept.into_iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [REASON, "small"]);
        assert!(kept.into_iter().map(|(_, value)| bytes(value)).sum::<usize>() < 5_000);
        assert_eq!((aside.expiration(), aside.user_id()), (&None, &None));
    }
}
