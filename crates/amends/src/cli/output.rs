//! Data on stdout, in the form that was asked for.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::exit::{Exit, Failure};

/// How data is printed.
#[derive(Args, Clone, Copy, Debug)]
pub struct Output {
    /// How data is printed: a table for people, the others for programs
    #[arg(short, long, global = true, value_enum, value_name = "FORM", default_value_t = Form::Table, env = "AMENDS_OUTPUT", help_heading = "Every command")]
    pub output: Form,
}

/// A form of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Table,
    /// Indented.
    Json,
    /// One value a line.
    Jsonl,
    /// The same as YAML.
    Yaml,
}

impl Output {
    /// Prints one value: `table` says how it looks to people.
    pub fn one(
        self,
        raw: &str,
        table: impl FnOnce() -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        match self.output {
            Form::Table => print(&table()?),
            Form::Json => print(&indented(raw)),
            Form::Jsonl => print(&format!("{}\n", on_one_line(raw))),
            Form::Yaml => print(&yaml(raw)?),
        }
    }

    /// Prints many.
    pub fn many(
        self,
        rows: &[Box<RawValue>],
        table: impl FnOnce() -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let list = || {
            let rows: Vec<_> = rows.iter().map(|row| row.get()).collect();
            format!("[{}]", rows.join(","))
        };
        match self.output {
            Form::Table => print(&table()?),
            Form::Json => print(&indented(&list())),
            Form::Jsonl => {
                let lines: String = rows.iter().map(|row| on_one_line(row.get()) + "\n").collect();
                print(&lines)
            }
            Form::Yaml => print(&yaml(&list())?),
        }
    }
}

/// Whether stdout has no reader any more.
static UNREAD: AtomicBool = AtomicBool::new(false);

/// Writes to stdout. A reader that has gone, as `head` does, is no error.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            UNREAD.store(true, Ordering::Relaxed);
            Ok(())
        }
        Err(error) => Err(Failure::new(Exit::Error, format!("stdout: {error}"))),
    }
}

/// Has the reader of stdout gone? What goes on printing until something ends, ends then.
pub fn is_unread() -> bool {
    UNREAD.load(Ordering::Relaxed)
}

/// JSON text with a line for each value. Only blanks change: numbers and texts stay as they came.
fn indented(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut chars = raw.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            ' ' | '\t' | '\n' | '\r' => {}
            '"' => {
                in_text = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.peek().is_some_and(|next| next.is_ascii_whitespace()) {
                    chars.next();
                }
                match chars.peek() {
                    Some(&end @ ('}' | ']')) => {
                        chars.next();
                        out.push(end);
                    }
                    _ => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            other => out.push(other),
        }
    }
    out.push('\n');
    out
}

/// JSON text without line breaks. There are none inside of texts.
fn on_one_line(raw: &str) -> String {
    raw.replace(['\n', '\r'], " ").trim().to_owned()
}

fn yaml(raw: &str) -> Result<String, Failure> {
    let value: Ordered = super::client::read(raw)?;
    serde_saphyr::to_string(&value).map_err(|error| Failure::new(Exit::Error, error))
}

/// A JSON value whose fields keep their order.
enum Ordered {
    Leaf(serde_json::Value),
    List(Vec<Ordered>),
    Map(Vec<(String, Ordered)>),
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Ordered;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Ordered, E> {
                Ok(Ordered::Leaf(serde_json::Value::Null))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Ordered, E> {
                Ok(Ordered::Leaf(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Ordered, E> {
                Ok(Ordered::Leaf(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Ordered, E> {
                Ok(Ordered::Leaf(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Ordered, E> {
                Ok(Ordered::Leaf(value.into()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Ordered, E> {
                Ok(Ordered::Leaf(value.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Ordered, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Ordered::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Ordered, A::Error> {
                let mut map = Vec::new();
                while let Some(field) = fields.next_entry()? {
                    map.push(field);
                }
                Ok(Ordered::Map(map))
            }
        }
        from.deserialize_any(Any)
    }
}

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Leaf(value) => value.serialize(to),
            Self::List(items) => items.serialize(to),
            Self::Map(fields) => {
                let mut map = to.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indenting_changes_blanks_only() {
        let raw =
            r#"{"b":[1.50,{"a":"x: {\"y\\"}],"empty":{},"none":[ ],"big":12345678901234567890}"#;
        let expected = r#"{
  "b": [
    1.50,
    {
      "a": "x: {\"y\\"
    }
  ],
  "empty": {},
  "none": [],
  "big": 12345678901234567890
}
"#;
        assert_eq!(indented(raw), expected);
        assert_eq!(indented(expected), expected);
    }

    #[test]
    fn yaml_keeps_the_order_of_fields() {
        let text = yaml(r#"{"z":1,"a":[true,null],"m":{"y":"no"}}"#).unwrap();
        let (z, a, m) = (text.find("z:"), text.find("a:"), text.find("m:"));
        assert!(z < a && a < m, "{text}");
        assert!(text.contains("\"no\"") || text.contains("'no'"), "a text stays one: {text}");
    }
}
