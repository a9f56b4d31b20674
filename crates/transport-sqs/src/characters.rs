//! Characters that SQS does not take, and how JSON says them without them.
//!
//! A body may hold what XML 1.0 calls a character. JSON has none of the others outside of its strings,
//! and inside of them two that XML does not know: U+FFFE and U+FFFF. They are escaped, in a spelling
//! that nobody else has, so that the other end can have the very bytes back: what is signed is those.

use std::borrow::Cow;

/// Each with its escape. Hexadecimal digits of both cases mean the same.
const SPELLINGS: [(char, &str); 2] = [('\u{fffe}', "\\uFfFe"), ('\u{ffff}', "\\uFfFf")];

/// The JSON text as it may be sent; or why not.
pub(crate) fn sendable(text: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "it is no text (UTF-8)")?;
    if text.is_empty() {
        return Err("it is empty");
    }
    let spelled = |c: char| SPELLINGS.iter().any(|(one, _)| *one == c);
    if text.chars().any(|c| !is_taken(c) && !spelled(c)) {
        return Err("it holds a control character, which JSON escapes");
    }
    if !text.contains(spelled) {
        return Ok(Cow::Borrowed(text));
    }
    let escaped =
        SPELLINGS.iter().fold(text.to_owned(), |text, (c, escape)| text.replace(*c, escape));
    Ok(Cow::Owned(escaped))
}

/// The JSON text as it was before.
pub(crate) fn restored(text: &str) -> Cow<'_, str> {
    if !SPELLINGS.iter().any(|(_, escape)| text.contains(escape)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let ours = SPELLINGS.iter().find(|(_, ours)| escape.starts_with(ours));
        let taken = match ours {
            Some((c, ours)) => {
                out.push(*c);
                ours.len()
            }
            None => {
                // A backslash says something of what follows, which may be a backslash.
                let of = escape[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&escape[..=of]);
                1 + of
            }
        };
        rest = &escape[taken..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Whether XML 1.0 calls it a character.
pub(crate) fn is_taken(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sqs_does_not_take_is_escaped_and_comes_back_as_it_was() {
        for text in [
            "{\"a\":\"\u{ffff}\u{fffe}é\\u0000\"}",
            "\"\\\\\u{ffff}\\\\\"",
            "{\"plain\": [1, \"\\uffff\", \"\\uFFFE\"]}",
            "\"\\\\uFfFf is six letters after a backslash, \u{fffe} is one\"",
        ] {
            let sent = sendable(text.as_bytes()).unwrap();
            assert!(sent.chars().all(is_taken), "{sent}");
            assert_eq!(restored(&sent), text);
        }
    }

    #[test]
    fn what_is_no_json_is_told() {
        for (text, why) in [(&b""[..], "empty"), (b"\"\0\"", "control"), (b"\xff", "UTF-8")] {
            assert!(sendable(text).unwrap_err().contains(why), "{why}");
        }
    }

    #[test]
    fn what_others_wrote_is_left_alone() {
        for text in ["", "\\", "no json \\", "\"\\\\uFfFf\"", "\\é\\\\"] {
            assert_eq!(restored(text), text);
        }
    }
}
