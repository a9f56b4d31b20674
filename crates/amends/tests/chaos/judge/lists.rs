//! The server's lists, read to their end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::api::{Answer, Api};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is owed: a state that is no end, something a person is needed for, a pause.
const OWING: [&str; 5] =
    ["state=started", "state=pending", "state=compensating", "attention=any", "paused=true"];

/// Waits until every saga has ended and owes nothing, but not for ever: those that do.
pub async fn until_nothing_is_owed(api: &Api, within: Duration) -> BTreeSet<String> {
    let since = Instant::now();
    loop {
        let mut owing = BTreeSet::new();
        for filter in OWING {
            for row in rows(api, &format!("/v1/sagas?limit=1000&{filter}")).await {
                owing.insert(row["saga_id"].as_str().unwrap_or_default().to_owned());
            }
        }
        if owing.is_empty() || since.elapsed() > within {
            return owing;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The sagas on all pages of a list.
pub async fn rows(api: &Api, first: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut path = first.to_owned();
    loop {
        let page = page(api, &path).await;
        rows.extend(page["sagas"].as_array().cloned().unwrap_or_else(|| panic!("{path}: {page}")));
        match page["next"].as_str() {
            Some(next) => path = format!("{first}&cursor={next}"),
            None => return rows,
        }
    }
}

/// The replies that found no saga: the first of them, for one is too many.
pub async fn orphans(api: &Api) -> Vec<Value> {
    let page = page(api, "/v1/orphans").await;
    page["orphans"].as_array().cloned().unwrap_or_else(|| panic!("orphans: {page}"))
}

async fn page(api: &Api, path: &str) -> Value {
    match api.get(path).await {
        Answer::Of(200, page) => page,
        other => panic!("{path} was answered {other:?}"),
    }
}
