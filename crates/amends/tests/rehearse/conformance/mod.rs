//! `amends conformance` against a participant that keeps every rule, and against one mutant a rule.

mod broken;
mod page;
mod usage;
mod worked;

use std::process::Output;

use serde_json::Value;

use crate::participant::{Breaks, Fence, Participant};
use crate::{DATA, amends};

/// The secret of the participants whose commands are signed, and the variable that holds it.
pub const SECRET: &str = "whsec_aHVudGVyMi1odW50ZXIyLWh1bnRlcjI=";
pub const SECRET_ENV: &str = "CONFORMANCE_SECRET";

/// Runs the suite against a participant, as it is printed.
pub fn output(tried: &Participant, fence: Fence, more: &[&str], form: &str) -> Output {
    let fence = match fence {
        Fence::Barrier => "barrier",
        Fence::Settle => "settle",
    };
    amends()
        .args(["conformance", &tried.url, "--command", "Tried.Do", "--undo", "Tried.Undo"])
        .args(["--data", DATA, "--vary", "pair_id", "--refused", r#"{"bad_at": "do"}"#])
        .args(["--fence", fence, "-o", form])
        .args(more)
        .env(SECRET_ENV, SECRET)
        .output()
        .unwrap()
}

/// The exit code and the report.
pub fn conformance(tried: &Participant, fence: Fence, more: &[&str]) -> (i32, Value) {
    read(&output(tried, fence, more, "json"))
}

pub fn read(output: &Output) -> (i32, Value) {
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.code().unwrap(), report)
}

/// The names of the rules with this verdict.
pub fn with_verdict(report: &Value, verdict: &str) -> Vec<String> {
    let rules = report["services"][0]["rules"].as_array().unwrap();
    let of = rules.iter().filter(|rule| rule["verdict"] == verdict);
    of.map(|rule| rule["rule"].as_str().unwrap().to_owned()).collect()
}

pub fn start(breaks: Breaks) -> Participant {
    Participant::start(Fence::Barrier, breaks)
}
