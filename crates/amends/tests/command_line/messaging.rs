//! A saga type that is reached over NATS: started by message, signalled by message, and told of.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::{Channel, End, Kind, Message, Received};
use amends_transport_nats::{Place, Server as Nats, connect};
use serde_json::{Value, json};

use crate::server::Server;

const DEFINITION: &str = r#"
saga: Leave
business_key: "${ data.request }"
steps:
  - { name: approve, signal: approval, deadline: 1d, on_deadline: refuse }
messaging:
  nats: { stream: LEAVE, commands: leave.commands, replies: leave.replies, events: leave.events }
"#;

/// The other end of the place, or of the stream in which its events lie.
async fn end(url: &str, [stream, commands, replies]: [&str; 3]) -> Arc<dyn Channel> {
    let place = Place {
        stream: stream.to_owned(),
        commands: commands.to_owned(),
        replies: replies.to_owned(),
        events: None,
    };
    let (channel, _) = connect(&Nats::new(url), place, End::Engine, true).await.unwrap();
    Arc::new(channel)
}

async fn ask(client: &Arc<dyn Channel>, id: &str, name: &str, body: Value) {
    let attributes = [("specversion", "1.0"), ("id", id), ("source", "/people"), ("type", name)];
    let message = Message {
        id: id.to_owned(),
        saga_id: id.to_owned(),
        kind: Kind::Command,
        name: name.to_owned(),
        attributes: attributes.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
        body: body.to_string().into(),
    };
    client.publish(&message).await.unwrap();
}

async fn next(channel: &Arc<dyn Channel>) -> Value {
    let received = tokio::time::timeout(Duration::from_secs(60), channel.receive());
    let received: Received = received.await.expect("it comes").unwrap();
    channel.acknowledge(received.tag).await.unwrap();
    serde_json::from_slice(&received.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_is_started_and_signalled_by_message_and_its_end_is_an_event() {
    let started = tokio::task::spawn_blocking(|| testbed::Server::start(testbed::nats()));
    let broker = started.await.unwrap().expect("NATS starts");
    let folder = tempfile::tempdir().unwrap();
    let definition = folder.path().join("leave.yaml");
    fs::write(&definition, DEFINITION).unwrap();
    let (data, url) = (folder.path().join("data"), broker.url());
    let server = Server::start_with(&data, &definition, &["--nats", &url]);
    server.says("made at NATS: stream LEAVE");
    let client = end(&url, ["LEAVE", "leave.commands", "leave.replies"]).await;

    ask(&client, "1", "Leave.Start", json!({ "request": "r-1" })).await;
    let answer = next(&client).await;
    assert_eq!(answer["type"], "SagaRequestAccepted", "{answer}");
    let saga = answer["saga_id"].clone();

    drop(server); // killed
    let signal = json!({ "business_key": "r-1", "signal": "approval", "value": { "by": "x" } });
    ask(&client, "2", "Leave.Signal", signal).await;
    let _server = Server::start_with(&data, &definition, &["--nats", &url]);
    let answer = next(&client).await;
    assert_eq!((&answer["type"], &answer["saga_id"]), (&json!("SagaRequestAccepted"), &saga));

    let events = ["LEAVE_EVENTS", "leave.events.LeaveFailed", "leave.events.LeaveCompleted"];
    let listener = end(&url, events).await;
    let event = next(&listener).await;
    assert_eq!((&event["type"], &event["saga_id"]), (&json!("LeaveCompleted"), &saga), "{event}");
    assert_eq!(event["business_key"], "r-1");
    client.close().await;
    listener.close().await;
}
