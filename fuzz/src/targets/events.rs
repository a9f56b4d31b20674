//! A saga's history as it lies in the journal, read back from bytes that nobody wrote.

use amends_core::{Event, Saga, Time};
use amends_engine::persist::{after, decode, encode};

use super::Target;
use crate::kept::{from_hex, root};

pub(super) const TARGET: Target =
    Target { name: "events", what: "journal bytes → events → the same bytes", run, seeds };

/// The most a decoder may allocate for each byte it is given; the list of what it gives is ours.
const ALLOCATED_BYTES_PER_BYTE_MAX: u64 = 32;

/// The golden file of the format: a frame of every event, alone and all in one.
fn seeds() -> Vec<Vec<u8>> {
    let golden = root().join("crates/engine/tests/golden/events-format-1.txt");
    let golden = std::fs::read_to_string(golden).unwrap_or_default();
    let lines = golden.lines().filter_map(|line| line.split_once(": "));
    let mut seeds: Vec<Vec<u8>> = lines.filter_map(|(_, hex)| from_hex(hex)).collect();
    seeds.push(seeds.concat());
    seeds
}

fn run(bytes: &[u8]) {
    let allocated = allocation_counter::measure(|| decode(bytes).for_each(drop)).bytes_total;
    let bound = ALLOCATED_BYTES_PER_BYTE_MAX * bytes.len() as u64;
    assert!(allocated <= bound, "{allocated} bytes allocated for {}", bytes.len());
    let read: Result<Vec<(Time, Event)>, _> = decode(bytes).collect();
    match read {
        Err(error) => {
            assert!(error.offset <= bytes.len());
            assert!(matches!(decode(bytes).last(), Some(Err(_))), "something follows an error");
        }
        Ok(history) => {
            one_encoding(bytes, &history);
            let _ = Saga::replay(history.iter().map(|(at, event)| (*at, event)));
        }
    }
}

/// There is one encoding of a frame: what was read is written again, byte by byte.
fn one_encoding(bytes: &[u8], history: &[(Time, Event)]) {
    let mut written = Vec::new();
    let mut from = 0;
    for to in 1..=history.len() {
        if after(bytes, to as u64).is_none() {
            continue; // no frame ends there
        }
        let frame = &history[from..to];
        let events: Vec<Event> = frame.iter().map(|(_, event)| event.clone()).collect();
        encode(frame[0].0, &events, &mut written);
        from = to;
    }
    assert_eq!(written, bytes, "what was read is written otherwise");
}
