//! Where two pinned forms differ, for people: a line for what is held and one for what came.

use std::collections::BTreeSet;

use amends_core::Millis;
use serde_json::Value;

/// The most lines; whoever changed more than that looks at the files.
const LINES_MAX: usize = 100;

/// The most characters of a value that are shown.
const VALUE_CHARS_MAX: usize = 200;

/// Every place at which the forms differ: `- steps.pay.timeout: "10s"` is held, and
/// `+ steps.pay.timeout: "20s"` came.
pub fn difference(held: &[u8], got: &[u8]) -> Vec<String> {
    let form = |text: &[u8]| serde_json::from_slice(text).unwrap_or(Value::Null);
    let mut lines = Vec::new();
    compare("", &form(held), &form(got), &mut lines);
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX;
        lines.truncate(LINES_MAX);
        lines.push(format!("… and {more} more lines"));
    }
    lines
}

fn compare(place: &str, held: &Value, got: &Value, lines: &mut Vec<String>) {
    match (held, got) {
        (held, got) if held == got => {}
        (Value::Object(held), Value::Object(got)) => {
            let keys: BTreeSet<&String> = held.keys().chain(got.keys()).collect();
            for key in keys {
                one_or_both(&within(place, key), held.get(key), got.get(key), lines);
            }
        }
        (Value::Array(held), Value::Array(got)) => match (names(held), names(got)) {
            (Some(held_names), Some(got_names)) => {
                let find = |names: &[String], items: &'_ [Value], name: &String| {
                    let at = names.iter().position(|other| other == name)?;
                    items.get(at).cloned()
                };
                let added = got_names.iter().filter(|name| !held_names.contains(name));
                for name in held_names.iter().chain(added) {
                    let held = find(&held_names, held, name);
                    let got = find(&got_names, got, name);
                    one_or_both(&within(place, name), held.as_ref(), got.as_ref(), lines);
                }
                order(place, &held_names, &got_names, lines);
            }
            _ if held.len() == got.len() => {
                for (at, (held, got)) in held.iter().zip(got).enumerate() {
                    compare(&format!("{place}[{at}]"), held, got, lines);
                }
            }
            _ => {
                let whole = |items: &[Value]| Value::Array(items.to_vec());
                one_or_both_lines(place, Some(&whole(held)), Some(&whole(got)), lines);
            }
        },
        (held, got) => one_or_both_lines(place, Some(held), Some(got), lines),
    }
}

fn one_or_both(place: &str, held: Option<&Value>, got: Option<&Value>, lines: &mut Vec<String>) {
    match (held, got) {
        (Some(held), Some(got)) => compare(place, held, got, lines),
        (held, got) => one_or_both_lines(place, held, got, lines),
    }
}

fn one_or_both_lines(
    place: &str,
    held: Option<&Value>,
    got: Option<&Value>,
    lines: &mut Vec<String>,
) {
    for (sign, value) in [('-', held), ('+', got)] {
        if let Some(value) = value {
            lines.push(format!("{sign} {place}: {}", shown(place, value)));
        }
    }
}

/// The same items in another order are another definition.
fn order(place: &str, held: &[String], got: &[String], lines: &mut Vec<String>) {
    let common = |names: &[String], others: &[String]| -> Vec<String> {
        names.iter().filter(|name| others.contains(name)).cloned().collect()
    };
    let (held, got) = (common(held, got), common(got, held));
    if held != got {
        lines.push(format!("- {place}, in this order: {}", held.join(", ")));
        lines.push(format!("+ {place}, in this order: {}", got.join(", ")));
    }
}

/// Under which names the items of a list are known, where each has one of its own: a step its name,
/// a group that of its first step.
fn names(items: &[Value]) -> Option<Vec<String>> {
    let name = |item: &Value| match item.get("parallel") {
        Some(group) => Some(format!("parallel({})", group.get(0)?.get("name")?.as_str()?)),
        None => item.get("name")?.as_str().map(str::to_owned),
    };
    let names: Vec<String> = items.iter().map(name).collect::<Option<_>>()?;
    let unique: BTreeSet<&String> = names.iter().collect();
    (unique.len() == names.len()).then_some(names)
}

