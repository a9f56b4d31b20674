//! Round trips, golden files, and bytes that nobody wrote.

use std::collections::{BTreeMap, BTreeSet};

use amends_core::{Event, Millis, RunRef, Saga, StepIx, Time};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::order_saga::{Decisions, payload_bytes, run};
use super::reader::Reader;
use super::sample::{AT, samples};
use super::{DecodeError, FORMAT, Problem, after, decode, encode, event, id, strategy};

const GOLDEN_1: &str = include_str!("../../tests/golden/events-format-1.txt");

/// The most a decoder may allocate for each byte it is given. The dearest byte says that a run
/// carries an empty payload: a place in the list (16) and a payload's own counters (16).
const ALLOCATED_BYTES_PER_BYTE_MAX: u64 = 32;

fn encoded(history: &[(Time, Vec<Event>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, events) in history {
        encode(*at, events, &mut bytes);
    }
    bytes
}

fn decoded(bytes: &[u8]) -> Result<Vec<(Time, Event)>, DecodeError> {
    decode(bytes).collect()
}

fn flat(history: &[(Time, Vec<Event>)]) -> Vec<(Time, Event)> {
    let events = |(at, events): &(Time, Vec<Event>)| {
        let at = *at;
        events.iter().map(move |event| (at, event.clone())).collect::<Vec<_>>()
    };
    history.iter().flat_map(events).collect()
}

fn one_frame(events: &[Event]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(AT, events, &mut bytes);
    bytes
}

/// The tag of an event, out of its bytes: a frame's format, length, time and count come before it.
fn tag(event: &Event) -> u8 {
    let bytes = one_frame(std::slice::from_ref(event));
    let mut r = Reader::new(&bytes[1..]);
    let mut frame = Reader::new(r.chunk().expect("a frame"));
    frame.varint().expect("a time");
    frame.varint().expect("a count");
    frame.byte().expect("a tag")
}

fn tags() -> BTreeSet<u8> {
    event::TAGS.iter().map(|&(tag, _)| tag).collect()
}

/// The frames of a history that reads without an error, each alone.
fn frames(bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut r = Reader::new(&rest[1..]);
        r.chunk().expect("it read before");
        let (frame, after) = rest.split_at(rest.len() - r.len());
        frames.push(frame);
        rest = after;
    }
    frames
}

/// Reads bytes that may be anything: whatever can be read is what would be written.
fn read_anything(bytes: &[u8]) {
    after(bytes, u64::MAX);
    let mut events = 0;
    let mut failed = false;
    for item in decode(bytes) {
        assert!(!failed, "nothing comes after an error");
        events += 1;
        if let Err(error) = item {
            assert!(error.offset <= bytes.len());
            assert!(!error.to_string().is_empty());
            failed = true;
        }
    }
    assert!(events <= bytes.len());
    if failed {
        return;
    }
    for frame in frames(bytes) {
        let items = decoded(frame).expect("it read before");
        let at = items[0].0;
        let events: Vec<Event> = items.into_iter().map(|(_, event)| event).collect();
        assert_eq!(encoded(&[(at, events)]), frame);
    }
}

fn allocated_by_decoding(bytes: &[u8]) -> u64 {
    allocation_counter::measure(|| decode(bytes).for_each(drop)).bytes_total
}

