//! The values of a saga that nobody below operator sees, taken out of whatever they come back in: a
//! participant may quote them in an error, a result or a note (`semantics.md` S24).
//!
//! What is found is the value as it is, in whatever case, as it stands in JSON or in a URL, and cut
//! off at the end of a text. A value that a participant has changed in another way (encoded, hashed,
//! a part of it) is not known for what it is, and neither are `true`, `false` and null.

use std::borrow::Cow;
use std::ops::Range;

use amends_wire::json;
use serde_json::value::RawValue;

/// What stands in the place of a hidden value.
pub const REDACTED: &str = "[redacted]";

/// A value with fewer characters is looked for as a word of its own, and in free text only: it would
/// be found by chance in others.
const ANYWHERE_CHARS_MIN: usize = 4;

/// Hidden values, to be looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden {
    /// In lower case, the longest first.
    values: Vec<String>,
}

impl Hidden {
    /// Looks for these.
    pub(crate) fn new(values: Vec<String>) -> Self {
        let mut all: Vec<String> = values.into_iter().flat_map(written).collect();
        all.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        all.dedup();
        Self { values: all }
    }

    /// Is there nothing to look for?
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The text without the values in it.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.without(text, 1)
    }

    /// The JSON text without the values in its texts, names and numbers; everything else as it is
    /// written.
    pub fn json<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if self.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(self.in_json(text)) }
    }

    fn in_json(&self, text: &[u8]) -> Vec<u8> {
        let redacted = || format!("\"{REDACTED}\"").into_bytes();
        let text = text.trim_ascii();
        match (text.first(), json::members(text)) {
            (_, Err(_)) | (None, _) => redacted(),
            (_, Ok(Some(members))) => {
                let parts = members.iter().map(|member| {
                    [&*self.in_json(member.key), b":", &*self.in_json(member.value)].concat()
                });
                enclose(b'{', parts, b'}')
            }
            (Some(b'['), Ok(None)) => match serde_json::from_slice::<Vec<&RawValue>>(text) {
                Ok(items) => {
                    let items = items.iter().map(|item| self.in_json(item.get().as_bytes()));
                    enclose(b'[', items, b']')
                }
                Err(_) => redacted(),
            },
            (Some(b'"'), Ok(None)) => match serde_json::from_slice::<String>(text) {
                Ok(read) => match self.without(&read, ANYWHERE_CHARS_MIN) {
                    Cow::Borrowed(_) => text.to_vec(),
                    Cow::Owned(without) => serde_json::Value::from(without).to_string().into(),
                },
                // Half a surrogate pair, say: it cannot be looked into.
                Err(_) => redacted(),
            },
            (Some(_), Ok(None)) => {
                let read = String::from_utf8_lossy(text);
                let without = self.without(&read, ANYWHERE_CHARS_MIN);
                if without == read { text.to_vec() } else { redacted() }
            }
        }
    }

    /// The text without those values that have at least so many characters.
    fn without<'t>(&self, text: &'t str, chars_min: usize) -> Cow<'t, str> {
        let lower = text.to_ascii_lowercase(); // every byte stays at its place
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for value in &self.values {
            let chars = value.chars().count();
            if chars < chars_min {
                continue;
            }
            let found = lower.match_indices(value.as_str()).map(|(at, _)| at..at + value.len());
            if chars >= ANYWHERE_CHARS_MIN {
                ranges.extend(found);
                ranges.extend(cut_off(&lower, value));
            } else {
                ranges.extend(found.filter(|range| is_word(&lower, range)));
            }
        }
        if ranges.is_empty() {
            return Cow::Borrowed(text);
        }
        ranges.sort_unstable_by_key(|range| (range.start, range.end));
        let (mut shown, mut end) = (String::with_capacity(text.len()), 0);
        for range in ranges {
            if range.start >= end {
                shown.push_str(&text[end..range.start]);
                shown.push_str(REDACTED);
            }
            end = end.max(range.end);
        }
        shown.push_str(&text[end..]);
        Cow::Owned(shown)
    }
}

