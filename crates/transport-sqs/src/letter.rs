//! A message in SQS's form, either way.

use std::borrow::Cow;
use std::collections::HashMap;

use amends_transport::{Brought, Message};
use amends_wire::envelope::{TRACEPARENT, is_attribute, open, structured};
use aws_sdk_sqs::types::{self, MessageAttributeValue, MessageSystemAttributeName};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::characters::{is_taken, restored, sendable};

/// What says why a message was put aside.
pub const REASON: &str = "amends-dead-letter-reason";

/// How long a reason may be: it says what is wrong, and need not quote it.
const REASON_BYTES_MAX: usize = 4 * 1024;

/// How many headers a message may have beside its envelope.
const HEADERS_MAX: usize = 10;

/// How long the name of one may be.
const HEADER_NAME_MAX: usize = 256;

/// How long a group's name or a message's id may be.
const TOKEN_MAX: usize = 128;

const TEXT: &str = "String";

/// A message as it is sent.
#[derive(Clone)]
pub(crate) struct Letter {
    pub(crate) body: String,
    pub(crate) headers: HashMap<String, MessageAttributeValue>,
    /// Whose it is: what is of one group keeps its order.
    pub(crate) group: String,
    /// What is known for five minutes.
    pub(crate) id: String,
}

impl Letter {
    /// As many as SQS counts.
    pub(crate) fn bytes(&self) -> usize {
        self.body.len() + self.headers.iter().map(|(name, value)| bytes(name, value)).sum::<usize>()
    }
}

/// A message as it leaves; or why it cannot. One with attributes is an event, and they stand in its
/// body; headers beside them are headers here, too.
pub(crate) fn outgoing(message: &Message) -> Result<Letter, String> {
    let is_event = message.attributes.iter().any(|(name, _)| name == "specversion");
    let (inside, mut beside): (Vec<_>, Vec<_>) =
        message.attributes.iter().partition(|(name, _)| is_event && is_attribute(name));
    let body = if is_event {
        let attributes = inside.iter().map(|(name, value)| (&**name, Cow::Borrowed(&**value)));
        structured(attributes, &message.body)
    } else {
        message.body.clone()
    };
    let body = sendable(&body).map_err(|why| format!("SQS does not take this message: {why}"))?;
    // For whoever follows a trace and opens no envelope.
    beside.extend(inside.into_iter().filter(|(name, _)| name == TRACEPARENT));
    let said = beside.iter().filter(|(name, value)| is_header(name, value));
    let headers: HashMap<_, _> = said.map(|(name, value)| (name.clone(), text(value))).collect();
    if headers.len() > HEADERS_MAX {
        return Err(format!(
            "SQS takes {HEADERS_MAX} headers beside a message, and this one has {}",
            headers.len()
        ));
    }
    Ok(Letter {
        body: body.into_owned(),
        headers,
        group: token(&message.saga_id),
        id: token(&message.id),
    })
}

/// A header that SQS cannot say is none of the protocol's.
fn is_header(name: &str, value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=HEADER_NAME_MAX).contains(&name.len())
        && name.chars().all(plain)
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !["aws.", "amazon."].iter().any(|own| name.to_ascii_lowercase().starts_with(own))
        && !value.is_empty()
        && value.chars().all(is_taken)
}

/// A message as it came, out of its envelope. What stands both inside and beside counts as inside.
pub(crate) fn incoming(message: &types::Message) -> Brought {
    let body = restored(message.body().unwrap_or_default()).into_owned();
    let (inside, body) = open([], &Bytes::from(body));
    let beside = message.message_attributes().into_iter().flatten().filter_map(|(name, value)| {
        Some((name.clone(), value.string_value()?.to_owned())) // bytes are none of the protocol's
    });
    let (mut headers, _) = open(beside, &Bytes::new());
    headers.retain(|(name, _)| !inside.iter().any(|(own, _)| own == name));
    headers.extend(inside);
    let count = system(message, &MessageSystemAttributeName::ApproximateReceiveCount);
    let deliveries = count.and_then(|count| count.parse().ok()).unwrap_or(1).max(1);
    Brought { headers, body, deliveries }
}

fn system<'a>(message: &'a types::Message, name: &MessageSystemAttributeName) -> Option<&'a str> {
    Some(message.attributes()?.get(name)?.as_str())
}

/// A message as it is put aside: as it came, with the reason, as far as both fit into this many
/// bytes.
pub(crate) fn put_aside(came: &types::Message, reason: &str, bytes_max: usize) -> Letter {
    let own = |message: &types::Message| message.message_id().unwrap_or_default().to_owned();
    let group = system(came, &MessageSystemAttributeName::MessageGroupId);
    let mut letter = Letter {
        body: came.body().unwrap_or_default().to_owned(),
        headers: HashMap::new(),
        group: group.map_or_else(|| own(came), str::to_owned),
        id: format!("{}/dead-letter", own(came)),
    };
    let reason: String = reason.chars().map(|c| if is_taken(c) { c } else { '\u{fffd}' }).collect();
    let named = REASON.len() + TEXT.len();
    let room = bytes_max.saturating_sub(letter.bytes() + named);
    let reason = shortened(&reason, REASON_BYTES_MAX.min(room));
    if !reason.is_empty() {
        letter.headers.insert(REASON.to_owned(), text(reason));
    }
    for (name, value) in came.message_attributes().into_iter().flatten() {
        let fits = letter.bytes() + bytes(name, value) <= bytes_max;
        if fits && letter.headers.len() < HEADERS_MAX && name != REASON {
            letter.headers.insert(name.clone(), value.clone());
        }
    }
    letter
}

