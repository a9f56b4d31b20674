//! A service behind a broker, the same for every broker: the server finds it, makes what is missing
//! there, outlives the broker's death and its own, and hears what was said meanwhile.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::{CONFIRMED_WITHIN, Channel, Kind, Message, Received};
use amends_wire::{Direction, Headers, SendingId};
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::server::{Server, amends, words};

/// How a broker is reached.
pub struct Reached {
    /// What it is in tests.
    pub kind: testbed::Make,
    /// The option that says where it is.
    pub option: &'static str,
    /// How the definition describes the service: `nats: { … }`.
    pub described: &'static str,
    /// What the server says when it has made what was missing.
    pub made: &'static str,
    /// What the server's environment says, to come in there.
    pub env: &'static [(&'static str, &'static str)],
    /// How it goes away, and comes back.
    pub dies: Dies,
    /// How long a queue must be there before the broker finds it again after a loss of power.
    pub kept_after: Duration,
    /// The service's end. What it needs is there when the server has made it.
    pub service: fn(String) -> BoxFuture<'static, Arc<dyn Channel>>,
}

/// How a broker goes away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dies {
    /// It is killed, and starts again on what it kept.
    Killed,
    /// It cannot be reached: what stands for it here keeps nothing. Every connection is cut, and each
    /// new one refused.
    Shut,
}

/// A broker, and the door before it where it is only shut.
struct Broker {
    process: testbed::Server,
    door: Option<testbed::Door>,
}

impl Broker {
    fn start(kind: testbed::Make, dies: Dies) -> Self {
        let process = testbed::Server::start(kind()).expect("the broker starts");
        let door = (dies == Dies::Shut)
            .then(|| testbed::Door::before(process.port()).expect("a port is free"));
        Self { process, door }
    }

    fn url(&self) -> String {
        let url = self.process.url();
        match &self.door {
            Some(door) => url.replace(&self.process.port().to_string(), &door.port().to_string()),
            None => url,
        }
    }

    fn go_away_and_come_back(&mut self) {
        if let Some(door) = &mut self.door {
            door.shut();
            std::thread::sleep(AWAY_FOR);
            door.open().unwrap();
        } else {
            self.process.kill().unwrap();
            self.process.start_again().unwrap();
        }
    }
}

/// How long it is shut: about as long as another takes to start.
const AWAY_FOR: Duration = Duration::from_secs(2);

impl Reached {
    /// A saga of two steps, both of the service.
    pub fn definition(&self) -> String {
        format!(
            "saga: Letter\n\
             steps:\n  \
             - {{ name: write, action: Desk.Write, compensation: Desk.Tear }}\n  \
             - {{ name: post, action: Desk.Post, compensation: Desk.Fetch }}\n\
             services:\n  \
             Desk:\n    \
             fence: barrier\n    \
             {}\n",
            self.described
        )
    }
}

