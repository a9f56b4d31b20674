//! Participants and people who quote what a definition redacts.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use super::bench::{Bench, Got, JSON, PATIENCE, bearer};
use serde_json::json;

const CARD: &str = "tok-4242-0001";

async fn get(bench: &Bench, role: &str, path: &str) -> Got {
    let token = bearer(role);
    bench.send("GET", path, &[("authorization", &*token)], "").await
}

fn text(got: &Got) -> String {
    String::from_utf8(got.body.to_vec()).unwrap()
}

/// A saga whose payment was refused and whose undo fails, both with the card in the error.
async fn quoted(bench: &Bench) -> String {
    let starter = bearer("starter-starter-starter");
    let data = json!({"card": CARD, "copy": {CARD: [CARD]}, "how": "echo", "Inventory.Release": "echo_later"});
    let headers = [JSON, ("authorization", &*starter)];
    let mut transitions = bench.handle().transitions();
    let started = bench.send("POST", "/v1/sagas/Echoing", &headers, data.to_string()).await;
    assert_eq!(started.status, 201, "{:?}", started.body);
    assert!(!text(&started).contains(CARD), "{}", text(&started));
    let id = started.json()["saga_id"].as_str().unwrap().to_owned();
    loop {
        let saga =
            get(bench, "operator-operator-operator", &format!("/v1/sagas/{id}")).await.json();
        if saga["attention"][0]["reason"] == "compensation_failed" {
            return id;
        }
        tokio::time::timeout(PATIENCE, transitions.recv()).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quoted_value_is_in_no_answer_below_operator() {
    let bench = Bench::guarded().await;
    let id = quoted(&bench).await;
    let operator = bearer("operator-operator-operator");
    let headers = [JSON, ("authorization", &*operator)];
    let why = json!({"reason": format!("the customer of {CARD} called")}).to_string();
    let paused = bench.send("POST", &format!("/v1/sagas/{id}/pause"), &headers, why).await;
    assert_eq!(paused.status, 200);
    let at = bench.handle().position().0;
    // The list first, so that all of it is in the catalog.
    let paths = [
        format!("/v1/sagas?at_least={at}"),
        format!("/v1/sagas/{id}"),
        format!("/v1/sagas/{id}/history"),
        "/v1/dead-letters".to_owned(),
        "/v1/attention".to_owned(),
        "/v1/definitions/Echoing".to_owned(),
        "/metrics".to_owned(),
    ];
    for path in &paths {
        for role in ["viewer-viewer-viewer", "starter-starter-starter"] {
            let shown = get(&bench, role, path).await;
            assert_eq!(shown.status, 200, "{path}");
            let shown = text(&shown).to_ascii_lowercase();
            for value in [CARD, "9876543"] {
                assert!(!shown.contains(value), "{path} as {role}: {shown}");
            }
        }
    }
    let viewer = "viewer-viewer-viewer";
    let saga = get(&bench, viewer, &paths[1]).await.json();
    let expected =
        json!({"step": "pay", "code": "CARD_[redacted]", "message": "no CARD_[redacted]"});
    assert_eq!(saga["error"], expected);
    let rest = json!({"[redacted]": ["[redacted]"]});
    assert_eq!((&saga["data"]["copy"], &saga["business_key"]), (&rest, &json!("[redacted]")));
    let letters = get(&bench, viewer, "/v1/dead-letters").await.json();
    assert_eq!(letters["dead_letters"][0]["error"]["message"], "not now: CARD_[redacted]");
    let history = text(&get(&bench, viewer, &paths[2]).await);
    assert!(history.contains("the customer of [redacted] called"), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_what_was_said() {
    let bench = Bench::guarded().await;
    let id = quoted(&bench).await;
    for path in
        [format!("/v1/sagas/{id}"), format!("/v1/sagas/{id}/history"), "/v1/dead-letters".into()]
    {
        let at = bench.handle().position().0;
        get(&bench, "operator-operator-operator", &format!("/v1/sagas?at_least={at}")).await;
        let shown = text(&get(&bench, "operator-operator-operator", &path).await);
        assert!(shown.contains(&format!("CARD_{CARD}")), "{path}: {shown}");
    }
}

/// A log that is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All that this process logs from now on, whichever test it is of: what is logged to one thread
/// alone may be switched off by another.
fn whole_log() -> Log {
    static LOG: LazyLock<Log> = LazyLock::new(|| {
        let log = Log::default();
        let writer = log.clone();
        let logged = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_global_default(logged).expect("nobody else logs");
        log
    });
    LOG.clone()
}

#[tokio::test]
async fn a_quoted_value_is_in_no_log_line_and_no_event() {
    let log = whole_log();
    let bench = Bench::guarded().await;
    let mut transitions = bench.handle().transitions();
    let id = quoted(&bench).await;
    while let Ok(transition) = transitions.try_recv() {
        assert!(!format!("{transition:?}").contains(CARD), "{transition:?}");
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains(&id), "the log has the saga: {log}");
    let told = log.lines().find(|line| line.contains(CARD));
    assert_eq!(told, None);
}