fn shortened(text: &str, bytes_max: usize) -> &str {
    let mut ends = (0..=text.len().min(bytes_max)).rev();
    let end = ends.find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

fn bytes(name: &str, value: &MessageAttributeValue) -> usize {
    let text = value.string_value().map_or(0, str::len);
    let binary = value.binary_value().map_or(0, |binary| binary.as_ref().len());
    name.len() + value.data_type().len() + text + binary
}

fn text(value: &str) -> MessageAttributeValue {
    let value = MessageAttributeValue::builder().data_type(TEXT).string_value(value).build();
    value.expect("its type is said")
}

/// A name for a group, or an id, that SQS takes: what it does not take is told apart by its hash.
fn token(said: &str) -> String {
    const SHOWN: usize = 60;
    let plain = |c: &char| c.is_ascii_graphic();
    if (1..=TOKEN_MAX).contains(&said.len()) && said.chars().all(|c| plain(&c)) {
        return said.to_owned();
    }
    let mut token: String = said.chars().filter(plain).take(SHOWN).collect();
    token.push('~');
    for byte in Sha256::digest(said.as_bytes()) {
        token.push_str(&format!("{byte:02x}"));
    }
    token
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
            body: "{\"n\":1.50,\"t\":\"\u{ffff}\"}".into(),
        }
    }

    fn came(letter: Letter) -> types::Message {
        types::Message::builder()
            .message_id("m")
            .body(letter.body)
            .set_message_attributes(Some(letter.headers))
            .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "3")
            .build()
    }

    #[test]
    fn what_leaves_comes_out_of_its_envelope_as_it_was() {
        let sent = [
            ("specversion", "1.0"),
            ("id", "s/write/action:1"),
            ("traceparent", "00-1-2-01"),
            ("datacontenttype", "application/json"),
            ("amends-reply-to", "http://h/5%"),
        ];
        let letter = outgoing(&message(&sent)).unwrap();
        assert!(letter.body.chars().all(is_taken), "{}", letter.body);
        assert_eq!((&*letter.group, &*letter.id), ("s", "s/write/action:1"));
        assert_eq!(letter.headers["traceparent"].string_value(), Some("00-1-2-01"));
        let brought = incoming(&came(letter));
        assert_eq!((brought.body, brought.deliveries), (message(&[]).body, 3));
        let expected = [
            ("amends-reply-to", "http://h/5%"),
            ("ce-specversion", "1.0"),
            ("ce-id", "s/write/action:1"),
            ("traceparent", "00-1-2-01"),
            ("content-type", "application/json"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(brought.headers, expected);
    }

    #[test]
    fn what_stands_beside_plain_json_is_its_headers() {
        let plain =
            outgoing(&message(&[("ce-type", "SagaStepCompleted"), ("Ce_Id", "7")])).unwrap();
        let mut headers = incoming(&came(plain)).headers;
        headers.sort();
        let expected = [("ce-id", "7"), ("ce-type", "SagaStepCompleted")];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn headers_that_sqs_does_not_take_are_left_out_and_too_many_are_told() {
        let odd = [("a b", "1"), ("AWS.x", "1"), ("-empty", ""), (".x", "1"), ("-bell", "\u{7}")];
        assert!(outgoing(&message(&odd)).unwrap().headers.is_empty());
        let names: Vec<String> = (0..=HEADERS_MAX).map(|number| format!("x-{number}")).collect();
        let many: Vec<_> = names.iter().map(|name| (&**name, "1")).collect();
        let why = outgoing(&message(&many)).err().unwrap();
        assert!(why.contains("10 headers") && why.contains("11"), "{why}");
    }

    #[test]
    fn what_is_put_aside_fits_with_its_reason_and_ten_headers() {
        let names: Vec<String> = (0..HEADERS_MAX).map(|number| format!("x-{number}")).collect();
        let many: Vec<_> = names.iter().map(|name| (&**name, "1")).collect();
        let came = came(outgoing(&message(&many)).unwrap());
        let aside = put_aside(&came, "no \u{7}é", 1 << 20);
        assert_eq!(aside.headers.len(), HEADERS_MAX);
        assert_eq!(aside.headers[REASON].string_value(), Some("no \u{fffd}é"));
        let body = came.body().unwrap().len();
        for bytes_max in [body, body + 31, body + 33, body + 60, body + 200] {
            let aside = put_aside(&came, &"é".repeat(REASON_BYTES_MAX), bytes_max);
            assert_eq!(aside.body.len(), body);
            assert!(aside.bytes() <= bytes_max, "{} of {bytes_max}", aside.bytes());
        }
        let aside = put_aside(&came, &"é".repeat(REASON_BYTES_MAX), 1 << 20);
        assert_eq!(aside.headers[REASON].string_value().unwrap().len(), REASON_BYTES_MAX);
    }

    #[test]
    fn what_is_no_id_there_is_told_apart_all_the_same() {
        let long = "x".repeat(TOKEN_MAX + 1);
        let made: Vec<String> =
            ["", "a b", "a\u{e9}b", "ab", &long, &format!("{long}x")].map(token).into();
        assert!(made.iter().all(|token| (1..=TOKEN_MAX).contains(&token.len())), "{made:?}");
        let apart: std::collections::BTreeSet<_> = made.iter().collect();
        assert_eq!(apart.len(), made.len());
    }
}
