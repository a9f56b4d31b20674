//! A strict JSON scanner that checks a text and finds its top-level members without building
//! anything.
//!
//! Bodies are bytes from end to end: numbers keep their digits, keys their order. So all that is
//! asked of a JSON text here is whether it is one, and where its members lie.

use std::borrow::Cow;
use std::fmt;

/// The deepest nesting that is read: a scanner's stack is one machine word of bits, and readers
/// in other languages give up at about this depth.
pub const NESTING_MAX: usize = 128;

/// Why some bytes are not a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Which rule was broken.
    pub kind: JsonErrorKind,
    /// How many bytes from the start.
    pub at: usize,
}

/// The rule that a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The text stops in the middle of a value, or holds none.
    Ended,
    /// A byte that cannot stand there; a bare NUL or another control character among them.
    Unexpected(u8),
    /// More than [`NESTING_MAX`] objects and lists in one another.
    TooDeep,
}

impl std::error::Error for JsonError {}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.kind {
            JsonErrorKind::NotUtf8 => write!(f, "not UTF-8 at byte {at}"),
            JsonErrorKind::Ended => write!(f, "the JSON text ends too early, at byte {at}"),
            JsonErrorKind::Unexpected(byte) if byte.is_ascii_graphic() => {
                write!(f, "`{}` at byte {at} cannot stand there in JSON", byte as char)
            }
            JsonErrorKind::Unexpected(byte) => {
                write!(f, "the byte 0x{byte:02x} at {at} cannot stand there in JSON")
            }
            JsonErrorKind::TooDeep => {
                write!(f, "nested deeper than {NESTING_MAX} levels at byte {at}")
            }
        }
    }
}

/// Is this one JSON text, and nothing else?
pub fn check(text: &[u8]) -> Result<(), JsonError> {
    let mut scanner = Scanner::over(text)?;
    scanner.value()?;
    scanner.end()
}

/// The members of an object, keys (with their quotes) and values verbatim, in order; `None` when
/// the text is another JSON value. The whole text is checked.
pub fn members(text: &[u8]) -> Result<Option<Vec<Member<'_>>>, JsonError> {
    let mut found = Vec::new();
    let is_object = each_member(text, |member| found.push(member))?;
    Ok(is_object.then_some(found))
}

/// Calls `visit` for each member of an object; `false` when the text is another JSON value.
pub(crate) fn each_member<'a>(
    text: &'a [u8],
    mut visit: impl FnMut(Member<'a>),
) -> Result<bool, JsonError> {
    let mut scanner = Scanner::over(text)?;
    scanner.space();
    if scanner.peek() != Some(b'{') {
        scanner.value()?;
        scanner.end()?;
        return Ok(false);
    }
    scanner.at += 1;
    scanner.space();
    if scanner.peek() == Some(b'}') {
        scanner.at += 1;
        scanner.end()?;
        return Ok(true);
    }
    loop {
        scanner.space();
        let key = scanner.span(Scanner::string)?;
        scanner.space();
        scanner.take(b':')?;
        scanner.space();
        let value = scanner.span(|scanner| scanner.value_within(1))?;
        visit(Member { key, value });
        scanner.space();
        match scanner.peek() {
            Some(b',') => scanner.at += 1,
            _ => {
                scanner.take(b'}')?;
                scanner.end()?;
                return Ok(true);
            }
        }
    }
}

/// One member of an object, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key, quotes and escapes included.
    pub key: &'a [u8],
    /// The value, without the space around it.
    pub value: &'a [u8],
}

impl<'a> Member<'a> {
    /// The key as a reader understands it; `None` when its escapes name no character.
    pub fn name(&self) -> Option<Cow<'a, str>> {
        string(self.key)
    }
}

/// A JSON string's meaning; `None` when the value is no string, or its escapes name no character.
pub(crate) fn string(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        serde_json::from_slice(value).ok().map(Cow::Owned)
    } else {
        std::str::from_utf8(inner).ok().map(Cow::Borrowed)
    }
}

