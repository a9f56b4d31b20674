//! A service behind a broker, the same for every broker: the server finds it, makes what is missing
//! there, outlives the broker's death and its own, and hears what was said meanwhile.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::{CONFIRMED_WITHIN, Channel, End, Kind, Message, Received};
use amends_wire::{Direction, Headers, SendingId};
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::broker::{Broker, Running};
use crate::server::{Server, amends, words};

/// A broker, and what of it only whoever works at the command line meets.
pub trait Reached: Broker {
    /// What the server says when it has made what was missing of a place.
    fn made(&self, short: &str) -> String;

    /// An end that takes the events of a place.
    fn listener<'a>(&'a self, url: &'a str, short: &'a str) -> BoxFuture<'a, Arc<dyn Channel>>;
}

/// The tests that are the same over every broker.
macro_rules! over {
    ($broker:expr) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn sagas_run_over_a_broker_that_goes_away_and_a_server_that_is_killed() {
            crate::brokers::every_saga_ends(&$broker).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn sagas_are_asked_for_by_message_and_told_of() {
            crate::messaging::sagas_are_asked_for_and_told_of(&$broker).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn sagas_are_told_of_where_none_is_asked_for_by_message() {
            crate::messaging::sagas_are_told_of_alone(&$broker).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn sagas_run_without_a_coordinator() {
            crate::sidecar::sagas_run_without_a_coordinator(&$broker).await;
        }

        #[test]
        fn the_doctor_says_what_is_there_and_what_is_not() {
            crate::brokers::the_doctor_says_what_is_there(&$broker);
        }

        #[test]
        fn the_bench_measures_the_way_and_the_broker_alone() {
            crate::brokers::the_bench_measures_the_way_and_the_broker_alone(&$broker);
        }

        #[test]
        fn a_server_that_is_not_told_where_the_broker_is_says_so() {
            crate::brokers::a_server_that_is_not_told_where_the_broker_is_says_so(&$broker);
        }
    };
}

pub(crate) use over;

/// The first word of the service's queues.
const DESK: &str = "desk";

/// A saga of two steps, both of a service behind this broker.
pub fn definition(broker: &dyn Broker) -> String {
    format!(
        "saga: Letter\n\
         steps:\n  \
         - {{ name: write, action: Desk.Write, compensation: Desk.Tear }}\n  \
         - {{ name: post, action: Desk.Post, compensation: Desk.Fetch }}\n\
         services:\n  \
         Desk:\n    \
         fence: barrier\n    \
         {}\n",
        broker.binding(DESK)
    )
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

/// How long the broker is away: long enough to be missed.
const AWAY_FOR: Duration = Duration::from_secs(2);

/// A saga runs, one is rolled back, the broker is killed, the server is killed, and every saga ends.
pub async fn every_saga_ends(reached: &'static dyn Reached) {
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter.yaml");
    fs::write(&letter, definition(reached)).unwrap();
    let data = folder.path().join("data");
    let mut broker = Running::start(reached).await.expect("the broker starts");
    let url = broker.url.clone();
    let serve = || Server::start_in(reached.env(), &data, &letter, &[reached.option(), &url]);
    let server = serve();
    server.says(&reached.made(DESK));
    let desk = reached.connect(&url, DESK, End::Service).await.unwrap();

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
    tokio::time::sleep(broker.broker.kept_after()).await;
    broker.kill().await.unwrap();
    tokio::time::sleep(AWAY_FOR).await;
    broker.start_again().await.unwrap();
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
}

/// What is missing is told, made when that is asked for, and then there; and a broker that is away is told.
pub fn the_doctor_says_what_is_there(reached: &dyn Reached) {
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter.yaml");
    fs::write(&letter, definition(reached)).unwrap();
    let mut broker = testbed::Server::start(reached.make()()).expect("the broker starts");
    let url = broker.url();
    let doctor = |more: &[&str]| {
        let mut command = amends();
        command.args(["doctor", "--listen", "127.0.0.1:0", "--definitions"]).arg(&letter);
        command.arg("--data").arg(folder.path().join("data"));
        command.args([reached.option(), &url]).args(more).env("COLUMNS", "400");
        command.envs(reached.env().iter().copied());
        let output = command.output().unwrap();
        (output.status.code(), words(&output))
    };
    let made = reached.made(DESK);
    let (broker_name, thing) = made.strip_prefix("made at ").unwrap().split_once(": ").unwrap();
    let missing = format!("missing at {broker_name}: {thing};");

    let (code, said) = doctor(&[]);
    assert!(code == Some(0) && said.contains(&missing), "{code:?} {said}");
    let (code, said) = doctor(&["--brokers-as-they-are"]);
    assert!(code == Some(1) && said.contains("have it made"), "{code:?} {said}");
    let (code, said) = doctor(&["--create"]);
    assert!(code == Some(0) && said.contains(&made), "{code:?} {said}");
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
pub fn the_bench_measures_the_way_and_the_broker_alone(reached: &dyn Reached) {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = testbed::Server::start(reached.make()()).expect("the broker starts");
    let output = amends()
        .args([
            "bench",
            "--mode",
            reached.name(),
            "--duration",
            "1",
            "--concurrency",
            "16",
            "-o",
            "json",
        ])
        .args([reached.option(), &broker.url(), "--data"])
        .arg(folder.path())
        .envs(reached.env().iter().copied())
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
pub fn a_server_that_is_not_told_where_the_broker_is_says_so(reached: &dyn Reached) {
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter.yaml");
    fs::write(&letter, definition(reached)).unwrap();
    let server = Server::start(&folder.path().join("data"), &letter);
    server.says(&format!("say {} ", reached.option()));
}
