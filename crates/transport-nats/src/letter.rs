//! The headers of a message as it is put aside.

use amends_wire::envelope::header_value;
use async_nats::{HeaderMap, HeaderName, HeaderValue};

/// What says why a message was put aside.
pub(crate) const REASON: &str = "amends-dead-letter-reason";

/// The server drops a second message of the same id.
pub(crate) const MESSAGE_ID: &str = "Nats-Msg-Id";

/// Headers that tell the server what to do with a message, and were meant for where it lay: one that
/// says which message has to be the last refuses it for ever.
const TO_THE_SERVER: &str = "nats-";

/// As they came, with the reason, as far as both fit into this many bytes: what is as large as the
/// server takes must not come for ever.
pub(crate) fn put_aside(came: &HeaderMap, reason: &str, bytes_max: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in came.iter() {
        let plain = text(name).to_ascii_lowercase();
        if plain.starts_with(TO_THE_SERVER) || plain == REASON {
            continue;
        }
        values.iter().for_each(|value| headers.append(name.clone(), value.clone()));
    }
    if bytes(&headers) > bytes_max {
        // The server took them in a shorter spelling.
        headers = HeaderMap::new();
    }
    // Another message than the one that lies on the subject that it came from.
    let id = came.get(MESSAGE_ID).map(|id| format!("{}/dead-letter", id.as_str()));
    if let Some(id) = id.filter(|id| bytes(&headers) + line(MESSAGE_ID, id) <= bytes_max) {
        headers.insert(MESSAGE_ID, HeaderValue::from(id));
    }
    let room = bytes_max.saturating_sub(bytes(&headers) + line(REASON, ""));
    let reason = shortened(reason, room);
    if !reason.is_empty() {
        headers.insert(REASON, value(reason));
    }
    headers
}

/// Percent-encoded, so that it holds no end of a line.
pub(crate) fn value(text: &str) -> HeaderValue {
    HeaderValue::from(&*header_value(text))
}

/// As much of a text as is no longer than this once it is encoded.
fn shortened(text: &str, bytes_max: usize) -> &str {
    let mut encoded = 0;
    let fits = |(at, c): &(usize, char)| {
        encoded += header_value(&text[*at..*at + c.len_utf8()]).len();
        encoded <= bytes_max
    };
    let end = text.char_indices().take_while(fits).last();
    &text[..end.map_or(0, |(at, c)| at + c.len_utf8())]
}

/// How many bytes of a message its headers are.
fn bytes(headers: &HeaderMap) -> usize {
    // It begins and ends even where it holds nothing but what is put into it next.
    const ENDS: usize = "NATS/1.0\r\n\r\n".len();
    let lines = headers.iter().flat_map(|(name, values)| values.iter().map(move |v| (name, v)));
    lines.map(|(name, value)| line(text(name), value.as_str())).sum::<usize>() + ENDS
}

fn text(name: &HeaderName) -> &str {
    name.as_ref()
}

fn line(name: &str, value: &str) -> usize {
    name.len() + ": ".len() + value.len() + "\r\n".len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_wire::envelope::header_text;

    fn came() -> HeaderMap {
        let mut came = HeaderMap::new();
        came.insert(MESSAGE_ID, "1");
        came.insert("Nats-Expected-Last-Sequence", "7");
        came.append("twice", "a");
        came.append("twice", "b");
        came
    }

    fn reason(headers: &HeaderMap) -> Option<String> {
        Some(header_text(headers.get(REASON)?.as_str()).into_owned())
    }

    #[test]
    fn what_is_put_aside_has_the_reason_and_what_it_came_with() {
        let aside = put_aside(&came(), "no \"é\"", 1 << 20);
        assert_eq!(aside.get(MESSAGE_ID).map(HeaderValue::as_str), Some("1/dead-letter"));
        assert_eq!(aside.get_all("twice").count(), 2);
        assert_eq!(reason(&aside).as_deref(), Some("no \"é\""));
        assert_eq!(aside.len(), 3, "what was meant for the server is not said again: {aside:?}");
    }

    #[test]
    fn as_much_of_the_reason_is_kept_as_there_is_room_for() {
        let why = "é: it is no JSON";
        let without = bytes(&put_aside(&came(), "", 1 << 20));
        let mut kept = Vec::new();
        for left in 0..100 {
            let aside = put_aside(&came(), why, without + left);
            assert!(bytes(&aside) <= without + left, "{left}: {aside:?}");
            assert_eq!(aside.get_all("twice").count(), 2);
            kept.push(reason(&aside).unwrap_or_default());
        }
        kept.dedup();
        let ends = why.char_indices().map(|(at, _)| &why[..at]).chain([why]);
        assert_eq!(kept, ends.collect::<Vec<_>>());
    }

    #[test]
    fn a_body_that_fills_a_message_is_put_aside_alone() {
        let all = bytes(&put_aside(&came(), "", 1 << 20));
        let fits = |bytes_max| put_aside(&came(), "no JSON", bytes_max);
        assert_eq!(fits(all - 1).get(MESSAGE_ID), None);
        assert_eq!(fits(all - 1).get_all("twice").count(), 2);
        assert!(fits(20).is_empty() && fits(0).is_empty());
    }
}
