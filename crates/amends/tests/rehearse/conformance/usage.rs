//! What a person meets: what is missing is said with an example, and nothing is sent by accident.

use std::net::TcpListener;

use super::{SECRET, SECRET_ENV, conformance, output, read, start};
use crate::breach::Breach;
use crate::participant::{Breaks, Fence, Participant};
use crate::{DATA, amends, written};

#[track_caller]
fn refused(args: &[&str], expected: &[&str]) {
    let output = amends().arg("conformance").args(args).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let flat = words.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(output.stdout.is_empty());
    for part in expected {
        assert!(flat.contains(part), "{args:?} does not say {part:?}: {words}");
    }
    assert!(!words.contains("hunter2"), "{words}");
}

const URL: &str = "http://127.0.0.1:9";

#[test]
fn what_is_missing_is_said_with_an_example() {
    refused(&[URL], &["which command is tried is not said", "--command PaymentService.Process"]);
    refused(
        &[URL, "--command", "Do"],
        &["does not say which service's command", "--command PaymentService.ProcessPayment"],
    );
    let of = [URL, "--command", "Tried.Do"];
    refused(&of, &["there is no data to start sagas with", "--data '{"]);
    refused(&[&of[..], &["--undo", "Other.Undo"]].concat(), &["of another service"]);
    let secret = ["--secret", "hunter2-hunter2"];
    refused(&[&of[..], &secret].concat(), &["never is the secret itself", "env.PAYMENT_SECRET"]);
    let data = [&of[..], &["--data", DATA]].concat();
    let unset = ["--secret", "env.NOT_SET_HERE"];
    refused(&[&data[..], &unset].concat(), &["not in the environment (NOT_SET_HERE)"]);
    let no_fields = ["--refused", "7"];
    refused(&[&data[..], &no_fields].concat(), &["--refused takes the fields", "a JSON object"]);
    let only = ["--only", "twice"];
    refused(&[&data[..], &only].concat(), &["no scenario \"twice\"", "crash_after", "key_reused"]);
}

#[test]
fn a_rule_that_was_asked_for_and_could_not_be_tried_is_no_pass() {
    let tried = start(Breaks::Nothing);
    let output = output(&tried, Fence::Barrier, &["--only", "signature"], "table");
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr);
    let flat = words.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("--only signature: it could not be tried"), "{words}");
    assert!(flat.contains("no secret is said"), "{words}");
}

#[test]
fn a_scenario_that_was_asked_for_and_that_there_is_none_of_is_no_pass() {
    let tried = start(Breaks::Nothing);
    let of = [tried.url.as_str(), "--command", "Tried.Do", "--data", DATA, "--only"];
    for (only, hint) in [("refused", "--refused"), ("late", "an undo"), ("again", "--undo")] {
        let what = format!("--only {only}: it could not be tried");
        refused(&[&of[..], &[only]].concat(), &[&what, hint]);
    }
}

#[test]
fn a_rule_that_was_not_asked_for_is_not_said_to_be_untried_by_the_service() {
    let tried = start(Breaks::Nothing);
    let of = |only: &str| {
        let output = output(&tried, Fence::Barrier, &["--only", only], "json");
        let (code, report) = read(&output);
        assert_eq!(code, 0, "{report:#}");
        let rules = report["services"][0]["rules"].as_array().unwrap().clone();
        let not_tried = rules.into_iter().filter(|rule| rule["verdict"] == "not_tried");
        not_tried.map(|rule| (rule["rule"].clone(), rule["why"].clone())).collect::<Vec<_>>()
    };
    let own = ["accepted", "signature"];
    for only in ["duplicate", "foreign_key"] {
        let others = of(only);
        assert!(others.iter().any(|(rule, _)| rule == "refusal"), "{others:?}");
        for (rule, why) in others.iter().filter(|(rule, _)| own.iter().all(|own| rule != own)) {
            assert_eq!(why, "nothing that --only names came to it", "{rule} with {only}");
        }
    }
}

#[test]
fn nothing_beyond_this_machine_is_sent_to_by_accident() {
    let of = ["--command", "Tried.Do", "--data", DATA];
    let far = [&["https://shop.example/hunter2"][..], &of].concat();
    refused(&far, &["beyond this machine", "--allow-host shop.example"]);
    refused(&[&["shop.example:80"][..], &of].concat(), &["no http:// or https:// URL"]);
}

#[test]
fn what_is_not_there_or_refuses_the_data_is_told_apart_from_what_is_broken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let of = ["--command", "Tried.Do", "--data", DATA];
    refused(&[&[url.as_str()][..], &of].concat(), &["Tried cannot be reached"]);
    let tried = start(Breaks::Nothing);
    let bad = ["--command", "Tried.Do", "--data", r#"{"pair_id": "p", "bad_at": "do"}"#];
    let words = ["Tried does not carry its command out", "422", "NO_CARD", "--data"];
    refused(&[&[tried.url.as_str()][..], &bad].concat(), &words);
}

