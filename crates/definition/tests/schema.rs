//! The JSON Schema in the repository is the one the types make, and it tells good files from bad.

use std::path::Path;

use amends_definition::{FreeChoreography, json_schema};
use serde_json::{Value as Json, json};

#[test]
fn the_committed_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("amends.schema.json");
    let current = format!("{:#}\n", json_schema());
    if std::env::var_os("AMENDS_BLESS").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "run this test with AMENDS_BLESS=1 to write amends.schema.json anew"
    );
}

fn fits(file: Json) -> bool {
    jsonschema::validator_for(&json_schema()).unwrap().is_valid(&file)
}

fn with_step(key: &str, value: Json) -> Json {
    let mut step = json!({"name": "a", "action": "S.Do", "compensation": "S.Undo"});
    step[key] = value;
    json!({"saga": "A", "steps": [step]})
}

#[test]
fn good_files_fit_and_bad_ones_do_not() {
    assert!(fits(
        json!({"saga": "A", "steps": [{"name": "a", "action": "S.Do", "compensation": "none"}], "$schema": "x"})
    ));
    assert!(fits(json!({"saga": "A", "steps": [{"parallel": [{"name": "a", "action": "S.Do"}]}]})));
    let check = |key: &str, value: Json, expected: bool| {
        assert_eq!(fits(with_step(key, value.clone())), expected, "{key}: {value}");
    };
    check("timeout", json!("10s"), true);
    check("timeout", json!(10), false);
    check("timeout", json!(null), false);
    check("kind", json!("pivot"), true);
    check("kind", json!("pivott"), false);
    check("compensation", json!({"command": "S.Undo", "timeout": "1m"}), true);
    check("compensation", json!({"timeout": "1m"}), false);
    check("after", json!("b"), true);
    check("after", json!(["b", "c"]), true);
    check("input", json!({"a": ["${ data.x }", 1]}), true);
    check("on_deadline", json!("refuse"), true);
    check("on_deadline", json!({"continue": {"value": 1}}), true);
    check("on_deadline", json!("stop"), false);
    check("retry", json!({"max_attempts": 0}), false);
    check("zzz", json!(1), false);
    assert!(!fits(json!({"steps": []})));
    assert!(!fits(json!({"saga": "A", "steps": []})));
}

#[test]
fn both_kinds_of_file_are_told_apart() {
    let free = FreeChoreography::named("A")
        .starts_with("Begun")
        .ends_with("Ended", "Failed")
        .event("Begun", &["order"])
        .on_any(&["Begun"], |r| r.action("S.Do").reads(&["order"]).then("Ended"))
        .on_all(&["Begun", "Ended"], |r| r.undo("S.Do"))
        .on("Failed", |r| r.then("Over").then("Out"));
    let file: Json = serde_json::from_str(&free.to_file()).unwrap();
    assert!(fits(file.clone()));
    let without = |key: &str| {
        let mut file = file.clone();
        file.as_object_mut().unwrap().remove(key);
        file
    };
    assert!(fits(without("events")));
    assert!(!fits(without("ends_with")));
    assert!(!fits(without("choreography")), "a saga has other keys");
    let mut slip = file.clone();
    slip["reactions"][0]["onn"] = json!("Begun");
    assert!(!fits(slip));
    let mut none = file.clone();
    none["reactions"][0]["on"] = json!({ "any": ["Begun"] });
    assert!(!fits(none));
}

/// Every key has a description, which is what editors show.
#[test]
fn every_key_is_described() {
    fn walk(schema: &Json, at: &str, missing: &mut Vec<String>) {
        if let Some(properties) = schema.get("properties").and_then(Json::as_object) {
            for (key, value) in properties {
                let refers = value.get("$ref").is_some();
                if value.get("description").is_none()
                    && !refers
                    && value.is_object()
                    && key != "value"
                    && key != "continue"
                {
                    missing.push(format!("{at}/{key}"));
                }
            }
        }
        match schema {
            Json::Object(fields) => {
                fields.iter().for_each(|(k, v)| walk(v, &format!("{at}/{k}"), missing))
            }
            Json::Array(items) => items.iter().for_each(|v| walk(v, at, missing)),
            _ => {}
        }
    }
    let mut missing = Vec::new();
    walk(&json_schema(), "", &mut missing);
    assert_eq!(missing, [""; 0]);
}
