//! Every line that is logged of a command names its saga, step, direction, attempt and trace.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_participant::{
    About, BODY_BYTES_MAX, Channel, ChannelError, Command, Http, InMemory, Kind, Message, Outcome,
    Participant, Received, Refused, Serving, Tag, Tx,
};
use amends_wire::{CommandBody, SagaId};
use axum::body::Body;
use axum::http::Request;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sqlx::Sqlite;
use sqlx::sqlite::SqlitePoolOptions;
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[derive(Serialize, Deserialize)]
struct Work {
    end: String,
}

async fn act(_: &mut Tx<Sqlite>, work: Work, _: &About) -> Outcome<Work> {
    tracing::info!("a line of the business");
    match work.end.as_str() {
        "refuse" => Err(Refused::new("NO", "as the test has it").into()),
        "fail" => Err(std::io::Error::other("the host db-7 is away").into()),
        _ => Ok(work),
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What was logged since the last time, by the kit and the business.
fn said(lines: &Lines) -> String {
    String::from_utf8(std::mem::take(&mut *lines.0.lock().unwrap())).unwrap()
}

/// A service whose lines are kept.
async fn service(lines: &Lines) -> (Participant<Sqlite>, tracing::subscriber::DefaultGuard) {
    let logging = tracing_subscriber::fmt().with_ansi(false).with_writer(lines.clone());
    let logging = logging.with_max_level(tracing::Level::DEBUG).finish();
    let logging = tracing::subscriber::set_default(logging);
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await;
    let participant =
        Participant::builder("LedgerService", pool.unwrap()).action("Act", act).build();
    participant.create_tables().await.unwrap();
    said(lines);
    (participant, logging)
}

fn body(saga: u128, command: &str, end: &str) -> bytes::Bytes {
    let data = format!("{{\"end\":\"{end}\"}}");
    let body = CommandBody {
        saga_id: SagaId(saga),
        saga_type: "Order",
        step_name: "pay",
        command,
        round: 1,
        data: data.as_bytes(),
        flat: true,
        undo: None,
    };
    body.render().unwrap()
}

/// Each line but those of the libraries beneath, and of a whole pass of the relay, names the saga
/// and the trace.
fn assert_named(said: &str, saga: u128, what: &str) {
    let of_no_command = [" sqlx", "the outbox is not relayed", "outbox: relayed"];
    let own = |line: &&str| !of_no_command.iter().any(|other| line.contains(other));
    for line in said.lines().filter(own) {
        for whose in [format!("saga_id=\"{}\"", SagaId(saga)), format!("trace_id=\"{TRACE}\"")] {
            assert!(line.contains(&whose), "{what}: no {whose} in {line}");
        }
    }
}

#[tokio::test]
async fn each_line_of_a_command_says_whose_it_is() {
    let lines = Lines::default();
    let (participant, _logging) = service(&lines).await;
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let sending = [("amends-attempt", "3"), ("traceparent", traceparent.as_str())];
    for (saga, end, level, word) in [
        (1, "well", "INFO", "completed"),
        (1, "well", "INFO", "said again: completed"),
        (1, "other bytes", "WARN", "breach of the protocol: this round came before"),
        (2, "refuse", "INFO", "refused: as the test has it"),
        (3, "fail", "WARN", "not now: the handler failed, nothing was changed: the host db-7"),
    ] {
        let body = body(saga, "LedgerService.Act", end);
        let command = Command::read("LedgerService", None, &sending[..], &body).unwrap();
        participant.carry_out(&command).await;
        let said = said(&lines);
        assert_named(&said, saga, end);
        for line in said.lines().filter(|line| !line.contains(" sqlx")) {
            for whose in ["step=\"pay\"", "direction=\"action\"", "attempt=3"] {
                assert!(line.contains(whose), "{end}: no {whose} in {line}");
            }
        }
        assert!(said.lines().any(|line| line.contains(level) && line.contains(word)), "{said}");
    }
}

/// Also where it is answered before it is a command, and where it is none.
#[tokio::test]
async fn each_line_of_a_request_says_whose_it_is() {
    let lines = Lines::default();
    let (participant, _logging) = service(&lines).await;
    let open = Http::new(participant.clone());
    let closed = Http::new(participant.clone()).secret("shared").unwrap();
    let (open, closed) = (open.router(), closed.router());
    for (router, path, saga, body, word) in [
        (&open, "/Act", 1, body(1, "LedgerService.Act", "well"), "completed"),
        (&open, "/Act", 2, body(2, "PaymentService.Act", "well"), "breach of the protocol at Act"),
        (&open, "/Other", 3, body(3, "LedgerService.Other", ""), "has no command \"Other\""),
        (&open, "/Act", 4, "no command".into(), "NOT_JSON"),
        (&open, "/Act", 5, vec![b' '; BODY_BYTES_MAX + 1].into(), "its body is over"),
        (&closed, "/Act", 6, body(6, "LedgerService.Act", "well"), "not signed"),
    ] {
        let request = Request::post(path)
            .header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"))
            .header("ce-correlationid", SagaId(saga).to_string());
        let request = request.body(Body::from(body)).unwrap();
        router.clone().oneshot(request).await.unwrap();
        let said = said(&lines);
        assert_named(&said, saga, word);
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

/// A broker that takes and settles nothing, once it is told so.
struct Stubborn {
    end: Arc<dyn Channel>,
    is_stubborn: AtomicBool,
}

impl Stubborn {
    fn word<'a>(
        &self,
        word: BoxFuture<'a, Result<(), ChannelError>>,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        if self.is_stubborn.load(Ordering::SeqCst) {
            return Box::pin(async { Err(ChannelError::Refused("it will not".to_owned())) });
        }
        word
    }
}

impl Channel for Stubborn {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        self.end.receive()
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.word(self.end.acknowledge(tag))
    }

    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.word(self.end.give_back(tag, after))
    }

    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        self.word(self.end.dead_letter(tag, why))
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        self.word(self.end.publish(message))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.end.close()
    }
}

