//! Saga types that are reached over a broker, the same for every broker: started, cancelled and signalled by
//! message, each once whatever comes twice, and told of, each end once whoever was killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amends_transport::{Channel, End, Kind, Message};
use serde_json::{Value, json};

use crate::broker::Running;
use crate::brokers::Reached;
use crate::server::Server;

/// The first word of the place's queues.
const LEAVE: &str = "leave";

/// However busy the machine. A broker may take the dead server for alive for half a minute, and leave with it
/// what it was brought.
const WITHIN: Duration = Duration::from_secs(120);

/// Between two looks at what becomes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Two saga types of one step each, which share a place: of one every change is told, of the other the end.
fn definitions(folder: &Path, messaging: &str) -> PathBuf {
    let definitions = folder.join("definitions");
    fs::create_dir(&definitions).unwrap();
    for (saga_type, transitions) in [("Leave", false), ("Trip", true)] {
        let text = format!(
            "saga: {saga_type}\n\
             business_key: \"${{ data.request }}\"\n\
             steps:\n  \
             - {{ name: approve, signal: approval, deadline: 1d, on_deadline: refuse }}\n\
             messaging:\n  \
             {messaging}\n  \
             transitions: {transitions}\n"
        );
        fs::write(definitions.join(format!("{saga_type}.yaml")), text).unwrap();
    }
    definitions
}

/// Whoever asks, at the other end of the place.
struct Client {
    channel: Arc<dyn Channel>,
    sent: u32,
    /// Every answer, in the order in which they came.
    answers: Vec<Value>,
}

impl Client {
    /// Sends a request. One that is sent again is another message with the same words.
    async fn ask(&mut self, id: &str, name: &str, body: Value) {
        let attributes =
            [("specversion", "1.0"), ("id", id), ("source", "/people"), ("type", name)];
        self.send(name, attributes.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(), body).await;
    }

    async fn send(&mut self, name: &str, attributes: Vec<(String, String)>, body: Value) {
        self.sent += 1;
        let message = Message {
            id: format!("message {}", self.sent),
            saga_id: format!("message {}", self.sent),
            kind: Kind::Command,
            name: name.to_owned(),
            attributes,
            body: body.to_string().into(),
        };
        self.channel.publish(&message).await.unwrap();
    }

    /// The first answer to a request: one that was sent twice may be answered twice.
    async fn answer(&mut self, id: &str) -> Value {
        loop {
            let found = self.answers.iter().find(|answer| answer["request"]["id"] == id);
            if let Some(answer) = found {
                return answer.clone();
            }
            self.answers.push(next(&self.channel).await);
        }
    }

    /// The saga that a request came to.
    async fn accepted(&mut self, id: &str) -> Value {
        let answer = self.answer(id).await;
        assert_eq!(answer["type"], "SagaRequestAccepted", "{answer}");
        answer["saga_id"].clone()
    }
}

/// Whoever listens to the events of the place.
struct Listener {
    channel: Arc<dyn Channel>,
    heard: Vec<Value>,
}

impl Listener {
    /// What was told of a saga, its end being the last of it.
    async fn hears_the_end_of(&mut self, saga: &Value) -> Vec<Value> {
        loop {
            let of_saga = self.heard.iter().filter(|event| event["saga_id"] == *saga);
            let told: Vec<Value> = of_saga.cloned().collect();
            let ended = |event: &Value| !event["type"].as_str().unwrap().ends_with("Transition");
            if told.last().is_some_and(ended) {
                return told;
            }
            self.heard.push(next(&self.channel).await);
        }
    }

    /// The names of the events of all sagas but this one, each with its saga.
    fn all_but(&self, saga: &Value) -> Vec<[&Value; 2]> {
        let of_others = self.heard.iter().filter(|event| event["saga_id"] != *saga);
        of_others.map(|event| [&event["type"], &event["saga_id"]]).collect()
    }
}