/// The ways in which a value may be quoted, in lower case.
fn written(value: String) -> Vec<String> {
    let value = value.trim();
    if value.is_empty() {
        return Vec::new();
    }
    let in_json = serde_json::Value::from(value).to_string();
    let in_json = in_json[1..in_json.len() - 1].to_owned(); // without the quotes around it
    let mut in_url = String::new();
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                in_url.push(byte as char);
            }
            _ => in_url.push_str(&format!("%{byte:02X}")),
        }
    }
    [value.to_owned(), in_json, in_url].map(|text| text.to_ascii_lowercase()).into()
}

/// The beginning of the value at the end of a text that was cut off.
fn cut_off(text: &str, value: &str) -> Option<Range<usize>> {
    let ends_at = text.trim_end_matches(['…', '.', '"', '\'', ')', ' ']).len();
    let text = &text[..ends_at];
    let starts = value.char_indices().skip(ANYWHERE_CHARS_MIN).map(|(end, _)| &value[..end]);
    let longest = starts.filter(|start| text.ends_with(start)).last()?;
    Some(ends_at - longest.len()..ends_at)
}

fn is_word(text: &str, range: &Range<usize>) -> bool {
    let before = text[..range.start].chars().next_back();
    let after = text[range.end..].chars().next();
    [before, after].into_iter().flatten().all(|c| !c.is_alphanumeric())
}

/// The parts of an object or a list, put together again.
pub(crate) fn enclose(open: u8, parts: impl Iterator<Item = Vec<u8>>, close: u8) -> Vec<u8> {
    let mut text = vec![open];
    for part in parts {
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(&part);
    }
    text.push(close);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(values: &[&str]) -> Hidden {
        Hidden::new(values.iter().map(|value| (*value).to_owned()).collect())
    }

    #[test]
    fn values_are_found_as_they_may_be_quoted() {
        let of = hidden(&["tok-4242", "a b\"c", "12"]);
        for (text, expected) in [
            ("card tok-4242 was declined", "card [redacted] was declined"),
            ("TOK-4242/tok-4242", "[redacted]/[redacted]"),
            ("xtok-4242x", "x[redacted]x"),
            ("GET /cards/a%20b%22c", "GET /cards/[redacted]"),
            (r#"{"card":"a b\"c"}"#, r#"{"card":"[redacted]"}"#),
            ("HTTP 412: 12 is no pin; pin=12.", "HTTP 412: [redacted] is no pin; pin=[redacted]."),
            ("the body begins: tok-42…", "the body begins: [redacted]…"),
            ("the body begins: tok", "the body begins: tok"),
            ("nothing to see", "nothing to see"),
            ("ünï tok-4242 ünï", "ünï [redacted] ünï"),
            ("", ""),
        ] {
            assert_eq!(of.text(text), expected, "{text}");
        }
    }

    #[test]
    fn values_that_overlap_are_hidden_as_one() {
        let of = hidden(&["abcdef", "defghi", "cdef"]);
        assert_eq!(of.text("-abcdefghi-"), "-[redacted]-");
        assert_eq!(of.text("abcdefabcdef"), "[redacted][redacted]");
    }

    #[test]
    fn json_keeps_its_form() {
        let of = hidden(&["tok-4242", "4711", "ab"]);
        for (text, expected) in [
            (r#"{"a":"tok-4242","n":1.50}"#, r#"{"a":"[redacted]","n":1.50}"#),
            (
                r#"{"tok-4242":[4711,47,"x 4711"]}"#,
                r#"{"[redacted]":["[redacted]",47,"x [redacted]"]}"#,
            ),
            (r#""to\u006b-4242""#, r#""[redacted]""#),
            (r#"["ab",true,null,{}]"#, r#"["ab",true,null,{}]"#),
            (r#""\ud800""#, r#""[redacted]""#),
        ] {
            let shown = of.json(text.as_bytes());
            assert_eq!(String::from_utf8_lossy(&shown), expected, "{text}");
        }
        assert_eq!(hidden(&[]).json(b"{ }").as_ref(), b"{ }");
        assert_eq!(hidden(&["", " "]), Hidden::default());
    }
}
