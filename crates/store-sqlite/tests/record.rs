//! The journal's bytes: what was written once is read for ever, and anything else is refused.

use amends_store::{
    Batch, Claim, ClaimKey, ClaimKind, Entry, Epoch, Events, Position, Record, ShardId,
};
use amends_store_sqlite::{RecordFault, decode, encode};
use bytes::Bytes;
use proptest::prelude::*;

/// A record with everything in it, in version 1. Its bytes are in `golden/record-1.hex`.
fn record() -> Record {
    let business =
        ClaimKey { kind: ClaimKind::Business, scope: "Order".into(), key: "order-17".into() };
    let idempotency =
        ClaimKey { kind: ClaimKind::Idempotency, key: "ключ".into(), ..business.clone() };
    let events = |first_seq, text: &'static str| Events {
        first_seq,
        count: 2,
        bytes: Bytes::from_static(text.as_bytes()),
    };
    let start = Entry {
        saga: 0x0190_0000_0000_7000_8000_0000_0000_0001,
        events: events(1, "started"),
        claims: vec![
            Claim { key: idempotency, payload_hash: [0xab; 32] },
            Claim { key: business.clone(), payload_hash: [0xcd; 32] },
        ],
        releases: vec![],
    };
    let end = Entry {
        saga: u128::MAX,
        events: events(300, "ended"),
        claims: vec![],
        releases: vec![business],
    };
    let batches = vec![
        Batch { shard: ShardId(3), epoch: Epoch(u64::MAX), entries: vec![start] },
        Batch { shard: ShardId(u32::MAX), epoch: Epoch(1), entries: vec![end] },
    ];
    Record { position: Position(42), batches }
}

const PREVIOUS: u64 = 0x0123_4567_89ab_cdef;

fn golden() -> Vec<u8> {
    let digits: Vec<u8> = include_str!("golden/record-1.hex")
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn encoded(record: &Record, previous: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(record.position, previous, &record.batches, &[], &mut bytes);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.chunks(32).fold(String::new(), |mut text, line| {
        text.extend(line.iter().map(|byte| format!("{byte:02x}")));
        text.push('\n');
        text
    })
}

#[test]
fn version_1_is_written_as_ever() {
    let bytes = encoded(&record(), PREVIOUS);
    assert_eq!(hex(&bytes), hex(&golden()));
}

#[test]
fn version_1_is_read_for_ever() {
    let (read, _) = decode(Bytes::from(golden()), Position(42), PREVIOUS).unwrap();
    assert_eq!(read, record());
}

#[test]
fn rejected_entries_are_left_out() {
    let mut bytes = Vec::new();
    let record = record();
    encode(record.position, 0, &record.batches, &[(1, 0)], &mut bytes);
    let (read, _) = decode(Bytes::from(bytes), record.position, 0).unwrap();
    assert_eq!(read.batches[0], record.batches[0]);
    assert_eq!(read.batches[1].entries, []);
}

#[test]
fn every_flipped_bit_is_seen() {
    let golden = golden();
    for at in 0..golden.len() {
        for bit in 0..8 {
            let mut bytes = golden.clone();
            bytes[at] ^= 1 << bit;
            assert!(decode(Bytes::from(bytes), Position(42), PREVIOUS).is_err(), "{at}.{bit}");
        }
    }
}

#[test]
fn every_shorter_and_every_longer_one_is_seen() {
    let golden = golden();
    for length in 0..golden.len() {
        let torn = decode(Bytes::from(golden[..length].to_vec()), Position(42), PREVIOUS);
        assert_eq!(torn, Err(RecordFault::Torn), "{length}");
    }
    let mut longer = golden;
    longer.push(0);
    assert!(decode(Bytes::from(longer), Position(42), PREVIOUS).is_err());
}

#[test]
fn another_place_and_another_predecessor_are_seen() {
    let read = |position, previous| decode(Bytes::from(golden()), Position(position), previous);
    assert_eq!(read(41, PREVIOUS), Err(RecordFault::Misplaced(Position(42))));
    assert_eq!(read(42, PREVIOUS + 1), Err(RecordFault::Chain));
}

fn any_key() -> impl Strategy<Value = ClaimKey> {
    (any::<bool>(), ".{0,9}", ".{0,200}").prop_map(|(business, scope, key)| {
        let kind = if business { ClaimKind::Business } else { ClaimKind::Idempotency };
        ClaimKey { kind, scope: scope.into(), key: key.into() }
    })
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let events = (any::<u64>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..300))
        .prop_map(|(first_seq, count, bytes)| Events { first_seq, count, bytes: bytes.into() });
    let claim =
        (any_key(), any::<[u8; 32]>()).prop_map(|(key, payload_hash)| Claim { key, payload_hash });
    let claims = proptest::collection::vec(claim, 0..3);
    let releases = proptest::collection::vec(any_key(), 0..3);
    (any::<u128>(), events, claims, releases).prop_map(|(saga, events, claims, releases)| Entry {
        saga,
        events,
        claims,
        releases,
    })
}

fn any_record() -> impl Strategy<Value = Record> {
    let entries = proptest::collection::vec(any_entry(), 0..5);
    let batch = (any::<u32>(), any::<u64>(), entries).prop_map(|(shard, epoch, entries)| Batch {
        shard: ShardId(shard),
        epoch: Epoch(epoch),
        entries,
    });
    (any::<u64>(), proptest::collection::vec(batch, 0..4))
        .prop_map(|(position, batches)| Record { position: Position(position), batches })
}

proptest! {
    #[test]
    fn any_record_comes_back(record in any_record(), previous in any::<u64>()) {
        let bytes = Bytes::from(encoded(&record, previous));
        let (read, _) = decode(bytes, record.position, previous).unwrap();
        prop_assert_eq!(read, record);
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(decode(bytes.into(), Position(1), 0).is_err());
    }
}
