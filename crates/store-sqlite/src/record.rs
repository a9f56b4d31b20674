//! A journal record as it lies on the disk, version 1.
//!
//! All numbers are little-endian. A record is a header of [`HEADER_BYTES`] and a body:
//!
//! | Bytes | Field | |
//! |---|---|---|
//! | 0–1 | magic | `AJ` |
//! | 2 | version | 1 |
//! | 3 | reserved | 0 |
//! | 4–7 | length | of the body |
//! | 8–15 | position | of this record |
//! | 16–23 | previous | the checksum of the record before it, 0 for the first |
//! | 24–31 | checksum | XXH3-64 of the body, seeded with the XXH3-64 of bytes 0–23 |
//! | 32–35 | header checksum | the low half of the XXH3-64 of bytes 0–31 |
//!
//! The body is a number of batches. *n* below is an unsigned LEB128 number, *text* is *n* bytes of
//! UTF-8 after that *n*:
//!
//! ```text
//! body    = n batches, then each batch
//! batch   = n shard, n epoch, n entries, then each entry
//! entry   = 16 bytes saga, n first_seq, n count, n length, the events,
//!           n claims, then each claim; n releases, then each key
//! claim   = key, 32 bytes payload hash
//! key     = 1 byte kind (0 idempotency, 1 business), text scope, text key
//! ```

use std::sync::Arc;

use amends_store::{
    Batch, Claim, ClaimKey, ClaimKind, Entry, Epoch, Events, Position, Record, ShardId,
};
use bytes::Bytes;
use twox_hash::XxHash3_64;

/// How long a header is.
pub const HEADER_BYTES: usize = 36;

const MAGIC: [u8; 2] = *b"AJ";
/// The version that is written, and the newest that is read.
pub(crate) const VERSION: u8 = 1;

/// What is wrong with a record's bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It ends before its end, or never began.
    #[error("it is not whole")]
    Torn,
    /// A version that a newer amends writes, or none that any does.
    #[error("it has version {0}, and this version of amends reads versions 1 to {VERSION}")]
    Version(u8),
    /// Its checksum does not fit.
    #[error("its checksum does not fit")]
    Checksum,
    /// It stands in the place of another.
    #[error("it says that it is record {0}")]
    Misplaced(Position),
    /// The record before it is not the one it was written after.
    #[error("the record before it is not the one it was written after")]
    Chain,
    /// The checksum fits and the content makes no sense.
    #[error("its content makes no sense")]
    Content,
}

/// A record's bytes, and its checksum for the one after it.
///
/// `rejected` names entries that are left out, as (batch, entry), sorted.
pub fn encode(
    position: Position,
    previous: u64,
    batches: &[Batch],
    rejected: &[(usize, usize)],
    into: &mut Vec<u8>,
) -> u64 {
    into.clear();
    into.resize(HEADER_BYTES, 0);
    put_number(into, batches.len() as u64);
    for (at, batch) in batches.iter().enumerate() {
        put_number(into, batch.shard.0.into());
        put_number(into, batch.epoch.0);
        let is_in = |index: &usize| rejected.binary_search(&(at, *index)).is_err();
        let left_out = rejected.iter().filter(|(batch, _)| *batch == at).count();
        put_number(into, (batch.entries.len() - left_out) as u64);
        for (_, entry) in batch.entries.iter().enumerate().filter(|(index, _)| is_in(index)) {
            put_entry(into, entry);
        }
    }
    let length = (into.len() - HEADER_BYTES) as u32;
    into[0..2].copy_from_slice(&MAGIC);
    into[2] = VERSION;
    into[4..8].copy_from_slice(&length.to_le_bytes());
    into[8..16].copy_from_slice(&position.0.to_le_bytes());
    into[16..24].copy_from_slice(&previous.to_le_bytes());
    let checksum = checksum(into);
    into[24..32].copy_from_slice(&checksum.to_le_bytes());
    let header = XxHash3_64::oneshot(&into[..32]) as u32;
    into[32..HEADER_BYTES].copy_from_slice(&header.to_le_bytes());
    checksum
}

/// The checksum over all of a record but the checksums.
fn checksum(record: &[u8]) -> u64 {
    let seed = XxHash3_64::oneshot(&record[..24]);
    XxHash3_64::oneshot_with_seed(seed, &record[HEADER_BYTES..])
}

fn put_entry(into: &mut Vec<u8>, entry: &Entry) {
    into.extend_from_slice(&entry.saga.to_le_bytes());
    put_number(into, entry.events.first_seq);
    put_number(into, entry.events.count.into());
    put_bytes(into, &entry.events.bytes);
    put_number(into, entry.claims.len() as u64);
    for claim in &entry.claims {
        put_key(into, &claim.key);
        into.extend_from_slice(&claim.payload_hash);
    }
    put_number(into, entry.releases.len() as u64);
    for key in &entry.releases {
        put_key(into, key);
    }
}

