//! What a person hears of the definition itself: an expression that gives no value, what the checker
//! warns of.

use std::process::Output;

use serde_json::Value;

use crate::participant::{Breaks, Fence, Participant};
use crate::{DATA, amends};

/// A definition with these lines in the step `second`, and this at the top.
fn definition(top: &str, second: &str) -> String {
    format!(
        "saga: Pair
{top}
steps:
  - {{ name: first, action: Honest.Do, compensation: Honest.Undo }}
  - {{ name: note, kind: best_effort, action: Honest.Do }}
  - name: second
    action: Honest.Do
    compensation: Honest.Undo
{second}
services:
  Honest: {{ fence: barrier, http: {{ url: \"http://127.0.0.1:9\" }} }}
"
    )
}

fn rehearsed(definition: &str, more: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pair.yaml");
    std::fs::write(&file, definition).unwrap();
    let honest = Participant::start(Fence::Barrier, Breaks::Nothing);
    let mut command = amends();
    command.arg("rehearse").arg(&file).args(["--data", DATA, "--vary", "pair_id"]);
    let Output { status, stdout, stderr } =
        command.args(["--against", &honest.url]).args(more).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.code().unwrap(), text(&stdout), text(&stderr))
}

#[test]
fn an_expression_that_the_data_gives_no_value_is_named_with_its_step_and_line() {
    let cases = [
        (
            "",
            "    input:\n      cents: \"${ data.amount.cents }\"",
            "second.input: ${ data.amount.cents }",
            10,
        ),
        ("", "    when: \"${ data.vip == true }\"", "second.when: ${ data.vip == true }", 9),
        (
            "business_key: \"${ data.pair_id + data.shop }\"",
            "",
            "business_key: ${ data.pair_id + data.shop }",
            2,
        ),
    ];
    for (top, second, expected, line) in cases {
        let (code, _, said) = rehearsed(&definition(top, second), &[]);
        assert_eq!(code, 2, "{said}");
        let line = format!("(line {line})");
        for part in ["without any fault", expected, &line, "--data"] {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
    }
}

#[test]
fn an_expression_that_a_fault_alone_leaves_without_a_value_is_told_with_the_fault() {
    let text = definition("", "    input: { pair_id: p, note: \"${ result.note.id }\" }");
    let only = ["--only", "note,refuse_before"];
    let (code, told, said) = rehearsed(&text, &only);
    assert_eq!(code, 1, "{told}{said}");
    let parts = ["an expression gave no value", "note: refuse_before: second.input", "(line 9)"];
    for part in parts {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    assert!(told.contains("1 saga failed at an expression: Pair"), "{told}");
    let (_, report, _) = rehearsed(&text, &[&only[..], &["-o", "json"]].concat());
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["unfinished"][0]["scenario"], "note: refuse_before", "{report:#}");
}

#[test]
fn what_the_checker_warns_of_is_said() {
    let top = "deadline: 1m\ndefaults: { timeout: 10s, deadline: 5m }";
    let only = ["--only", "first,duplicate"];
    let (code, _, said) = rehearsed(&definition(top, ""), &only);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("warning[A067]: ") && said.contains(":2:11: the saga has 1m"), "{said}");
    let json = [&only[..], &["-o", "json"]].concat();
    let (_, report, _) = rehearsed(&definition(top, ""), &json);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["warnings"][0]["id"], "A067", "{report:#}");
    let (_, _, said) = rehearsed(&definition("", ""), &only);
    assert_eq!(said, "", "notes are no warnings");
}