/// Appends `text` as a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(stop) = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\') {
        let (plain, special) = rest.split_at(stop);
        out.extend_from_slice(plain);
        match special[0] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        rest = &special[1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn over(text: &'a [u8]) -> Result<Self, JsonError> {
        match std::str::from_utf8(text) {
            Ok(_) => Ok(Self { text, at: 0 }),
            Err(e) => Err(JsonError { kind: JsonErrorKind::NotUtf8, at: e.valid_up_to() }),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn wrong(&self) -> JsonError {
        let kind = match self.peek() {
            Some(byte) => JsonErrorKind::Unexpected(byte),
            None => JsonErrorKind::Ended,
        };
        JsonError { kind, at: self.at }
    }

    fn take(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.wrong());
        }
        self.at += 1;
        Ok(())
    }

    fn span(
        &mut self,
        part: impl FnOnce(&mut Self) -> Result<(), JsonError>,
    ) -> Result<&'a [u8], JsonError> {
        let start = self.at;
        part(self)?;
        Ok(&self.text[start..self.at])
    }

    fn end(&mut self) -> Result<(), JsonError> {
        self.space();
        if self.at < self.text.len() { Err(self.wrong()) } else { Ok(()) }
    }

    fn value(&mut self) -> Result<(), JsonError> {
        self.value_within(0)
    }

    /// One value that already stands `outer` levels deep. It keeps its own stack, one bit a
    /// level (1 = an object), so that no text can exhaust the thread's.
    fn value_within(&mut self, outer: usize) -> Result<(), JsonError> {
        let mut depth = 0;
        let mut objects: u128 = 0;
        loop {
            self.space();
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if outer + depth == NESTING_MAX {
                        return Err(JsonError { kind: JsonErrorKind::TooDeep, at: self.at });
                    }
                    self.at += 1;
                    self.space();
                    let is_object = open == b'{';
                    let close = if is_object { b'}' } else { b']' };
                    if self.peek() == Some(close) {
                        self.at += 1;
                    } else {
                        depth += 1;
                        objects = objects << 1 | u128::from(is_object);
                        if is_object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return Err(self.wrong()),
            }
            loop {
                if depth == 0 {
                    return Ok(());
                }
                self.space();
                let in_object = objects & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        if in_object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if in_object => {}
                    Some(b']') if !in_object => {}
                    _ => return Err(self.wrong()),
                }
                self.at += 1;
                depth -= 1;
                objects >>= 1;
            }
        }
    }

    fn key(&mut self) -> Result<(), JsonError> {
        self.space();
        self.string()?;
        self.space();
        self.take(b':')
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.take(b'"')?;
        loop {
            let rest = &self.text[self.at..];
            let Some(stop) = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\') else {
                self.at = self.text.len();
                return Err(self.wrong());
            };
            self.at += stop;
            match rest[stop] {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    self.escape()?;
                }
                _ => return Err(self.wrong()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|b| b.is_ascii_hexdigit()) {
                        return Err(self.wrong());
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.wrong()),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return Err(self.wrong());
        }
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), JsonError> {
        for &byte in word {
            self.take(byte)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind(text: &[u8]) -> Option<JsonErrorKind> {
        check(text).err().map(|e| e.kind)
    }

    #[test]
    fn members_are_given_as_they_are_written() {
        let text = br#" { "a" : 1.50 , "b\u0063":[1, {"x":"}"}],"a":null } "#;
        let found = members(text).unwrap().unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|m| (m.name().unwrap().into_owned(), String::from_utf8_lossy(m.value)))
            .collect();
        assert_eq!(
            shown,
            [
                ("a".to_owned(), "1.50".into()),
                ("bc".to_owned(), r#"[1, {"x":"}"}]"#.into()),
                ("a".to_owned(), "null".into())
            ]
        );
        assert_eq!(members(b"[1]"), Ok(None));
        assert_eq!(members(b"{}"), Ok(Some(vec![])));
    }

    #[test]
    fn what_is_not_json_is_named() {
        assert_eq!(kind(b""), Some(JsonErrorKind::Ended));
        assert_eq!(kind(b"{\"a\":1"), Some(JsonErrorKind::Ended));
        assert_eq!(kind(b"\"a\0\""), Some(JsonErrorKind::Unexpected(0)));
        assert_eq!(kind(b"{\"a\":01}"), Some(JsonErrorKind::Unexpected(b'1')));
        assert_eq!(kind(b"{\"a\":1,}"), Some(JsonErrorKind::Unexpected(b'}')));
        assert_eq!(kind(b"[1}"), Some(JsonErrorKind::Unexpected(b'}')));
        assert_eq!(kind(b"NaN"), Some(JsonErrorKind::Unexpected(b'N')));
        assert_eq!(kind(b"{} {}"), Some(JsonErrorKind::Unexpected(b'{')));
        assert_eq!(kind(b"\"\xff\""), Some(JsonErrorKind::NotUtf8));
    }

    #[test]
    fn nesting_ends_at_its_limit_in_every_reader() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(kind(deep(NESTING_MAX).as_bytes()), None);
        assert_eq!(kind(deep(NESTING_MAX + 1).as_bytes()), Some(JsonErrorKind::TooDeep));
        let in_object = |n: usize| format!("{{\"a\":{}}}", deep(n));
        assert!(members(in_object(NESTING_MAX - 1).as_bytes()).is_ok());
        assert!(members(in_object(NESTING_MAX).as_bytes()).is_err());
        assert_eq!(kind("[".repeat(5_000_000).as_bytes()), Some(JsonErrorKind::TooDeep));
    }

    #[test]
    fn written_strings_read_back() {
        for text in ["", "plain", "q\"b\\s/\n\r\t\u{1}\u{1f}\u{7f}ü€😀"] {
            let mut out = Vec::new();
            write_string(&mut out, text);
            assert_eq!(string(&out).as_deref(), Some(text));
        }
    }

    /// JSON-like texts, mostly well-formed, so that both verdicts come up often.
    fn json_like() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("tru".to_owned()),
            "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
            "[-+.0-9eE]{1,5}",
            "\"([a-z {}\\[\\],:]|\\\\[nu\"\\\\0-9a-f]|\\\\u[0-9a-f]{4}){0,6}\"",
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|items| format!("[{}]", items.join(" ,\n"))),
                prop::collection::vec(("\"[a-c]\"", inner), 0..4).prop_map(|pairs| {
                    let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}\t:{v}")).collect();
                    format!("{{{}}}", pairs.join(","))
                }),
            ]
        })
    }

    fn agrees_with_serde(text: &[u8]) {
        let theirs = serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok();
        let ours = check(text);
        let deep = ours.is_err_and(|e| e.kind == JsonErrorKind::TooDeep);
        assert!(deep || theirs == ours.is_ok(), "{ours:?} for {}", String::from_utf8_lossy(text));
        assert_eq!(members(text).map(|_| ()), ours);
    }

    proptest! {
        #[test]
        fn the_verdict_is_that_of_serde_json(text in json_like()) {
            agrees_with_serde(text.as_bytes());
        }

        #[test]
        fn arbitrary_bytes_are_judged_alike(text in prop::collection::vec(any::<u8>(), 0..40)) {
            agrees_with_serde(&text);
        }

        #[test]
        fn a_broken_byte_is_judged_alike(text in json_like(), at in any::<prop::sample::Index>(), byte: u8) {
            let mut text = text.into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            agrees_with_serde(&text);
        }
    }
}