fn put_key(into: &mut Vec<u8>, key: &ClaimKey) {
    into.push(match key.kind {
        ClaimKind::Idempotency => 0,
        ClaimKind::Business => 1,
    });
    put_bytes(into, key.scope.as_bytes());
    put_bytes(into, key.key.as_bytes());
}

fn put_bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    put_number(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

fn put_number(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// A record whose header and checksums fit; its content is not looked at yet.
pub(crate) struct Sound {
    pub(crate) checksum: u64,
    position: Position,
    bytes: Bytes,
}

/// Checks that these bytes are the record of this position, written after that checksum.
pub(crate) fn check(bytes: Bytes, position: Position, previous: u64) -> Result<Sound, Fault> {
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(Fault::Torn)?;
    let header_checksum = XxHash3_64::oneshot(&header[..32]) as u32;
    if header[..2] != MAGIC || header[32..] != header_checksum.to_le_bytes() {
        return Err(Fault::Torn);
    }
    if header[2] != VERSION {
        return Err(Fault::Version(header[2]));
    }
    let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
    let number = |at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&header[at..at + 8]);
        u64::from_le_bytes(number)
    };
    match bytes.len().cmp(&(HEADER_BYTES + length)) {
        std::cmp::Ordering::Less => return Err(Fault::Torn),
        std::cmp::Ordering::Greater => return Err(Fault::Content),
        std::cmp::Ordering::Equal => {}
    }
    if checksum(&bytes) != number(24) {
        return Err(Fault::Checksum);
    }
    if number(8) != position.0 {
        return Err(Fault::Misplaced(Position(number(8))));
    }
    if number(16) != previous {
        return Err(Fault::Chain);
    }
    Ok(Sound { checksum: number(24), position, bytes })
}

/// A record that is taken as it is: what `Mutant::IgnoresTheChecksum` does.
pub(crate) fn trust(bytes: Bytes, position: Position) -> Sound {
    Sound {
        checksum: u64::from_le_bytes(bytes[24..32].try_into().unwrap_or_default()),
        position,
        bytes,
    }
}

/// Reads a record back: whole, in its place, and after the record with that checksum.
pub fn decode(bytes: Bytes, position: Position, previous: u64) -> Result<(Record, u64), Fault> {
    let sound = check(bytes, position, previous)?;
    let checksum = sound.checksum;
    Ok((sound.content()?, checksum))
}

impl Sound {
    pub(crate) fn content(self) -> Result<Record, Fault> {
        let mut cursor = Cursor { bytes: self.bytes.slice(HEADER_BYTES..) };
        let batches = cursor.many(Cursor::batch).ok_or(Fault::Content)?;
        if !cursor.bytes.is_empty() {
            return Err(Fault::Content);
        }
        Ok(Record { position: self.position, batches })
    }
}

struct Cursor {
    bytes: Bytes,
}

impl Cursor {
    fn take(&mut self, length: usize) -> Option<Bytes> {
        (length <= self.bytes.len()).then(|| self.bytes.split_to(length))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn many<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        // Each takes at least a byte: a number that lies must not take memory.
        let mut all = Vec::with_capacity(count.min(self.bytes.len() as u64) as usize);
        for _ in 0..count {
            all.push(read(self)?);
        }
        Some(all)
    }

    fn length_and_bytes(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<Arc<str>> {
        Some(Arc::from(str::from_utf8(&self.length_and_bytes()?).ok()?))
    }

    fn batch(&mut self) -> Option<Batch> {
        let shard = ShardId(self.number()?.try_into().ok()?);
        let epoch = Epoch(self.number()?);
        Some(Batch { shard, epoch, entries: self.many(Self::entry)? })
    }

    fn entry(&mut self) -> Option<Entry> {
        let saga = u128::from_le_bytes(self.array()?);
        let first_seq = self.number()?;
        let count = self.number()?.try_into().ok()?;
        let events = Events { first_seq, count, bytes: self.length_and_bytes()? };
        let claims = self.many(Self::claim)?;
        Some(Entry { saga, events, claims, releases: self.many(Self::key)? })
    }

    fn claim(&mut self) -> Option<Claim> {
        Some(Claim { key: self.key()?, payload_hash: self.array()? })
    }

    fn key(&mut self) -> Option<ClaimKey> {
        let kind = match self.array()? {
            [0] => ClaimKind::Idempotency,
            [1] => ClaimKind::Business,
            _ => return None,
        };
        Some(ClaimKey { kind, scope: self.text()?, key: self.text()? })
    }
}
