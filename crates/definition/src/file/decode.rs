//! How values of the tree become typed fields: shapes, unknown keys, canonical form.

use amends_core::Millis;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value as Json};
use std::borrow::Cow;

use crate::duration;
use crate::finding::{Findings, did_you_mean};
use crate::rule::Rule;
use crate::source::Span;
use crate::tree::{Entry, Node, Value, shorten};

/// Reads itself from a node. `None` means that a finding says what is wrong.
pub(crate) trait Decode: Sized {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self>;
}

/// Writes itself in the one form that is pinned: as said, durations in milliseconds, what is not
/// said left out.
pub(crate) trait Canonical {
    fn canonical(&self) -> Json;
}

/// A value, where it stands, and where its key stands.
#[derive(Clone, Debug)]
pub(crate) struct Field<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
    pub(crate) key: Span,
}

impl<T: Decode> Field<T> {
    pub(crate) fn of_entry(entry: &Entry, findings: &mut Findings) -> Option<Self> {
        let value = T::decode(&entry.value, findings)?;
        Some(Self { value, span: entry.value.span, key: entry.key_span })
    }
}

impl<T: Decode> Decode for Field<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Some(Self { value: T::decode(node, findings)?, span: node.span, key: node.span })
    }
}

impl<T: Canonical> Canonical for Field<T> {
    fn canonical(&self) -> Json {
        self.value.canonical()
    }
}

impl<T: JsonSchema> JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Adds a finding about a value of the wrong shape.
pub(crate) fn wrong_shape(node: &Node, wanted: &str, findings: &mut Findings) {
    let message = format!("here should be {wanted}, and there is {}", node.shape());
    findings.add_with_fix(Rule::WrongShape, node.span, message, format!("write {wanted}"));
}

impl Decode for String {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = node.text().map(str::to_owned);
        if text.is_none() {
            wrong_shape(node, "a text", findings);
        }
        text
    }
}

impl Canonical for String {
    fn canonical(&self) -> Json {
        Json::String(self.clone())
    }
}

impl Decode for bool {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Scalar { text, plain: true } if text == "true" => Some(true),
            Value::Scalar { text, plain: true } if text == "false" => Some(false),
            _ => {
                wrong_shape(node, "`true` or `false`", findings);
                None
            }
        }
    }
}

impl Canonical for bool {
    fn canonical(&self) -> Json {
        Json::Bool(*self)
    }
}

impl Decode for u32 {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Some(text) = node.text() else {
            wrong_shape(node, "a whole number", findings);
            return None;
        };
        let number = text.parse().ok();
        if number.is_none() {
            findings.add_with_fix(
                Rule::BadNumber,
                node.span,
                format!("`{}` is no whole number up to {}", shorten(text), u32::MAX),
                "write a whole number",
            );
        }
        number
    }
}

impl Canonical for u32 {
    fn canonical(&self) -> Json {
        Json::from(*self)
    }
}

impl Decode for f64 {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Some(text) = node.text() else {
            wrong_shape(node, "a number", findings);
            return None;
        };
        let number = text.parse().ok().filter(|n: &Self| n.is_finite());
        if number.is_none() {
            findings.add_with_fix(
                Rule::BadNumber,
                node.span,
                format!("`{}` is no number", shorten(text)),
                "write a number such as `2` or `1.5`",
            );
        }
        number
    }
}

impl Canonical for f64 {
    fn canonical(&self) -> Json {
        Json::from(*self)
    }
}

impl Decode for Millis {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Some(text) = node.text() else {
            wrong_shape(node, "a duration such as `10s`", findings);
            return None;
        };
        match duration::parse(text) {
            Ok(millis) => Some(millis),
            Err(wrong) => {
                let message = format!("the duration `{}` {wrong}", shorten(text));
                findings.add(Rule::BadDuration, node.span, message);
                None
            }
        }
    }
}

impl Canonical for Millis {
    fn canonical(&self) -> Json {
        Json::from(self.0)
    }
}

/// The schema of a [`Millis`], which belongs to another crate.
pub(crate) struct DurationSchema;

impl JsonSchema for DurationSchema {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(ms|s|m|h|d)$",
            "description": "A duration: a whole number with a unit, such as 200ms, 10s, 2m, 1h or 3d.",
        })
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::List(items) => {
                Some(items.iter().filter_map(|item| T::decode(item, findings)).collect())
            }
            _ => {
                wrong_shape(node, "a list", findings);
                None
            }
        }
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    fn canonical(&self) -> Json {
        Json::Array(self.iter().map(T::canonical).collect())
    }
}

/// A list that may be written without brackets when it has one entry.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code, reason = "the first form exists for the schema; it is read as a list of one")]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<Field<String>>),
}

impl OneOrMany {
    pub(crate) fn all(&self) -> &[Field<String>] {
        match self {
            Self::One(_) => &[],
            Self::Many(all) => all,
        }
    }
}

impl Decode for OneOrMany {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::List(_) => Vec::decode(node, findings).map(Self::Many),
            _ => Field::decode(node, findings).map(|one| Self::Many(vec![one])),
        }
    }
}

impl Canonical for OneOrMany {
    fn canonical(&self) -> Json {
        Json::Array(self.all().iter().map(Canonical::canonical).collect())
    }
}

/// A mapping from names to values, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Named<T>(pub(crate) Vec<(Field<String>, T)>);

impl<T> Named<T> {
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.value.as_str())
    }
}

impl<T: Decode> Decode for Named<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            wrong_shape(node, "a mapping of names", findings);
            return None;
        };
        refuse_duplicates(entries, findings);
        let mut named = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(value) = T::decode(&entry.value, findings) {
                let (key, span) = (entry.key.clone(), entry.key_span);
                named.push((Field { value: key, span, key: span }, value));
            }
        }
        Some(Self(named))
    }
}

