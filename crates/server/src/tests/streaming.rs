//! Live events.

use super::bench::{Bench, PATIENCE};
use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};

/// A stream, read an event at a time.
struct Reader {
    body: Body,
    text: String,
}

impl Reader {
    async fn open(bench: &Bench, query: &str, headers: &[(&str, &str)]) -> Self {
        let response = bench.open_response("GET", &format!("/v1/events{query}"), headers, "").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut reader = Self { body: response.into_body(), text: String::new() };
        assert_eq!(reader.block().await.as_deref(), Some("retry: 2000"));
        reader
    }

    /// Name, id and data of the next event; `None` at the end.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        let block = self.block().await?;
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.unwrap_or_default().to_owned()
        };
        Some((field("event"), field("id"), serde_json::from_str(&field("data")).unwrap()))
    }

    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if !block.starts_with(':') {
                    return Some(block);
                }
                continue;
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.unwrap()?;
            self.text.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transitions_are_shown_as_they_happen_and_filtered() {
    let bench = Bench::open().await;
    let mut orders = Reader::open(&bench, "?saga_type=Order", &[]).await;
    bench.start("Approval", &json!({})).await;
    let id = bench.start("Order", &json!({})).await;
    let mut seen = Vec::new();
    loop {
        let (name, event_id, data) = orders.next().await.unwrap();
        assert_eq!((&data["saga_type"], &data["saga_id"]), (&json!("Order"), &json!(id)));
        assert_eq!(event_id, format!("{id}/{}", data["seq"]));
        assert_eq!(data["change"], name);
        let (from, to) = (&data["from"], data["to"].as_str().unwrap());
        if name == "state" && to == "started" {
            assert_eq!(*from, Value::Null);
        }
        seen.push(format!("{name} {} {to}", data["step"].as_str().unwrap_or_default()));
        if seen.contains(&"state  completed".to_owned()) {
            break;
        }
    }
    for expected in ["state  started", "step reserve completed", "step ship completed"] {
        assert!(seen.iter().any(|event| event == expected), "{expected} in {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_comes_back_is_told_what_it_may_have_missed() {
    let bench = Bench::open().await;
    let id = bench.start("Order", &json!({})).await;
    let seq = bench.ended(&id).await["seq"].as_u64().unwrap();
    let seen = |seq: u64| format!("{id}/{seq}");

    let last = seen(2);
    let mut reader = Reader::open(&bench, "", &[("last-event-id", &last)]).await;
    let (name, _, gap) = reader.next().await.unwrap();
    assert_eq!(name, "gap");
    let read = gap["read"].as_str().unwrap();
    assert!(read.starts_with("/v1/sagas?updated_from=20"), "{read}");
    assert_eq!(bench.get(read).await.status, 200);

    let of_saga = format!("?saga_id={id}");
    let mut reader = Reader::open(&bench, &of_saga, &[("last-event-id", &last)]).await;
    let (name, _, gap) = reader.next().await.unwrap();
    assert_eq!(name, "gap");
    assert_eq!(gap["read"], format!("/v1/sagas/{id}/history?after=2"));

    // Nothing was missed: there is no gap, and the stream ends without an event.
    let last = seen(seq);
    let mut reader = Reader::open(&bench, &of_saga, &[("last-event-id", &last)]).await;
    bench.stop.send_replace(true);
    assert_eq!(reader.next().await, None);

    let headers = [("last-event-id", "17")];
    let got = bench.send("GET", "/v1/events", &headers, "").await;
    assert_eq!(got.problem(), (400, "bad_header".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_and_give_their_place_back() {
    let bench = Bench::open().await;
    let mut open = Vec::new();
    for _ in 0..crate::events::STREAMS_MAX {
        open.push(bench.open_response("GET", "/v1/events", &[], "").await);
    }
    let got = bench.get("/v1/events").await;
    assert_eq!(got.problem(), (429, "too_many_streams".to_owned()));
    assert_eq!(got.header("retry-after"), "5");
    open.pop();
    assert_eq!(bench.open_response("GET", "/v1/events", &[], "").await.status(), 200);
}