async fn next(service: &Arc<dyn Channel>) -> Received {
    let received = async {
        loop {
            match service.receive().await {
                Ok(received) => return received,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    let received = tokio::time::timeout(Duration::from_secs(60), received);
    received.await.expect("a command comes")
}

/// Answers a command, and is done with it.
async fn answer(service: &Arc<dyn Channel>, command: &Received, refuses: bool) {
    let id = command.value("ce-id").and_then(SendingId::parse).unwrap();
    let (about, what) = match (id.command.direction, refuses) {
        (Direction::Compensation, _) => ("Compensation", "Completed"),
        (Direction::Action, false) => ("Step", "Completed"),
        (Direction::Action, true) => ("Step", "Failed"),
    };
    let name = format!("Saga{about}{what}");
    let saga_id = id.command.saga_id.to_string();
    let body = json!({
        "type": name,
        "saga_id": saga_id,
        "step_name": id.command.step_name,
        "error": if refuses { json!({"code": "NO_STAMP", "message": "none"}) } else { json!(null) },
    });
    let reply = Message {
        id: format!("{id}/reply"),
        saga_id,
        kind: Kind::Reply,
        name,
        attributes: Vec::new(),
        body: body.to_string().into(),
    };
    // A broker may owe its word for ever: a service waits only so long.
    let published = || tokio::time::timeout(CONFIRMED_WITHIN, service.publish(&reply));
    while !matches!(published().await, Ok(Ok(()))) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let _ = service.acknowledge(command.tag).await; // or it comes again
}

async fn off_thread<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.unwrap()
}

/// A saga runs, one is rolled back, the broker is killed, the server is killed, and every saga ends.
pub async fn every_saga_ends(reached: &Reached) {
    let folder = tempfile::tempdir().unwrap();
    let definition = folder.path().join("letter.yaml");
    fs::write(&definition, reached.definition()).unwrap();
    let data = folder.path().join("data");
    let (kind, dies) = (reached.kind, reached.dies);
    let mut broker = off_thread(move || Broker::start(kind, dies)).await;
    let url = broker.url();
    let serve = || Server::start_in(reached.env, &data, &definition, &[reached.option, &url]);
    let server = serve();
    server.says(reached.made);
    let desk = (reached.service)(url.clone()).await;

    // One that completes.
    let started = server.ask(&["start", "Letter", "--data", "{}"]);
    let done = words(&started);
    assert!(started.status.success(), "{done}");
    for _ in 0..2 {
        let command = next(&desk).await;
        answer(&desk, &command, false).await;
    }

    // One whose second step is refused, with the broker killed in the middle.
    assert!(server.ask(&["start", "Letter", "--data", "{}"]).status.success());
    let command = next(&desk).await;
    answer(&desk, &command, false).await;
    tokio::time::sleep(reached.kept_after).await;
    let mut broker = off_thread(move || {
        broker.go_away_and_come_back();
        broker
    })
    .await;
    let mut undone = false;
    while !undone {
        let command = next(&desk).await;
        undone = command.value("ce-type") == Some("Desk.Tear");
        let refuses = command.value("ce-type") == Some("Desk.Post");
        answer(&desk, &command, refuses).await;
    }

    // One that is answered while the server is dead.
    assert!(server.ask(&["start", "Letter", "--data", "{}"]).status.success());
    let command = next(&desk).await;
    drop(server); // killed
    answer(&desk, &command, false).await;
    let server = serve();
    // Perhaps the same once more: a broker may take the dead server for alive for so long that the
    // answer is not heard in time.
    let answering = tokio::spawn({
        let desk = Arc::clone(&desk);
        async move {
            loop {
                let command = next(&desk).await;
                answer(&desk, &command, false).await;
            }
        }
    });

    let began = std::time::Instant::now();
    loop {
        let (_, list) = server.json(&["list"]);
        let text = list.to_string();
        let ended = |state: &str| text.matches(&format!("\"state\":\"{state}\"")).count();
        if ended("completed") == 2 && ended("failed") == 1 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{text}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    answering.abort();
    desk.close().await;
    broker.process.kill().unwrap();
}

/// What is missing is told, made when that is asked for, and then there; and a broker that is away is told.
pub fn the_doctor_says_what_is_there(reached: &Reached) {
    let folder = tempfile::tempdir().unwrap();
    let definition = folder.path().join("letter.yaml");
    fs::write(&definition, reached.definition()).unwrap();
    let mut broker = testbed::Server::start((reached.kind)()).expect("the broker starts");
    let url = broker.url();
    let doctor = |more: &[&str]| {
        let mut command = amends();
        command.args(["doctor", "--listen", "127.0.0.1:0", "--definitions"]).arg(&definition);
        command.arg("--data").arg(folder.path().join("data"));
        command.args([reached.option, &url]).args(more).env("COLUMNS", "400");
        command.envs(reached.env.iter().copied());
        let output = command.output().unwrap();
        (output.status.code(), words(&output))
    };
    let made = reached.made.strip_prefix("made at ").unwrap();
    let (broker_name, thing) = made.split_once(": ").unwrap();
    let missing = format!("missing at {broker_name}: {thing};");

    let (code, said) = doctor(&[]);
    assert!(code == Some(0) && said.contains(&missing), "{code:?} {said}");
    let (code, said) = doctor(&["--brokers-as-they-are"]);
    assert!(code == Some(1) && said.contains("have it made"), "{code:?} {said}");
    let (code, said) = doctor(&["--create"]);
    assert!(code == Some(0) && said.contains(reached.made), "{code:?} {said}");
    let (code, said) = doctor(&[]);
    assert!(code == Some(0) && !said.contains(&missing), "{code:?} {said}");
    assert!(said.contains(&format!("{broker_name} has ")) && said.contains(thing), "{said}");

    broker.kill().unwrap();
    let (code, said) = doctor(&[]);
    assert!(code == Some(1) && said.contains("cannot be reached"), "{code:?} {said}");
    let password = url.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
    if let Some((_, password)) = password.and_then(|(login, _)| login.split_once(':')) {
        assert!(!said.contains(password), "{said}");
    }
}

/// The engine's round trips are told beside those of the broker's own client.
pub fn the_bench_measures_the_way_and_the_broker_alone(reached: &Reached) {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = testbed::Server::start((reached.kind)()).expect("the broker starts");
    let mode = reached.option.trim_start_matches("--");
    let output = amends()
        .args(["bench", "--mode", mode, "--duration", "1", "--concurrency", "16", "-o", "json"])
        .args([reached.option, &broker.url(), "--data"])
        .arg(folder.path())
        .envs(reached.env.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let figure = |name: &str| report["figures"][name].as_f64().unwrap_or_default();
    println!("{report:#}");
    assert!(figure("sagas") > 0.0 && figure("sagas_failed") >= 0.0, "{report:#}");
    let share = figure("round_trips_per_second") / figure("bare_round_trips_per_second");
    assert!((share - figure("share_of_bare")).abs() < 0.01, "{report:#}");
    broker.kill().unwrap();
}

/// The definition stands, and the server says what it lacks.
pub fn a_server_that_is_not_told_where_the_broker_is_says_so(reached: &Reached) {
    let folder = tempfile::tempdir().unwrap();
    let definition = folder.path().join("letter.yaml");
    fs::write(&definition, reached.definition()).unwrap();
    let server = Server::start(&folder.path().join("data"), &definition);
    server.says(&format!("say {} ", reached.option));
}