proptest! {
    #[test]
    fn any_history_reads_as_it_was_written(history in strategy::history(0..6)) {
        prop_assert_eq!(decoded(&encoded(&history)).unwrap(), flat(&history));
    }

    #[test]
    fn a_history_that_is_cut_off_is_noticed_unless_between_frames(
        history in strategy::history(0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = encoded(&history);
        let cut = cut.index(bytes.len() + 1);
        let mut boundaries = vec![0];
        boundaries.extend((1..=history.len()).map(|n| encoded(&history[..n]).len()));
        match boundaries.iter().position(|&boundary| boundary == cut) {
            Some(n) => prop_assert_eq!(decoded(&bytes[..cut]).unwrap(), flat(&history[..n])),
            None => prop_assert_eq!(decoded(&bytes[..cut]).unwrap_err().problem, Problem::CutOff),
        }
    }

    #[test]
    fn what_follows_so_many_events_begins_where_a_frame_does(history in strategy::history(0..6)) {
        let bytes = encoded(&history);
        let mut passed = 0;
        for n in 0..history.len() {
            prop_assert_eq!(after(&bytes, passed), Some(&*encoded(&history[n..])));
            let count = history[n].1.len() as u64;
            for inside in 1..count {
                prop_assert_eq!(after(&bytes, passed + inside), None);
            }
            passed += count;
        }
        prop_assert_eq!(after(&bytes, passed), Some(&[][..]));
        prop_assert_eq!(after(&bytes, passed + 1), None);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_anything(&bytes);
    }

    #[test]
    fn any_bytes_in_a_proper_frame_are_read_or_refused(
        bytes in prop::collection::vec(prop_oneof![0..50u8, any::<u8>()], 0..120),
    ) {
        let mut frame = vec![FORMAT, bytes.len() as u8 + 2, 7, 1];
        frame.extend(bytes);
        read_anything(&frame);
    }

    #[test]
    fn changed_bytes_are_read_or_refused(
        history in strategy::history(1..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encoded(&history);
        for (at, byte) in changes {
            *at.get_mut(&mut bytes) = byte;
        }
        read_anything(&bytes);
        let most = ALLOCATED_BYTES_PER_BYTE_MAX * bytes.len() as u64;
        prop_assert!(allocated_by_decoding(&bytes) <= most);
    }

    /// Not this module's promise, but what it stands on: whatever reads is refused by the machine
    /// or taken, and never a panic.
    #[test]
    fn any_events_are_taken_or_refused_by_the_machine(
        events in prop::collection::vec(strategy::event(), 1..40),
    ) {
        let started = run(None).1.remove(0).1.remove(0);
        let events = [&started].into_iter().chain(&events);
        let _ = Saga::replay(events.map(|event| (AT, event)));
    }
}

#[test]
fn every_tag_and_every_id_is_given_once() {
    assert_eq!(tags().len(), event::TAGS.len());
    let ids: BTreeSet<u8> = id::ALL.iter().copied().collect();
    assert_eq!(ids.len(), id::ALL.len());
    assert!(!tags().contains(&0) && !ids.contains(&super::reader::END));
}

#[test]
fn every_event_has_a_strategy_and_a_sample() {
    let mut runner = TestRunner::deterministic();
    let arbitrary = strategy::events().into_iter();
    let arbitrary: BTreeSet<u8> =
        arbitrary.map(|s| tag(&s.new_tree(&mut runner).expect("an event").current())).collect();
    assert_eq!(arbitrary, tags());
    let sampled = samples().into_iter().flat_map(|(_, events)| events);
    assert_eq!(sampled.map(|event| tag(&event)).collect::<BTreeSet<u8>>(), tags());
}

#[test]
fn format_1_is_written_and_read_as_ever() {
    let lines = GOLDEN_1.lines().filter(|line| !line.starts_with('#'));
    let mut golden: BTreeMap<&str, &str> =
        lines.map(|line| line.split_once(": ").expect("label: hex")).collect();
    let mut missing = Vec::new();
    for (label, events) in samples() {
        let written = to_hex(&one_frame(&events));
        let Some(hex) = golden.remove(&*label) else {
            missing.push(format!("{label}: {written}"));
            continue;
        };
        assert_eq!(written, hex, "{label}");
        assert_eq!(decoded(&from_hex(hex)).unwrap(), flat(&[(AT, events)]), "{label}");
    }
    assert!(missing.is_empty(), "to be added to the golden file:\n{}", missing.join("\n"));
    assert!(golden.is_empty(), "without a sample: {:?}", golden.keys());
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let digits = digits.map(|pair| str::from_utf8(pair).expect("ASCII"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect()
}

#[test]
fn a_saga_rebuilt_from_its_bytes_is_the_saga() {
    for refused in [None, Some(StepIx(2))] {
        let (saga, decisions) = run(refused);
        assert!(saga.state.ended());
        let history = decoded(&encoded(&decisions)).unwrap();
        let rebuilt = Saga::replay(history.iter().map(|(at, event)| (*at, event)));
        assert_eq!(rebuilt.unwrap(), saga);
    }
}

#[test]
fn a_saga_of_four_steps_takes_few_bytes_beside_its_payloads() {
    let beside = |decisions: &Decisions| encoded(decisions).len() - payload_bytes(decisions);
    let (straight, rolled_back) = (beside(&run(None).1), beside(&run(Some(StepIx(2))).1));
    assert!(straight <= 300, "{straight}");
    assert!(rolled_back <= 400, "{rolled_back}");
}

#[test]
fn a_frame_is_added_to_what_is_there_and_none_without_events() {
    let mut bytes = vec![0xee];
    encode(AT, &[], &mut bytes);
    assert_eq!(bytes, [0xee]);
    encode(AT, &[Event::OutageEnded { lasted: Millis(9) }], &mut bytes);
    assert_eq!(bytes, [0xee, 1, 11, 0x80, 0x80, 0xb3, 0xc1, 0x9c, 0x33, 1, 25, 10, 9, 0]);
}

/// What reading a frame of one event comes to; `body` is the event's bytes.
fn problem(body: &[u8]) -> DecodeError {
    let mut frame = vec![FORMAT, body.len() as u8 + 2, 7, 1];
    frame.extend(body);
    decoded(&frame).unwrap_err()
}

#[test]
fn what_a_newer_version_wrote_is_refused_by_name() {
    let cases: [(DecodeError, &str); 6] = [
        (decoded(&[2, 0]).unwrap_err(), "at byte 1, format 2 begins"),
        (problem(&[200, 0]), "at byte 5, the event has tag 200"),
        (problem(&[14, 1, 3, 99, 0]), "the event Overdue has field 99"),
        (problem(&[14, 99, 1, 3, 0]), "the event Overdue has field 99"),
        (problem(&[22, 33, 77, 0]), "the event Ended says 77 for its state"),
        (problem(&[21, 32, 9, 0]), "the event Turned says 9 for its cause"),
    ];
    for (error, words) in cases {
        assert!(error.is_newer(), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains("run that version or a later one"), "{error}");
    }
}

#[test]
fn what_no_version_wrote_is_refused_as_damaged() {
    let cases: [(DecodeError, &str); 12] = [
        (decoded(&[0, 0]).unwrap_err(), "there is no format 0"),
        (decoded(&[1, 2, 7, 0]).unwrap_err(), "a frame holds no event"),
        (problem(&[14, 1, 3, 0, 0]), "a frame goes on after its last event"),
        (problem(&[0]), "there is no event with tag 0"),
        (problem(&[14, 0]), "the event Overdue lacks its field 1"),
        (problem(&[14, 1, 3, 2, 0, 0]), "a field is there although it is at its default"),
        (problem(&[2, 1, 3, 8, 9, 11, 1, 0, 0]), "a field is there although it is at its default"),
        (problem(&[22, 33, 0, 0]), "an enumeration has code 0"),
        (problem(&[16, 1, 3, 21, 2, 0]), "a truth value is neither 0 nor 1"),
        (problem(&[9, 1, 3, 28, 1, 0xff, 0]), "a text is not UTF-8"),
        (problem(&[25, 10, 0x80, 0, 0]), "a number is longer than it needs to be"),
        (problem(&[&[25, 10][..], &[0xff; 9], &[2, 0]].concat()), "a number has more than 64 bits"),
    ];
    for (error, words) in cases {
        assert!(!error.is_newer(), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn nothing_is_read_past_an_error() {
    let lost = one_frame(&[Event::Overdue { run: RunRef::only(StepIx(0)) }]);
    let in_an_event = [&[FORMAT, 6, 7, 2, 200, 0, 14, 0][..], &lost].concat();
    let in_a_frame = [&[9, 9][..], &lost].concat();
    for bytes in [in_an_event, in_a_frame] {
        let read: Vec<_> = decode(&bytes).take(3).collect();
        assert!(matches!(read[..], [Err(_)]), "{read:?}");
    }
}

#[test]
fn a_count_that_the_bytes_do_not_hold_is_not_believed() {
    let count = [&[0xff; 9][..], &[1]].concat();
    let frame = [&[FORMAT, 11, 7][..], &count].concat();
    let lost = one_frame(&[Event::Overdue { run: RunRef::only(StepIx(0)) }]);
    assert_eq!(decoded(&frame).unwrap_err().problem, Problem::CutOff);
    assert_eq!(after(&frame, u64::MAX), None);
    assert_eq!(after(&[lost, frame].concat(), u64::MAX), None);
}

#[test]
fn a_length_that_the_bytes_do_not_hold_costs_nothing() {
    let huge = [&[0xff; 9][..], &[1]].concat();
    let most = [&[0xfe_u8, 0xff, 0xff, 0xff, 0x0f][..]].concat();
    for number in [&huge, &most] {
        let bodies = [
            [&[11, 1, 3, 16][..], number, &[0]].concat(),
            [&[9, 1, 3, 28][..], number, &[0]].concat(),
            [&[2, 1, 3, 8, 9, 11][..], number, &[0]].concat(),
            [&[2, 1, 3, 8, 9, 11, 1][..], number, &[0]].concat(),
        ];
        for body in bodies {
            let mut frame = vec![FORMAT, body.len() as u8 + 2, 7, 1];
            frame.extend(&body);
            assert_eq!(decoded(&frame).unwrap_err().problem, Problem::CutOff);
            assert!(allocated_by_decoding(&frame) <= 32, "{body:?}");
        }
        let frame = [&[FORMAT][..], number].concat();
        assert_eq!(decoded(&frame).unwrap_err().problem, Problem::CutOff);
        assert_eq!(allocated_by_decoding(&frame), 0);
    }
}

#[test]
fn the_dearest_bytes_stay_within_the_bound() {
    let inputs = vec![Some("".into()); 10_000];
    let event = Event::Readied { step: StepIx(0), deadline: AT, for_each: true, inputs };
    let bytes = one_frame(&[event]);
    let allocated = allocated_by_decoding(&bytes);
    assert!(allocated > 10_000, "the measure measures nothing");
    assert!(allocated <= ALLOCATED_BYTES_PER_BYTE_MAX * bytes.len() as u64, "{allocated}");
}
