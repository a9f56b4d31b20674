//! Every line that is logged of a command names its saga, step, direction, attempt and trace.

use std::io::Write;
use std::sync::{Arc, Mutex};

use amends_participant::{About, Command, Outcome, Participant, Refused, Tx};
use amends_wire::{CommandBody, SagaId};
use serde::{Deserialize, Serialize};
use sqlx::Sqlite;
use sqlx::sqlite::SqlitePoolOptions;
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

#[tokio::test]
async fn each_line_of_a_command_says_whose_it_is() {
    let lines = Lines::default();
    let logging = tracing_subscriber::fmt().with_ansi(false).with_writer(lines.clone()).finish();
    let _logging = tracing::subscriber::set_default(logging);
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await;
    let participant =
        Participant::builder("LedgerService", pool.unwrap()).action("Act", act).build();
    participant.create_tables().await.unwrap();
    lines.0.lock().unwrap().clear();
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let sending = [("amends-attempt", "3"), ("traceparent", traceparent.as_str())];
    for (saga, end, level, word) in [
        (1, "well", "INFO", "completed"),
        (1, "well", "INFO", "said again: completed"),
        (1, "other bytes", "WARN", "breach of the protocol: this round came before"),
        (2, "refuse", "INFO", "refused: as the test has it"),
        (3, "fail", "WARN", "not now: the handler failed, nothing was changed: the host db-7"),
    ] {
        let body = CommandBody {
            saga_id: SagaId(saga),
            saga_type: "Order",
            step_name: "pay",
            command: "LedgerService.Act",
            round: 1,
            data: format!("{{\"end\":\"{end}\"}}").as_bytes(),
            flat: true,
            undo: None,
        }
        .render()
        .unwrap();
        let command = Command::read("LedgerService", None, &sending[..], &body).unwrap();
        participant.carry_out(&command).await;
        let said = String::from_utf8(std::mem::take(&mut *lines.0.lock().unwrap())).unwrap();
        for line in said.lines() {
            for whose in [
                format!("saga_id=\"{}\"", SagaId(saga)),
                "step=\"pay\"".to_owned(),
                "direction=\"action\"".to_owned(),
                "attempt=3".to_owned(),
                format!("trace_id=\"{TRACE}\""),
            ] {
                assert!(line.contains(&whose), "{end}: no {whose} in {line}");
            }
        }
        assert!(said.lines().any(|line| line.contains(level) && line.contains(word)), "{said}");
    }
}
