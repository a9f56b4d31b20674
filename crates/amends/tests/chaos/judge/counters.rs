//! Metrics against what is known: in a life of the server in which nothing else happens, a few
//! sagas are started, and its counters count them and nothing else; its gauges agree with its lists.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use amends_example_services::Worked;
use serde_json::{Value, json};

use super::lists;
use crate::load::api::{Answer, Api};
use crate::load::worked::saga_type;

/// How many sagas of each type.
const SAGAS: u64 = 3;

/// Numbers that the load does not come to.
const FIRST: u64 = 1_000_000_000;

/// The gauges are read every few seconds.
const GAUGES_WITHIN: Duration = Duration::from_secs(30);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What is wrong with the metrics of a server that was just started and owes nothing.
pub async fn of_a_quiet_life(api: &Api) -> Vec<String> {
    let mut wrong = Vec::new();
    for worked in [Worked::Order, Worked::Bank] {
        for n in FIRST..FIRST + SAGAS {
            let path = format!("/v1/sagas/{}?wait=30s", saga_type(worked));
            let key = format!("quiet-{n}");
            let mut data = worked.sample(n);
            data["start"] = json!(key);
            match api.post(&path, Some(&key), &data).await {
                Answer::Of(200, saga) if saga["state"] == "completed" => {}
                other => wrong.push(format!("a saga without faults came to {other:?}")),
            }
        }
    }
    let since = Instant::now();
    loop {
        let listed = by_type_and_state(&lists::rows(api, "/v1/sagas?limit=1000").await);
        let metrics = api.text("/metrics").await.unwrap_or_default();
        let left = differences(&metrics, &listed);
        if left.is_empty() || since.elapsed() > GAUGES_WITHIN {
            wrong.extend(left);
            return wrong;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

type Counts = BTreeMap<(String, String), u64>;

fn by_type_and_state(rows: &[Value]) -> Counts {
    let mut counts = Counts::new();
    for row in rows {
        let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        *counts.entry((text("saga_type"), text("state"))).or_default() += 1;
    }
    counts
}

/// Where the metrics say other than the lists, or than what was started in this life.
fn differences(metrics: &str, listed: &Counts) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |series: &str, expected: u64| {
        let said = value(metrics, series);
        if said.unwrap_or(0) != expected {
            wrong.push(format!("{series} is {said:?}, and should be {expected}"));
        }
    };
    for ((saga_type, state), sagas) in listed {
        let series = format!("saga_instances{{saga_type=\"{saga_type}\",state=\"{state}\"}}");
        expect(&series, *sagas);
    }
    for worked in [Worked::Order, Worked::Bank, Worked::Approval] {
        let of_type = format!("{{saga_type=\"{}\"}}", saga_type(worked));
        let here = if worked == Worked::Approval { 0 } else { SAGAS };
        expect(&format!("saga_started_total{of_type}"), here);
        expect(&format!("saga_completed_total{of_type}"), here);
        expect(&format!("saga_failed_total{of_type}"), 0);
        expect(&format!("saga_compensating_total{of_type}"), 0);
        expect(&format!("saga_dead_letters_total{of_type}"), 0);
    }
    expect("amends_sagas_unreadable_total", 0);
    expect("amends_replies_orphaned_total", 0);
    let gauges = metrics.lines().filter(|line| line.starts_with("saga_instances{")).count();
    if gauges != listed.len() {
        wrong.push(format!("saga_instances has {gauges} series, the lists {}", listed.len()));
    }
    wrong
}

fn value(metrics: &str, series: &str) -> Option<u64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok())
}
