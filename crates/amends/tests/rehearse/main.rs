//! `amends rehearse` finds each rule that a participant breaks on purpose, and no other; a participant
//! that keeps them all passes.

mod breach;
mod broken;
mod conformance;
mod definition;
mod later;
mod manner;
mod page;
mod participant;
mod stopped;
mod usage;
mod worked;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use manner::Manner;
use participant::{Breaks, Fence, Participant};
use serde_json::Value;

/// A saga of two steps: the first at a participant that keeps every rule, the second at one that may
/// not.
pub const DEFINITION: &str = "\
saga: Pair
business_key: \"${ data.pair_id }\"
steps:
  - { name: first, action: Honest.Do, compensation: Honest.Undo }
  - { name: second, action: Tried.Do, compensation: Tried.Undo }
services:
  Honest: { fence: barrier, http: { url: \"http://127.0.0.1:9\" } }
  Tried: { fence: FENCE, http: { url: \"http://127.0.0.1:9\" } }
";

/// Data that both take.
pub const DATA: &str = r#"{"pair_id": "p", "bad_at": "none"}"#;

/// The binary, with nothing of this machine's settings.
pub fn amends() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with("AMENDS_")) {
        command.env_remove(name);
    }
    command.current_dir(std::env::temp_dir()).stdin(Stdio::null());
    command
}

/// Checks each at the same time: a rehearsal waits more than it works.
pub fn each<T: Sync>(cases: &[T], check: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| check(case));
        }
    });
}

/// The definition, in a file of its own.
pub fn written(folder: &Path, fence: Fence) -> PathBuf {
    let path = folder.join("pair.yaml");
    let fence = match fence {
        Fence::Barrier => "barrier",
        Fence::Settle => "settle",
    };
    std::fs::write(&path, DEFINITION.replace("FENCE", fence)).unwrap();
    path
}

/// Rehearses the pair, and gives the exit code and the report.
pub fn rehearse(fence: Fence, breaks: Breaks, more: &[&str]) -> (i32, Value) {
    rehearse_in(Manner::Exchange, fence, breaks, more)
}

/// The same with a participant that answers in this manner.
pub fn rehearse_in(manner: Manner, fence: Fence, breaks: Breaks, more: &[&str]) -> (i32, Value) {
    let folder = tempfile::tempdir().unwrap();
    let tried = Participant::answering(manner, fence, breaks);
    let output = output(&written(folder.path(), fence), &tried, more, "json");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.code().unwrap(), report)
}

/// The same, as it is printed.
pub fn output(file: &Path, tried: &Participant, more: &[&str], form: &str) -> Output {
    let honest = Participant::start(Fence::Barrier, Breaks::Nothing);
    amends()
        .args(["rehearse", file.to_str().unwrap(), "--data", DATA, "-o", form])
        .args(["--refused", r#"second={"bad_at": "second"}"#])
        .args(["--against", &format!("Honest={}", honest.url)])
        .args(["--against", &format!("Tried={}", tried.url)])
        .args(more)
        .output()
        .unwrap()
}