async fn next(channel: &Arc<dyn Channel>) -> Value {
    let received = async {
        loop {
            match channel.receive().await {
                Ok(received) => return received,
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    };
    let received = tokio::time::timeout(WITHIN, received).await.expect("it comes");
    channel.acknowledge(received.tag).await.unwrap();
    serde_json::from_slice(&received.body).unwrap()
}

/// Starts, a signal and a cancel, each twice, with the server killed in between; then the server is killed once
/// more, and tells nothing again.
pub async fn sagas_are_asked_for_and_told_of(reached: &'static dyn Reached) {
    let folder = tempfile::tempdir().unwrap();
    let events = reached.events(LEAVE);
    let both = reached.binding(LEAVE).replace(" }", &format!(", events: {events} }}"));
    let definitions = definitions(folder.path(), &both);
    let broker = Running::start(reached).await.expect("the broker starts");
    let url = &broker.url;
    let data = folder.path().join("data");
    let serve = || Server::start_in(reached.env(), &data, &definitions, &[reached.option(), url]);
    let server = serve();
    server.says(&reached.made(LEAVE));
    let channel = reached.connect(url, LEAVE, End::Engine).await.unwrap();
    let mut client = Client { channel, sent: 0, answers: Vec::new() };
    let mut listener = Listener { channel: reached.listener(url, LEAVE).await, heard: Vec::new() };

    for id in ["start-1", "start-1", "start-2"] {
        client.ask(id, "Leave.Start", json!({ "request": id })).await;
    }
    let (first, second) = (client.accepted("start-1").await, client.accepted("start-2").await);
    assert_ne!(first, second);

    // None of these holds up what comes behind it.
    client.send("foreign", Vec::new(), json!("words")).await;
    client.ask("pause-1", "Leave.Pause", json!({})).await;
    client.ask("cancel-0", "Leave.Cancel", json!("words")).await;
    client.ask("start-3", "Leave.Start", json!([])).await;
    assert_eq!(client.answer("start-3").await["error"]["code"], "bad_data");

    // What is asked while the server is dead is done when it is there again.
    drop(server); // killed
    for _ in 0..2 {
        let value = json!({ "by": "a person" });
        let signal = json!({ "saga_id": first, "signal": "approval", "value": value });
        client.ask("signal-1", "Leave.Signal", signal).await;
        let cancel = json!({ "saga_id": second, "reason": "changed her mind" });
        client.ask("cancel-1", "Leave.Cancel", cancel).await;
    }
    let server = serve();
    assert_eq!(client.accepted("signal-1").await, first);
    assert_eq!(client.accepted("cancel-1").await, second);
    let told = listener.hears_the_end_of(&first).await;
    assert_eq!((told.len(), &told[0]["type"]), (1, &json!("LeaveCompleted")), "{told:?}");
    assert_eq!(told[0]["business_key"], "start-1");
    let told = listener.hears_the_end_of(&second).await;
    assert_eq!((told.len(), &told[0]["type"]), (1, &json!("LeaveFailed")), "{told:?}");
    let why = json!({ "code": "cancelled", "message": "changed her mind" });
    assert_eq!(told[0]["error"], why);

    // Where every change is told they come in their order.
    client.ask("trip-1", "Trip.Start", json!({ "request": "r" })).await;
    let trip = client.accepted("trip-1").await;
    let signal = json!({ "saga_id": trip, "signal": "approval", "value": {} });
    client.ask("trip-2", "Trip.Signal", signal).await;
    let told = listener.hears_the_end_of(&trip).await;
    assert!(told.is_sorted_by_key(|event| event["seq"].as_u64()), "{told:?}");
    assert_eq!(told[0]["type"], "TripTransition");
    assert_eq!(told.last().unwrap()["type"], "TripCompleted");

    // What was confirmed is not told again. That of all before this one the journal knows, since it is told
    // after them; its own word may be lost with the server.
    let end = async |client: &mut Client, request: &str| {
        client.ask(request, "Leave.Start", json!({ "request": request })).await;
        let saga = client.accepted(request).await;
        client.ask(&format!("{request}/cancel"), "Leave.Cancel", json!({ "saga_id": saga })).await;
        saga
    };
    let between = end(&mut client, "start-4").await;
    listener.hears_the_end_of(&between).await;
    let mut expected: Vec<[Value; 2]> =
        listener.all_but(&between).into_iter().map(|event| event.map(Value::clone)).collect();
    drop(server); // killed
    let server = serve();
    let last = end(&mut client, "start-5").await;
    listener.hears_the_end_of(&last).await;
    expected.push([json!("LeaveFailed"), last]);
    let expected: Vec<_> = expected.iter().map(|[name, saga]| [name, saga]).collect();
    assert_eq!(listener.all_but(&between), expected);

    let began = Instant::now();
    // A broker that knows no single message may have brought one of them again after the server's death.
    while !reached.dead_letters(url, LEAVE, End::Service).await.is_ok_and(|dead| dead >= 3) {
        assert!(began.elapsed() < WITHIN, "three messages were no requests\n{}", server.log());
        tokio::time::sleep(LOOK_EVERY).await;
    }

    // One saga for each start that was accepted, whatever came twice.
    let began = Instant::now();
    loop {
        // It is a little behind.
        let (_, list) = server.json(&["list"]);
        let sagas = list.as_array().unwrap().len();
        if sagas >= 5 {
            assert_eq!(sagas, 5, "{list}");
            break;
        }
        assert!(began.elapsed() < WITHIN, "{list}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    for answer in client.answers.iter().filter(|answer| answer["request"]["id"] == "start-1") {
        assert_eq!(answer["saga_id"], first, "answered alike");
    }
    client.channel.close().await;
    listener.channel.close().await;
}

/// A place of events alone: nothing is taken there, and no queue is made that nobody needs.
pub async fn sagas_are_told_of_alone(reached: &'static dyn Reached) {
    let folder = tempfile::tempdir().unwrap();
    let definitions = definitions(folder.path(), &reached.telling(LEAVE));
    let broker = Running::start(reached).await.expect("the broker starts");
    let url = &broker.url;
    let data = folder.path().join("data");
    let serve = || Server::start_in(reached.env(), &data, &definitions, &[reached.option(), url]);
    let server = serve();
    server.says("made at ");
    let mut listener = Listener { channel: reached.listener(url, LEAVE).await, heard: Vec::new() };
    let start = |server: &Server, request: &str| {
        let data = json!({ "request": request }).to_string();
        server.json(&["start", "Leave", "--data", &data]).1["saga_id"].clone()
    };
    let cancel = |server: &Server, saga: &Value| {
        let asked = server.ask(&["cancel", saga.as_str().unwrap(), "--reason", "tired", "--yes"]);
        assert!(asked.status.success(), "{}", crate::server::words(&asked));
    };
    let first = start(&server, "r-1");
    cancel(&server, &first);
    let told = listener.hears_the_end_of(&first).await;
    assert_eq!(told[0]["type"], "LeaveFailed", "{told:?}");
    let between = start(&server, "r-2");
    cancel(&server, &between);
    listener.hears_the_end_of(&between).await;
    assert!(!server.log().contains("commands"), "{}", server.log());
    drop(server); // killed
    let server = serve();
    let last = start(&server, "r-3");
    cancel(&server, &last);
    listener.hears_the_end_of(&last).await;
    let failed = json!("LeaveFailed");
    assert_eq!(listener.all_but(&between), [[&failed, &first], [&failed, &last]]);
    assert!(!server.log().contains("missing at"), "{}", server.log());
    listener.channel.close().await;
}
