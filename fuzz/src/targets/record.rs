//! A record of the embedded store's journal, as it came from the disk, and its content behind
//! checksums that fit.

use amends_store::Position;
use amends_store_sqlite::{RecordFault, decode, encode};
use bytes::Bytes;
use twox_hash::XxHash3_64;

use super::Target;
use crate::kept::{from_hex, root};

pub(super) const TARGET: Target =
    Target { name: "record", what: "a record of the store's journal → its batches", run, seeds };

/// The most that reading a record may hold for each of its bytes, and beside that: a count that lies
/// is believed as far as there are bytes, on each of three levels, for places of 128 bytes at most.
const HELD_BYTES_PER_BYTE_MAX: u64 = 3 * 128;
const HELD_BYTES_MAX: u64 = 4096;

const HEADER_BYTES: usize = 36;

/// The golden record, whole and without its header.
fn seeds() -> Vec<Vec<u8>> {
    let golden = root().join("crates/store-sqlite/tests/golden/record-1.hex");
    let golden = std::fs::read_to_string(golden).unwrap_or_default();
    let record = from_hex(&golden).unwrap_or_default();
    let body = record.get(HEADER_BYTES..).unwrap_or_default().to_vec();
    let batch_of_none = vec![1, 0, 1, 0];
    vec![record, body, batch_of_none, vec![0]]
}

fn run(bytes: &[u8]) {
    // As it came: nobody can make one up that is taken for record 1 after nothing, save by its own
    // writer.
    let _ = decode(Bytes::copy_from_slice(bytes), Position(42), 0x0123_4567_89ab_cdef);
    let sealed = Bytes::from(sealed(bytes));
    let mut read = None;
    let held = allocation_counter::measure(|| read = Some(decode(sealed.clone(), Position(1), 0)));
    let bound = HELD_BYTES_MAX + HELD_BYTES_PER_BYTE_MAX * bytes.len() as u64;
    assert!(held.bytes_max <= bound, "{} bytes held for {}", held.bytes_max, bytes.len());
    match read {
        Some(Ok((record, _))) => {
            let mut written = Vec::new();
            encode(record.position, 0, &record.batches, &[], &mut written);
            let again = decode(Bytes::from(written.clone()), Position(1), 0);
            assert_eq!(again.map(|(record, _)| record), Ok(record), "another record");
            assert!(written.len() <= sealed.len(), "what is written is the shortest form");
        }
        Some(Err(fault)) => assert_eq!(fault, RecordFault::Content, "the checksums fit"),
        None => {}
    }
}

/// A record of this content, as record 1 after nothing, with the checksums that fit.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut record = b"AJ\x01\x00".to_vec();
    record.extend_from_slice(&(body.len() as u32).to_le_bytes());
    record.extend_from_slice(&1u64.to_le_bytes());
    record.extend_from_slice(&0u64.to_le_bytes());
    let seed = XxHash3_64::oneshot(&record);
    record.extend_from_slice(&XxHash3_64::oneshot_with_seed(seed, body).to_le_bytes());
    let header = XxHash3_64::oneshot(&record) as u32;
    record.extend_from_slice(&header.to_le_bytes());
    record.extend_from_slice(body);
    record
}