#[test]
fn a_command_that_the_service_does_not_have_is_a_mistake_and_breaks_no_rule() {
    let tried = start(Breaks::Nothing);
    let of = |command: &str, undo: &str, expected: &[&str]| {
        let named = [tried.url.as_str(), "--command", command, "--undo", undo, "--data", DATA];
        refused(&named, expected);
    };
    let none = "as a service does that has no such command";
    of(
        "Tried.Doo",
        "Tried.Undo",
        &["Tried answers POST /Doo with 404", none, "correct --command, or the address"],
    );
    of("Tried.Do", "Tried.Undoo", &["Tried answers POST /Undoo with 404", none, "correct --undo"]);
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), Fence::Barrier);
    let mistyped = std::fs::read_to_string(&file).unwrap().replace("Tried.Do", "Tried.Doo");
    std::fs::write(&file, mistyped).unwrap();
    let of_file = ["--definition", file.to_str().unwrap(), "--service", "Tried", "--data", DATA];
    let what = ["Tried answers POST /Doo with 404", "the path in the definition"];
    refused(&[&[tried.url.as_str()][..], &of_file].concat(), &what);
}

#[test]
fn a_service_of_a_definition_is_tried_by_what_the_definition_says_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), Fence::Barrier);
    let tried = start(Breaks::Tombstone);
    let of = |service: &str, more: &[&str]| {
        let mut command = amends();
        command.args(["conformance", &tried.url, "--definition", file.to_str().unwrap()]);
        command.args(["--service", service, "--data", DATA, "-o", "json"]).args(more);
        command.output().unwrap()
    };
    let (code, report) = read(&of("Tried", &["--refused", r#"Do={"bad_at": "second"}"#]));
    // The fence is the definition's, and so is the step.
    assert_eq!((code, &report["broken"][0]["rule"]), (1, &"tombstone".into()), "{report:#}");
    assert_eq!(report["suite"], "conformance");
    assert!(report["broken"][0]["scenario"].as_str().unwrap().starts_with("second"), "{report:#}");
    let words = String::from_utf8(of("Nobody", &[]).stderr).unwrap();
    assert!(words.contains("no action of Nobody") && words.contains("Tried.Do"), "{words}");
    let words = String::from_utf8(of("Tried", &["--command", "Undo"]).stderr).unwrap();
    assert!(words.contains("no action Undo of Tried"), "{words}");
}

#[test]
fn what_the_checker_warns_of_in_the_definition_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), Fence::Barrier);
    let quiet = std::fs::read_to_string(&file).unwrap();
    let tried = start(Breaks::Nothing);
    let of = |top: &str, command: &str, form: &str| {
        std::fs::write(&file, format!("{top}{}", quiet.replace("Tried.Do", command))).unwrap();
        let named = ["--service", "Tried", "--data", DATA, "--only", "duplicate", "-o", form];
        let mut conformance = amends();
        conformance.args(["conformance", &tried.url, "--definition", file.to_str().unwrap()]);
        conformance.args(named).output().unwrap()
    };
    // A step may take longer than the saga.
    let warned = "deadline: 1s\n";
    let output = of(warned, "Tried.Do", "table");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("warning[A067]: ") && said.contains("amends check"), "{said}");
    let (code, report) = read(&of(warned, "Tried.Do", "json"));
    assert_eq!((code, &report["warnings"][0]["id"]), (0, &"A067".into()), "{report:#}");
    let said = String::from_utf8(of(warned, "Tried.Doo", "table").stderr).unwrap();
    assert!(said.contains("warning[A067]: ") && said.contains("404"), "{said}");
    let said = String::from_utf8(of("", "Tried.Do", "table").stderr).unwrap();
    assert!(!said.contains("warning"), "{said}");
}

#[test]
fn only_what_was_asked_for_is_tried() {
    let only = ["--only", "foreign_key"];
    let broken = Breaks::Breach(Breach::ForeignKey);
    let (code, report) = conformance(&start(broken), Fence::Barrier, &only);
    assert_eq!((code, &report["scenarios"]), (1, &2.into()), "{report:#}");
    let (code, report) = conformance(&start(broken), Fence::Barrier, &["--only", "duplicate"]);
    assert_eq!((code, &report["scenarios"]), (0, &3.into()), "{report:#}");
}

#[test]
fn the_report_is_as_wide_in_a_file_as_columns_says() {
    let tried = start(Breaks::KeyReused);
    let wide_in = |columns: &str| {
        let named = ["--command", "Tried.Do", "--data", DATA, "--vary", "pair_id"];
        let more = ["--only", "key_reused", "-o", "table"];
        let mut command = amends();
        command.args(["conformance", &tried.url]).args(named).args(more).env("COLUMNS", columns);
        let words = String::from_utf8(command.output().unwrap().stdout).unwrap();
        // An exchange has bytes of the service, which are not folded within a word.
        let said = words.lines().filter(|line| !line.contains(['{', '/']));
        said.map(|line| line.chars().count()).max().unwrap()
    };
    let wide = ["60", "80", "120", "many", "0"].map(wide_in);
    assert!(wide[0] <= 60 && (61..=80).contains(&wide[1]), "{wide:?}");
    assert!((101..=120).contains(&wide[2]), "{wide:?}");
    assert!(wide[3] <= 100 && wide[3] == wide[4], "{wide:?}");
}

#[test]
fn the_report_fits_eighty_columns_and_shows_no_secret() {
    let tried = Participant::signed(Breaks::Breach(Breach::Forged), SECRET);
    let signed = ["--secret", &format!("env.{SECRET_ENV}")];
    let output = output(&tried, Fence::Barrier, &signed, "table");
    let words = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    let table: Vec<&str> = words.lines().take(27).collect();
    assert!(table.iter().all(|line| line.chars().count() <= 80), "{words}");
    for part in ["refuses what is not signed", "✗ BROKEN", "POST /Do", "1 promise broken: Tried in"]
    {
        assert!(words.contains(part), "{part:?} is not in {words}");
    }
    assert!(!words.contains("aHVudGVyMi"), "{words}");
}
