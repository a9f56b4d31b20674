//! The journal's file: records as bytes, each with its length, the checksum of the one before and its
//! own, so that recovery reads what was written and nothing else.

use std::sync::Arc;

use amends_store::{
    Batch, Claim, ClaimKey, ClaimKind, Entry, Epoch, Events, Position, Record, ShardId,
};
use bytes::Bytes;

/// What reading a file came to.
#[derive(Debug, Default)]
pub struct Read {
    /// The records that are whole, each with its bytes.
    pub records: Vec<(Record, u64)>,
    /// Where they end: what follows is a torn tail.
    pub whole_bytes: usize,
    /// A record that is not what was written, with records behind it: a hole.
    pub hole: Option<Position>,
    /// The checksum of the last record.
    pub checksum: u64,
}

/// Appends a record; answers its checksum.
pub fn write(record: &Record, before: u64, file: &mut Vec<u8>) -> u64 {
    let mut body = Writer(Vec::new());
    body.number(before);
    body.number(record.position.0);
    body.list(&record.batches, |w, batch| {
        w.number(u64::from(batch.shard.0));
        w.number(batch.epoch.0);
        w.list(&batch.entries, Writer::entry);
    });
    let checksum = checksum(&body.0);
    let mut head = Writer(std::mem::take(file));
    head.bytes(&body.0);
    head.number(checksum);
    *file = head.0;
    checksum
}

/// Reads a file whose first record follows one with this checksum.
pub fn read(file: &[u8], mut before: u64) -> Read {
    let mut found = Read::default();
    let mut rest = Reader(file);
    while !rest.0.is_empty() {
        let at = file.len() - rest.0.len();
        let next = rest.record(before);
        let Some((record, checksum)) = next else {
            // A tail that is torn ends the file; what ends earlier is a hole.
            let mut behind = Reader(&file[at..]);
            let skipped = behind.bytes().is_some() && behind.number().is_some();
            let last =
                found.records.last().map_or(0, |(record, _): &(Record, u64)| record.position.0);
            found.hole = (skipped && !behind.0.is_empty()).then_some(Position(last + 1));
            break;
        };
        before = checksum;
        found.whole_bytes = file.len() - rest.0.len();
        found.records.push((record, (found.whole_bytes - at) as u64));
    }
    found.checksum = before;
    found
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, n: u64) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.number(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }

    fn key(&mut self, key: &ClaimKey) {
        self.number(u64::from(key.kind == ClaimKind::Business));
        self.bytes(key.scope.as_bytes());
        self.bytes(key.key.as_bytes());
    }

    fn entry(&mut self, entry: &Entry) {
        self.0.extend_from_slice(&entry.saga.to_le_bytes());
        self.number(entry.events.first_seq);
        self.number(u64::from(entry.events.count));
        self.bytes(&entry.events.bytes);
        self.list(&entry.claims, |w, claim| {
            w.key(&claim.key);
            w.bytes(&claim.payload_hash);
        });
        self.list(&entry.releases, Self::key);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let n = self.number()?;
        self.take(usize::try_from(n).ok()?)
    }

    fn text(&mut self) -> Option<Arc<str>> {
        Some(std::str::from_utf8(self.bytes()?).ok()?.into())
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..self.number()?).map(|_| read(self)).collect()
    }

    fn record(&mut self, before: u64) -> Option<(Record, u64)> {
        let body = self.bytes()?;
        let said = self.number()?;
        let mut body_reader = Reader(body);
        if checksum(body) != said || body_reader.number()? != before {
            return None;
        }
        let position = Position(body_reader.number()?);
        let batches = body_reader.list(|r| {
            let shard = ShardId(u32::try_from(r.number()?).ok()?);
            let epoch = Epoch(r.number()?);
            Some(Batch { shard, epoch, entries: r.list(Reader::entry)? })
        })?;
        Some((Record { position, batches }, said))
    }

    fn key(&mut self) -> Option<ClaimKey> {
        let kind = if self.number()? == 1 { ClaimKind::Business } else { ClaimKind::Idempotency };
        Some(ClaimKey { kind, scope: self.text()?, key: self.text()? })
    }

    fn entry(&mut self) -> Option<Entry> {
        let saga = u128::from_le_bytes(self.take(16)?.try_into().ok()?);
        let first_seq = self.number()?;
        let count = u32::try_from(self.number()?).ok()?;
        let events = Events { first_seq, count, bytes: Bytes::copy_from_slice(self.bytes()?) };
        let claims = self
            .list(|r| Some(Claim { key: r.key()?, payload_hash: r.bytes()?.try_into().ok()? }))?;
        let releases = self.list(Reader::key)?;
        Some(Entry { saga, events, claims, releases })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (Vec<u8>, Vec<usize>) {
        let (mut file, mut ends, mut before) = (Vec::new(), Vec::new(), 0);
        for n in 1..=3 {
            let events = Events { first_seq: n, count: 1, bytes: Bytes::from(vec![n as u8; 9]) };
            let entry = Entry { saga: 7, events, claims: vec![], releases: vec![] };
            let batch = Batch { shard: ShardId(1), epoch: Epoch(2), entries: vec![entry] };
            before =
                write(&Record { position: Position(n), batches: vec![batch] }, before, &mut file);
            ends.push(file.len());
        }
        (file, ends)
    }

    #[test]
    fn a_torn_tail_is_cut_wherever_it_is_torn() {
        let (file, ends) = file();
        for torn in ends[1] + 1..ends[2] {
            let read = read(&file[..torn], 0);
            assert_eq!((read.records.len(), read.whole_bytes, read.hole), (2, ends[1], None));
        }
    }

    #[test]
    fn a_flipped_bit_with_records_behind_it_is_a_hole() {
        let (mut file, ends) = file();
        file[ends[0] + 20] ^= 1;
        assert_eq!(read(&file, 0).hole, Some(Position(2)));
    }
}
