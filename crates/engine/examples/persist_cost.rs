//! What it costs to persist a saga's facts: bytes and nanoseconds per event.
//!
//! `cargo run --release -p amends-engine --example persist_cost`
//!
//! Method: the machine itself runs a saga of four steps, once straight through and once refused at
//! step 3 and rolled back. Their facts, a frame for each decision as in the journal, are encoded
//! into one reused buffer, and decoded with every event built and dropped, for a fixed number of
//! rounds on one thread. The best of seven series counts: what is slower was disturbed.

use std::hint::black_box;
use std::time::Instant;

use amends_core::StepIx;
use amends_engine::persist::{decode, encode};

use order_saga::{Decisions, payload_bytes, run};

#[path = "../src/persist/order_saga.rs"]
mod order_saga;

const SERIES: u32 = 7;
const ROUNDS: u32 = 100_000;

fn main() {
    println!(
        "a saga of four steps      events  frames  bytes  beside payloads  an event   encode   decode"
    );
    measure("straight through", &run(None).1);
    measure("rolled back at step 3", &run(Some(StepIx(2))).1);
    println!(
        "\nencode and decode in ns an event, payloads included; best of {SERIES} × {ROUNDS} sagas"
    );
}

fn measure(name: &str, decisions: &Decisions) {
    let events = decisions.iter().map(|(_, events)| events.len()).sum::<usize>();
    let mut bytes = Vec::new();
    write(decisions, &mut bytes);
    let read = decode(&bytes).collect::<Result<Vec<_>, _>>().expect("what was written is read");
    assert_eq!(read.len(), events);

    let mut buffer = Vec::with_capacity(bytes.len());
    let encoding = best_ns(events, || {
        buffer.clear();
        write(black_box(decisions), &mut buffer);
        black_box(&buffer);
    });
    let decoding = best_ns(events, || {
        for item in decode(black_box(&bytes)) {
            let _ = black_box(item);
        }
    });
    let beside = bytes.len() - payload_bytes(decisions);
    println!(
        "{name:<25} {events:>6} {:>7} {:>6} {beside:>16} {:>9.1} {encoding:>8.1} {decoding:>8.1}",
        decisions.len(),
        bytes.len(),
        beside as f64 / events as f64,
    );
}

fn write(decisions: &Decisions, out: &mut Vec<u8>) {
    for (at, events) in decisions {
        encode(*at, events, out);
    }
}

fn best_ns(events: usize, mut work: impl FnMut()) -> f64 {
    let series = (0..SERIES).map(|_| {
        let began = Instant::now();
        (0..ROUNDS).for_each(|_| work());
        began.elapsed().as_nanos() as f64 / f64::from(ROUNDS) / events as f64
    });
    series.fold(f64::INFINITY, f64::min)
}