fn within(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

/// The spans of time, which the pinned form has in milliseconds.
const SPANS: [&str; 7] =
    ["accepted_timeout", "breach", "deadline", "initial", "max", "timeout", "warn"];

fn shown(place: &str, value: &Value) -> String {
    let key = place.rsplit('.').next().unwrap_or_default();
    if let (true, false, Some(ms)) =
        (SPANS.contains(&key), place.starts_with("schema."), value.as_u64())
    {
        return Millis(ms).to_string();
    }
    let text = value.to_string();
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(held: &str, got: &str, expected: &[&str]) {
        assert_eq!(difference(held.as_bytes(), got.as_bytes()), expected, "{held} {got}");
    }

    #[test]
    fn only_what_differs_is_shown_with_its_place() {
        check(r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}"#, &[]);
        check(
            r#"{"deadline":"1d","steps":[{"name":"pay","timeout":"10s"},{"name":"ship"}]}"#,
            r#"{"steps":[{"name":"pay","timeout":"20s"},{"name":"ship","kind":"pivot"}]}"#,
            &[
                r#"- deadline: "1d""#,
                r#"- steps.pay.timeout: "10s""#,
                r#"+ steps.pay.timeout: "20s""#,
                r#"+ steps.ship.kind: "pivot""#,
            ],
        );
    }

    #[test]
    fn spans_of_time_are_shown_as_they_are_written() {
        check(
            r#"{"schema":{"max":5},"steps":[{"name":"pay","timeout":90000}]}"#,
            r#"{"schema":{"max":6},"steps":[{"name":"pay","timeout":60000}]}"#,
            &[
                "- schema.max: 5",
                "+ schema.max: 6",
                "- steps.pay.timeout: 90s",
                "+ steps.pay.timeout: 1m",
            ],
        );
    }

    #[test]
    fn steps_are_known_by_their_names() {
        check(
            r#"{"steps":[{"name":"a"},{"name":"b"}]}"#,
            r#"{"steps":[{"name":"new"},{"name":"b"},{"name":"a"}]}"#,
            &[
                r#"+ steps.new: {"name":"new"}"#,
                "- steps, in this order: a, b",
                "+ steps, in this order: b, a",
            ],
        );
        check(
            r#"{"steps":[{"parallel":[{"name":"a","x":1},{"name":"b"}]}]}"#,
            r#"{"steps":[{"parallel":[{"name":"a","x":2},{"name":"b"}]}]}"#,
            &["- steps.parallel(a).parallel.a.x: 1", "+ steps.parallel(a).parallel.a.x: 2"],
        );
    }

    #[test]
    fn other_lists_are_compared_by_place_or_as_a_whole() {
        check(
            r#"{"redact":["a","b"]}"#,
            r#"{"redact":["a","c"]}"#,
            &[r#"- redact[1]: "b""#, r#"+ redact[1]: "c""#],
        );
        check(r#"{"redact":["a"]}"#, r#"{"redact":[]}"#, &[r#"- redact: ["a"]"#, "+ redact: []"]);
        check("1", r#""x""#, &["- : 1", r#"+ : "x""#]);
    }

    #[test]
    fn long_differences_are_cut() {
        let long = format!(r#"{{"a":"{}"}}"#, "ü".repeat(1_000));
        let lines = difference(long.as_bytes(), b"{}");
        assert_eq!(lines[0].chars().count(), VALUE_CHARS_MAX + "- a: …".chars().count());
        let many: Vec<u32> = (0..500).collect();
        let other: Vec<u32> = (1..501).collect();
        let form = |items: &[u32]| serde_json::json!({ "a": items }).to_string();
        let lines = difference(form(&many).as_bytes(), form(&other).as_bytes());
        assert_eq!(lines.len(), LINES_MAX + 1);
        assert_eq!(lines.last().unwrap(), "… and 900 more lines");
    }
}
