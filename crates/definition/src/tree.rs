//! YAML or JSON text as a tree of values, each with its place, safe to make from hostile bytes.
//!
//! YAML 1.2 takes JSON in. Every limit is checked while events are read, before anything is
//! copied, so that no input takes more than a few megabytes or milliseconds.

use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle};
use serde_json::{Map, Number, Value as Json};

use crate::finding::Findings;
use crate::rule::Rule;
use crate::source::{SOURCE_BYTES_MAX, Source, Span};

/// The most levels of nesting; a definition has about eight, a data schema a few more.
pub const DEPTH_MAX: usize = 48;

/// The most values, those that aliases repeat counted again. 64 steps of the longest kind have
/// about two thousand.
pub const NODES_MAX: usize = 50_000;

/// The most bytes of text in all values, aliases counted again.
pub const TEXT_BYTES_MAX: usize = 2 * SOURCE_BYTES_MAX;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A scalar; `plain` when it stands without quotes and so may be a number or null.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Node {
    /// What it is, for messages.
    pub(crate) fn shape(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar { .. } if self.is_null() => "nothing",
            Value::Scalar { .. } => "a single value",
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if is_null(text))
    }

    /// The scalar's text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// As JSON, by the core schema of YAML 1.2. A number that JSON does not have is a finding.
    pub(crate) fn json(&self, findings: &mut Findings) -> Json {
        match &self.value {
            Value::List(items) => Json::Array(items.iter().map(|n| n.json(findings)).collect()),
            Value::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|e| (e.key.clone(), e.value.json(findings)))
                    .collect::<Map<_, _>>(),
            ),
            Value::Scalar { text, plain: false } => Json::String(text.clone()),
            Value::Scalar { text, plain: true } => match plain_scalar(text) {
                Some(value) => value,
                None => {
                    findings.add_with_fix(
                        Rule::BadNumber,
                        self.span,
                        format!("`{}` is no number that JSON has", shorten(text)),
                        "write a number that fits in 64 bits, or quote it to make it text",
                    );
                    Json::Null
                }
            },
        }
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// The core schema; `None` for a number that is out of range, infinite or none.
fn plain_scalar(text: &str) -> Option<Json> {
    match text {
        _ if is_null(text) => return Some(Json::Null),
        "true" | "True" | "TRUE" => return Some(Json::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Json::Bool(false)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF"
        | ".nan" | ".NaN" | ".NAN" => return None,
        _ => {}
    }
    let radix = |prefix: &str, radix| {
        let digits = text.strip_prefix(prefix)?;
        let known = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        known.then(|| u64::from_str_radix(digits, radix).ok().map(Json::from))
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return number;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let text = text.strip_prefix('+').unwrap_or(text);
        return text
            .parse::<i64>()
            .map(Json::from)
            .or_else(|_| text.parse::<u64>().map(Json::from))
            .ok();
    }
    if looks_like_float(unsigned) {
        return text.parse().ok().and_then(Number::from_f64).map(Json::Number);
    }
    Some(Json::String(text.to_owned()))
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`, the sign taken off.
fn looks_like_float(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    digits(whole) && digits(part) && !(whole.is_empty() && part.is_empty()) && exponent
}

/// Text for a message: the first line, at most 60 characters.
pub(crate) fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(CHARS_MAX).filter(|c| !c.is_control()).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Reads the source; `None` when there is no tree, which then has a finding.
pub(crate) fn read(bytes: &[u8], source: &Source, findings: &mut Findings) -> Option<Node> {
    if bytes.len() > SOURCE_BYTES_MAX {
        // Who reads a file may stop after the limit, so no more is known than that it is larger.
        let message = format!("the file has more than {SOURCE_BYTES_MAX} bytes (1 MiB)");
        findings.add(Rule::TooBig, Span::default(), message);
        return None;
    }
    if let Err(error) = std::str::from_utf8(bytes) {
        let at = error.valid_up_to();
        findings.add(Rule::NotText, Span::new(at, at + 1), "this byte is not UTF-8");
        return None;
    }
    let text = source.text();
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{85}');
    if let Some((at, c)) = text.char_indices().find(|(_, c)| control(*c)) {
        let message = format!("the control character U+{:04X} is no text", c as u32);
        findings.add(Rule::NotText, Span::new(at, at + c.len_utf8()), message);
        return None;
    }
    Reader::new(text, findings).run()
}

struct Reader<'a, 'f> {
    text: &'a str,
    findings: &'f mut Findings,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    text_bytes: usize,
    root: Option<Node>,
}

/// A collection that is not closed yet.
struct Open {
    span: Span,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, Span)> },
}

/// Reading ended early; the finding is already made.
struct Stop;

impl<'a, 'f> Reader<'a, 'f> {
    fn new(text: &'a str, findings: &'f mut Findings) -> Self {
        Self {
            text,
            findings,
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            text_bytes: 0,
            root: None,
        }
    }

    fn run(mut self) -> Option<Node> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        options.flow_nesting_limit = DEPTH_MAX;
        options.block_nesting_limit = DEPTH_MAX;
        let mut documents = 0;
        for event in Parser::new_from_str_with_options(self.text, options) {
            let (event, span) = match event {
                Ok((event, span)) => {
                    let range = span.byte_range().unwrap_or(0..0);
                    (event, Span::new(range.start, range.end))
                }
                Err(error) => {
                    self.scan_error(&error);
                    return None;
                }
            };
            if matches!(event, Event::DocumentStart(..)) {
                documents += 1;
                if documents > 1 {
                    self.findings.add(Rule::ManyDocuments, span, "a second document begins here");
                    return None;
                }
            }
            if self.take(event, span).is_err() {
                return None;
            }
        }
        match self.root {
            Some(root) if !root.is_null() => Some(root),
            _ => {
                self.findings.add(Rule::Empty, Span::default(), "the definition is empty");
                None
            }
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some_and(|t| !t.is_yaml_core_schema()), span);
                self.count(1, text.len(), span)?;
                let plain = style == ScalarStyle::Plain;
                let value = Value::Scalar { text: text.into_owned(), plain };
                self.place(Node { span, value }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some_and(|t| !t.is_yaml_core_schema()), span);
                self.begin(OpenKind::List(Vec::new()), anchor, span)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some_and(|t| !t.is_yaml_core_schema()), span);
                self.begin(OpenKind::Map { entries: Vec::new(), key: None }, anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.repeat(anchor, span),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, kind: OpenKind, anchor: usize, span: Span) -> Result<(), Stop> {
        self.count(1, 0, span)?;
        if self.open.len() >= DEPTH_MAX {
            self.findings.add(Rule::TooDeep, span, "this value is nested too deep");
            return Err(Stop);
        }
        self.open.push(Open { span, anchor, kind });
        Ok(())
    }

    fn end(&mut self, end: Span) -> Result<(), Stop> {
        let Some(Open { span, anchor, kind }) = self.open.pop() else { return Ok(()) };
        // A block collection's end event stands where the next token begins.
        let whole = Span::new(span.start, end.end.max(span.end));
        let written = self.text.get(whole.start..whole.end).unwrap_or_default().trim_end().len();
        let span = Span::new(whole.start, whole.start + written);
        let value = match kind {
            OpenKind::List(items) => Value::List(items),
            OpenKind::Map { entries, .. } => Value::Map(entries),
        };
        self.place(Node { span, value }, anchor)
    }

    fn repeat(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some(node) = self.anchors.get(&anchor) else {
            self.findings.add(Rule::Syntax, span, "this alias stands inside what it repeats");
            return Err(Stop);
        };
        let (nodes, bytes) = weight(node);
        self.count(nodes, bytes, span)?;
        // The copy keeps its places where it was written: that is what a person must change.
        let node = self.anchors[&anchor].clone();
        self.place(node, 0)
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        if anchor != 0 {
            let (nodes, bytes) = weight(&node);
            self.count(nodes, bytes, node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map { entries, key }) => match key.take() {
                Some((key, key_span)) => entries.push(Entry { key, key_span, value: node }),
                None => return self.key(node),
            },
        }
        Ok(())
    }

    fn key(&mut self, node: Node) -> Result<(), Stop> {
        let Value::Scalar { text, .. } = node.value else {
            self.findings.add(Rule::Syntax, node.span, "a key must be a single value");
            return Err(Stop);
        };
        let Some(OpenKind::Map { key, .. }) = self.open.last_mut().map(|open| &mut open.kind)
        else {
            return Ok(());
        };
        *key = Some((text, node.span));
        Ok(())
    }

    fn count(&mut self, nodes: usize, text_bytes: usize, span: Span) -> Result<(), Stop> {
        self.nodes += nodes;
        self.text_bytes += text_bytes;
        if self.nodes > NODES_MAX || self.text_bytes > TEXT_BYTES_MAX {
            self.findings.add(Rule::TooMany, span, "the definition has too many values");
            return Err(Stop);
        }
        Ok(())
    }

    fn refuse_tag(&mut self, refused: bool, span: Span) {
        if refused {
            self.findings.add_with_fix(
                Rule::Syntax,
                span,
                "this tag has no meaning in a definition",
                "remove the tag",
            );
        }
    }

    fn scan_error(&mut self, error: &granit_parser::ScanError) {
        use granit_parser::ErrorKind;
        let at = error.marker().byte_offset().unwrap_or(self.text.len()).min(self.text.len());
        let end =
            (at + 1..=self.text.len()).find(|at| self.text.is_char_boundary(*at)).unwrap_or(at);
        let rule = match error.kind() {
            ErrorKind::RecursionLimitExceeded => Rule::TooDeep,
            _ => Rule::Syntax,
        };
        let span = Span::new(at, end);
        // The parser stands behind the tab that it complains about.
        let line = &self.text[self.text[..at].rfind('\n').map_or(0, |end| end + 1)..at];
        match line.find('\t').filter(|_| line.trim().is_empty()) {
            Some(tab) => {
                let tab = at - line.len() + tab;
                let message = "this line is indented with a tab, and YAML has only spaces there";
                let fix = "indent with spaces; most editors have a setting for it";
                self.findings.add_with_fix(rule, Span::new(tab, tab + 1), message, fix);
            }
            None => self.findings.add(rule, span, error.info()),
        }
    }
}

/// How many values and bytes of text a copy of the node would add.
fn weight(node: &Node) -> (usize, usize) {
    let add = |(n, b): (usize, usize), (n2, b2)| (n + n2, b + b2);
    match &node.value {
        Value::Scalar { text, .. } => (1, text.len()),
        Value::List(items) => items.iter().map(weight).fold((1, 0), add),
        Value::Map(entries) => {
            entries.iter().map(|e| add(weight(&e.value), (0, e.key.len()))).fold((1, 0), add)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_of(text: &str) -> Result<String, Vec<String>> {
        let source = Source::new("test.yaml", text.as_bytes());
        let mut findings = Findings::default();
        let node = read(text.as_bytes(), &source, &mut findings);
        let json = node.map(|node| node.json(&mut findings).to_string());
        let found = findings.finish(&source);
        if found.is_empty() {
            Ok(json.unwrap_or_default())
        } else {
            Err(found.iter().map(|f| format!("{} {}:{}", f.id.id(), f.line, f.column)).collect())
        }
    }

    fn check(text: &str, expected: &str) {
        match json_of(text) {
            Ok(json) => assert_eq!(json, expected, "{text:?}"),
            Err(found) => assert_eq!(found.join(", "), expected, "{text:?}"),
        }
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        check("[1, -2, +3, 0x10, 0o17, 1.5, 1e3, .5, 1.]", "[1,-2,3,16,15,1.5,1000.0,0.5,1.0]");
        check(
            "[18446744073709551615, 9223372036854775807]",
            "[18446744073709551615,9223372036854775807]",
        );
        check("[yes, no, on, true, 'true', ~, '']", r#"["yes","no","on",true,"true",null,""]"#);
        check(
            "[1_000, 0b1, 1.2.3, e3, ., +, -x, 0x]",
            r#"["1_000","0b1","1.2.3","e3",".","+","-x","0x"]"#,
        );
    }

    #[test]
    fn numbers_that_json_does_not_have_are_found() {
        check("[.inf]", "A012 1:2");
        check("a: 99999999999999999999", "A012 1:4");
        check("a: 1e999", "A012 1:4");
    }

    #[test]
    fn json_is_taken() {
        check(
            r#"{"a": [1, {"b": null}], "c": "\u00e4\ud83d\ude00\/"}"#,
            r#"{"a":[1,{"b":null}],"c":"ä😀/"}"#,
        );
        check("{\n\t\"a\": 1\n}", r#"{"a":1}"#);
    }

    #[test]
    fn aliases_repeat_within_the_limits() {
        check("a: &x [1, 2]\nb: *x", r#"{"a":[1,2],"b":[1,2]}"#);
        check("a: *x", "A003 1:4");
        check("a: &x [*x]", "A003 1:8");
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let before = format!("*a{}, ", i - 1).repeat(9);
            bomb += &format!("a{i}: &a{i} [{before}]\n");
        }
        assert!(json_of(&bomb).unwrap_err()[0].starts_with("A005"));
        let text = "y".repeat(500_000);
        assert!(
            json_of(&format!("- &x {text}\n- [*x, *x, *x, *x, *x]")).unwrap_err()[0]
                .starts_with("A005")
        );
    }

    #[test]
    fn hostile_text_is_refused() {
        check("", "A008 1:1");
        check("# nothing\n", "A008 1:1");
        check("a: 1\n---\nb: 2\n", "A007 2:1");
        check("a: \0", "A001 1:4");
        check(&"[".repeat(100_000), "A004 1:49");
        check(&"- ".repeat(1_000), "A004 1:97");
        check(
            &format!("{}1{}", "[".repeat(48), "]".repeat(48)),
            &format!("{}1{}", "[".repeat(48), "]".repeat(48)),
        );
        check("a: !!python/object x", "A003 1:20");
        check("[a]: 1", "A003 1:1");
        check("\u{feff}a: 1", r#"{"a":1}"#);
        check("%YAML 1.2\n---\na: 1", r#"{"a":1}"#);
    }
}
