//! JSON that is passed on as it came: numbers keep their digits, keys their order.

use amends_core::{Payload, Time};
use amends_wire::{envelope, json};
use serde_json::value::{RawValue, to_raw_value};

/// A payload as JSON text to be copied into an answer. What is not JSON, which the engine does not
/// take in, would be shown as a string rather than break the answer.
pub fn verbatim(payload: &Payload) -> Box<RawValue> {
    from_bytes(payload.bytes())
}

/// The same from bytes.
pub fn from_bytes(bytes: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8_lossy(bytes);
    let checked = json::check(bytes).ok().and_then(|()| serde_json::from_str(text.trim()).ok());
    checked.unwrap_or_else(|| string(&text))
}

/// A JSON string.
pub fn string(text: &str) -> Box<RawValue> {
    to_raw_value(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// An instant as RFC 3339, with milliseconds.
pub fn instant(at: Time) -> String {
    envelope::rfc3339(at.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_copied_digit_by_digit() {
        let cases = [
            (r#"{"b":1.50,"a":123456789012345678901234567890}"#, None),
            ("1e400", None),
            (r#""\ud800""#, None),
            ("  [1]\n", Some("[1]")),
            ("no json", Some(r#""no json""#)),
            ("", Some(r#""""#)),
            ("{} {}", Some(r#""{} {}""#)),
        ];
        for (given, expected) in cases {
            assert_eq!(verbatim(&given.into()).get(), expected.unwrap_or(given), "{given}");
        }
        assert_eq!(from_bytes(b"\xff").get(), "\"\u{fffd}\"");
    }
}
