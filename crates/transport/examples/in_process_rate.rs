//! Measures what a sending in-process costs: `cargo run --release -p amends-transport --example
//! in_process_rate`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amends_transport::{
    Delivery, InProcess, Outgoing, Patience, RawJson, Replies, Ticket, Transport,
};
use amends_wire::{Direction, FailureCodes};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

const SENDINGS: u32 = 2_000_000;
const IN_FLIGHT: u32 = 1024;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let transport = InProcess::new(Handle::current())
        .handle("Service.Act", |_| async { Ok(RawJson(Bytes::from_static(b"{\"id\":\"r-1\"}"))) });
    let (sender, mut ended) = mpsc::unbounded_channel();
    let replies = Replies::new(move |delivery: Delivery| {
        let _ = sender.send(delivery);
    });
    let outgoing = outgoing();
    let start = Instant::now();
    let mut open = 0;
    for attempt in 1..=SENDINGS {
        let mut next = outgoing.clone();
        next.ticket.attempt = attempt;
        transport.send(next, replies.clone());
        open += 1;
        if open == IN_FLIGHT {
            ended.recv().await;
            open -= 1;
            while ended.try_recv().is_ok() {
                open -= 1;
            }
        }
    }
    for _ in 0..open {
        ended.recv().await;
    }
    let elapsed = start.elapsed();
    println!(
        "{:.0} sendings/s, {} ns each ({SENDINGS} with {IN_FLIGHT} in flight)",
        f64::from(SENDINGS) / elapsed.as_secs_f64(),
        elapsed.as_nanos() / u128::from(SENDINGS),
    );
}

fn outgoing() -> Outgoing {
    let patience =
        Patience { timeout: Duration::from_secs(10), keep_open_for: Duration::from_secs(150) };
    Outgoing {
        ticket: Ticket {
            saga_id: 1,
            step: 0,
            run: 0,
            direction: Direction::Action,
            round: 1,
            attempt: 1,
        },
        service: "Service".into(),
        command: "Service.Act".into(),
        saga_type: "Bench".into(),
        step_name: "act".into(),
        body: Bytes::from_static(b"{}"),
        deadline_unix_ms: 1_700_000_000_000,
        patience,
        another_sending_open: false,
        reply_to: None,
        causation_id: None,
        traceparent: None,
        codes: Arc::new(FailureCodes::default()),
    }
}
