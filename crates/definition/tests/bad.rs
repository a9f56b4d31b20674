//! Files that are wrong, each with what the checker says about it, and hostile bytes.
//!
//! `tests/bad/<name>.yaml` has its findings, as people see them, in `<name>.txt`. To write these
//! anew after a change, run with `AMENDS_BLESS=1` and read the difference.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use amends_definition::{Document, EnvVar, Finding, Rule, Severity, Surroundings, check, render};
use proptest::prelude::*;

fn surroundings() -> Surroundings<'static> {
    Surroundings::none()
        .with_env(|name| match name {
            "SET" => EnvVar::Set("value".to_owned()),
            "UNSET" => EnvVar::Unset,
            _ => EnvVar::NotAllowed,
        })
        .with_files(|_| Err("not found".to_owned()))
}

fn bad_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    paths.sort();
    paths
}

/// What is found in a file of either kind, and how it is shown.
fn found(bytes: &[u8], name: &str) -> (Vec<Finding>, String) {
    match Document::check(bytes, name, &surroundings()) {
        Document::Saga(checked) => {
            let errors = checked.count(Severity::Error) > 0;
            assert_eq!(errors, checked.compiled.is_none(), "{name}");
            let shown = render(&checked, false);
            (checked.findings, shown)
        }
        Document::Free(checked) => {
            let shown = render(&checked, false);
            (checked.findings, shown)
        }
    }
}

#[test]
fn every_bad_file_is_found_wrong_in_the_same_words() {
    let bless = std::env::var_os("AMENDS_BLESS").is_some();
    let mut seen = BTreeSet::new();
    for path in bad_files() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (findings, shown) = found(&bytes, name);
        seen.extend(findings.iter().map(|finding| finding.id));
        let expected = path.with_extension("txt");
        if bless {
            std::fs::write(&expected, &shown).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(shown, expected, "{name}");
    }
    // These take bytes that no file here should have.
    let elsewhere = [
        Rule::NotText,
        Rule::TooBig,
        Rule::TooDeep,
        Rule::TooMany,
        Rule::Empty,
        Rule::TooManySteps,
        Rule::ExpressionTooLong,
        // Whoever runs sagas says it.
        Rule::FreeNotRun,
    ];
    let missing: Vec<_> = Rule::all()
        .iter()
        .filter(|r| !seen.contains(r) && !elsewhere.contains(r))
        .map(|r| r.id())
        .collect();
    assert!(missing.is_empty(), "no file breaks {missing:?}");
}

fn ids(bytes: &[u8]) -> Vec<&'static str> {
    found(bytes, "hostile").0.iter().map(|finding| finding.id.id()).collect()
}

fn steps(count: usize) -> String {
    let step = |i| format!("  - {{ name: s{i}, action: S.Do, compensation: S.Undo }}\n");
    format!("saga: A\nsteps:\n{}", (0..count).map(step).collect::<String>())
}

#[test]
fn what_is_too_large_is_told_the_limit() {
    let text = vec![b'#'; 1024 * 1024 + 1];
    let checked = check(&text, "large", &surroundings());
    assert_eq!(checked.findings[0].message, "the file has more than 1048576 bytes (1 MiB)");
}

#[test]
fn limits_hold_and_say_so() {
    assert_eq!(ids(&vec![b' '; 1024 * 1024 + 1]), ["A002"]);
    assert_eq!(ids(b"saga: \xff\xfe"), ["A001"]);
    assert_eq!(ids(b"saga: \x07"), ["A001"]);
    assert_eq!(ids(b""), ["A008"]);
    assert_eq!(ids("[".repeat(900_000).as_bytes()), ["A004"]);
    assert!(!ids(steps(64).as_bytes()).contains(&"A025"));
    assert!(ids(steps(65).as_bytes()).contains(&"A025"));
    assert!(ids(steps(5_000).as_bytes()).contains(&"A025"));
    let long = format!("{STEP}    when: \"${{ {} }}\"\n", "a".repeat(1_025));
    assert!(ids(long.as_bytes()).contains(&"A081"));
}