/// By message: taken, answered, relayed, buried, given back, and each of it in vain.
#[tokio::test]
async fn each_line_of_a_message_says_whose_it_is() {
    let lines = Lines::default();
    let (participant, _logging) = service(&lines).await;
    for (saga, stubborn, body, words) in [
        (1, false, body(1, "LedgerService.Act", "well"), &["completed"][..]),
        (2, false, body(2, "LedgerService.Act", "fail"), &["not now"]),
        (3, false, body(3, "PaymentService.Act", "well"), &["to the dead letters"]),
        (4, false, "no command".into(), &["to the dead letters: NOT_JSON"]),
        (
            5,
            true,
            body(5, "LedgerService.Act", "well"),
            &["completed", "was not taken", "could not be answered", "was not given back"],
        ),
        (6, true, "no command".into(), &["could not be put to the dead letters", "not given back"]),
    ] {
        let broker = InMemory::new();
        let headers = [
            ("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01")),
            ("ce-correlationid", SagaId(saga).to_string()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value));
        broker.put(Kind::Command, body, headers.into());
        let channel = Stubborn { end: broker.service(), is_stubborn: stubborn.into() };
        let serving = Serving::new(participant.clone(), Arc::new(channel));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(serving.run(async {
            let _ = stopped.await;
        }));
        let mut all = String::new();
        let waited = async {
            while !words.iter().all(|word| all.contains(word)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
                all.push_str(&said(&lines));
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), waited).await.is_ok();
        assert!(waited, "not all of {words:?} in {all}");
        drop(stop);
        serving.await.unwrap();
        assert_named(&all, saga, words[0]);
        // What is left there is not the next one's.
        let pool = participant.pool();
        sqlx::query("DELETE FROM amends_outbox").execute(pool).await.unwrap();
        said(&lines);
    }
}