impl<T: Canonical> Canonical for Named<T> {
    fn canonical(&self) -> Json {
        let entries = self.0.iter().map(|(name, value)| (name.value.clone(), value.canonical()));
        Json::Object(entries.collect::<Map<_, _>>())
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Named{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": values })
    }
}

/// Any value; texts in it may hold `${ … }`.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) node: Node,
    pub(crate) json: Json,
}

impl Decode for Template {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        refuse_duplicates_within(node, findings);
        Some(Self { node: node.clone(), json: node.json(findings) })
    }
}

impl Canonical for Template {
    fn canonical(&self) -> Json {
        self.json.clone()
    }
}

impl JsonSchema for Template {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }
}

/// The entries of a mapping with the keys `known`: others and duplicates become findings.
pub(crate) fn entries<'n>(
    node: &'n Node,
    what: &str,
    known: &[&'static str],
    findings: &mut Findings,
) -> Option<&'n [Entry]> {
    let Value::Map(entries) = &node.value else {
        wrong_shape(node, what, findings);
        return None;
    };
    refuse_duplicates(entries, findings);
    for entry in entries {
        if !known.contains(&entry.key.as_str()) {
            unknown_key(entry, known, findings);
        }
    }
    Some(entries)
}

/// The key that this one is probably a slip of.
pub(crate) fn slip_of(key: &str, known: &[&'static str]) -> Option<&'static str> {
    did_you_mean(key, known.iter().copied())
}

fn unknown_key(entry: &Entry, known: &[&'static str], findings: &mut Findings) {
    let message = format!("unknown key `{}`", shorten(&entry.key));
    let fix = match slip_of(&entry.key, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    findings.add_with_fix(Rule::UnknownKey, entry.key_span, message, fix);
}

pub(crate) fn refuse_duplicates(entries: &[Entry], findings: &mut Findings) {
    let mut seen = std::collections::HashSet::with_capacity(entries.len());
    for entry in entries {
        if !seen.insert(&entry.key) {
            let message = format!("the key `{}` stands here a second time", shorten(&entry.key));
            findings.add(Rule::DuplicateKey, entry.key_span, message);
        }
    }
}

fn refuse_duplicates_within(node: &Node, findings: &mut Findings) {
    match &node.value {
        Value::Scalar { .. } => {}
        Value::List(items) => items.iter().for_each(|n| refuse_duplicates_within(n, findings)),
        Value::Map(entries) => {
            refuse_duplicates(entries, findings);
            entries.iter().for_each(|e| refuse_duplicates_within(&e.value, findings));
        }
    }
}

/// Keys that stand in the file, also those whose value could not be read: these already have a
/// finding and are not reported as missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said(pub(crate) Vec<(&'static str, Span)>);

impl Said {
    pub(crate) fn find(&self, key: &str) -> Option<Span> {
        self.0.iter().find(|(k, _)| *k == key).map(|(_, span)| *span)
    }
}

/// Puts the fields that are there into an object.
pub(crate) fn insert<T: Canonical>(
    to: &mut Map<String, Json>,
    key: &str,
    field: &Option<Field<T>>,
) {
    if let Some(field) = field {
        to.insert(key.to_owned(), field.value.canonical());
    }
}

/// A mapping with fixed keys: the struct, its reading, its schema and its canonical form from one
/// list of keys.
macro_rules! record {
    (
        $(#[$meta:meta])*
        $name:ident ($what:literal) {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty, )*
        }
    ) => {
        #[derive(Clone, Debug, Default, schemars::JsonSchema)]
        $(#[$meta])*
        #[schemars(deny_unknown_fields)]
        pub(crate) struct $name {
            $( $(#[$field_meta])* pub(crate) $field: Option<$crate::file::Field<$type>>, )*
            /// The keys that stand in the file.
            #[schemars(skip)]
            #[allow(dead_code, reason = "not every mapping has a check that asks")]
            pub(crate) said: $crate::file::decode::Said,
            /// The whole mapping.
            #[schemars(skip)]
            #[allow(dead_code, reason = "not every mapping has a check that asks")]
            pub(crate) span: $crate::source::Span,
        }

        impl $crate::file::Decode for $name {
            fn decode(
                node: &$crate::tree::Node,
                findings: &mut $crate::finding::Findings,
            ) -> Option<Self> {
                let known: &[&'static str] = &[$( stringify!($field) ),*];
                let entries = $crate::file::decode::entries(node, $what, known, findings)?;
                let mut this = Self { span: node.span, ..Self::default() };
                for entry in entries {
                    match entry.key.as_str() {
                        $( stringify!($field) => {
                            this.said.0.push((stringify!($field), entry.key_span));
                            if this.$field.is_none() {
                                this.$field = $crate::file::Field::of_entry(entry, findings);
                            }
                        } )*
                        // What a mistyped key was meant to say is said: that it is missing would
                        // be a second finding for one slip.
                        other => {
                            let meant = $crate::file::decode::slip_of(other, known);
                            if let Some(key) = meant.filter(|key| this.said.find(key).is_none()) {
                                this.said.0.push((key, entry.key_span));
                            }
                        }
                    }
                }
                Some(this)
            }
        }

        impl $crate::file::Canonical for $name {
            fn canonical(&self) -> serde_json::Value {
                let mut map = serde_json::Map::new();
                $( $crate::file::decode::insert(&mut map, stringify!($field), &self.$field); )*
                serde_json::Value::Object(map)
            }
        }
    };
}
pub(crate) use record;