const STEP: &str = "saga: A\nsteps:\n  - name: a\n    action: S.Do\n    compensation: S.Undo\n";

#[test]
fn hostile_files_end_quickly_and_quietly() {
    let groups = format!(
        "saga: A\nsteps:\n{}",
        format!("  - parallel: [{}]\n", "{},".repeat(5_000)).repeat(4)
    );
    let keys: String = (0..30_000).map(|i| format!("k{i:x}: 1\n")).collect();
    let services: String = (0..9_000).map(|i| format!("  Sx{i}: {{}}\n")).collect();
    let brackets = format!("{STEP}    when: \"${{ {} }}\"\n", "(".repeat(1_000));
    for hostile in [
        groups,
        keys,
        format!("{STEP}services:\n{services}"),
        brackets,
        format!("{STEP}    timeout: {}s\n", "9".repeat(100_000)),
        format!("{STEP}    retry: {{ backoff: {{ factor: 1e308 }} }}\n"),
        format!("{STEP}    retry: {{ backoff: {{ factor: .nan }} }}\n"),
        format!(
            "{STEP}    retry: {{ max_attempts: 4294967295, backoff: {{ initial: 3650d, max: 3650d, factor: 100 }} }}\n"
        ),
        format!("{STEP}    input: {}1{}\n", "[".repeat(40), "]".repeat(40)),
        "\u{feff}\u{feff}saga: A".to_owned(),
        "? [a]\n: b\n".to_owned(),
        "<<: *x\n".to_owned(),
        "a: &a\n  <<: *a\n".to_owned(),
        "--- >\n".to_owned() + &"x\n".repeat(100_000),
        "a: \"\\xZZ\"".to_owned(),
        "a: '".to_owned() + &"''".repeat(100_000),
        "%TAG ! tag:x,2000:\n--- !a b".to_owned(),
    ] {
        assert!(!ids(hostile.as_bytes()).is_empty(), "{}", &hostile[..40.min(hostile.len())]);
    }
}

fn yaml_like() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("saga"),
        Just("steps"),
        Just("name"),
        Just("action"),
        Just("compensation"),
        Just("S.Do"),
        Just("none"),
        Just("kind"),
        Just("pivot"),
        Just("after"),
        Just("parallel"),
        Just("when"),
        Just("\"${ data.x }\""),
        Just("\"${ result.a.b }\""),
        Just("${"),
        Just("input"),
        Just("timeout"),
        Just("10s"),
        Just("services"),
        Just("http"),
        Just("retry"),
        Just("signal"),
        Just("a"),
        Just("&x"),
        Just("*x"),
        Just("!!str"),
        Just("~"),
        Just("-1"),
        Just("1e99"),
        Just("\u{feff}"),
        Just("ü"),
    ];
    let mark = prop_oneof![
        Just(": "),
        Just("\n"),
        Just("\n  "),
        Just("\n    "),
        Just("- "),
        Just("\n  - "),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(", "),
        Just("|"),
        Just(">"),
        Just("#"),
        Just("'"),
        Just("\""),
        Just("---\n"),
        Just("\t"),
        Just(" "),
    ];
    prop::collection::vec((word, mark), 0..60)
        .prop_map(|parts| parts.into_iter().flat_map(|(word, mark)| [word, mark]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        ids(&bytes);
    }

    #[test]
    fn what_looks_like_a_definition_never_panics(text in yaml_like()) {
        ids(text.as_bytes());
        ids(format!("saga: A\nsteps:\n  - {text}").as_bytes());
    }

    #[test]
    fn any_expression_never_panics(text in "[a-z0-9.()\\[\\]{}'\"+*/?:<>=!&|, -]{0,80}") {
        let text = text.replace('\\', "").replace('"', "\\\"");
        ids(format!("{STEP}    when: \"${{ {text} }}\"\n").as_bytes());
    }
}
