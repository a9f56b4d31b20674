//! Reading records back while others are written.

use amends_store::{JournalError, Position, REPLAY_BYTES, Record};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};

use super::recovery::cut;
use crate::lane::Jobs;
use crate::record;

pub(super) type Ask = Box<dyn FnOnce(&mut Reader) + Send>;

pub(super) struct Reader {
    connection: Connection,
    /// The record that was read last, and its checksum: the next call mostly goes on there.
    read_last: (Position, u64),
}

impl Reader {
    pub(super) const fn new(connection: Connection) -> Self {
        Self { connection, read_last: (Position::START, 0) }
    }

    pub(super) fn run(mut self, jobs: &Jobs<Ask>) {
        while let Some(ask) = jobs.next() {
            ask(&mut self);
        }
    }

    pub(super) fn replay(&mut self, after: Position) -> Result<Vec<Record>, JournalError> {
        let page = page(&mut self.connection, after, self.read_last).map_err(unreadable)?;
        let (mut expected, mut checksum) = match page.before {
            Before::Cut(cut) => return Err(JournalError::Cut { asked: after, cut }),
            Before::Nothing => return Ok(Vec::new()),
            Before::Checksum(checksum) => (after, checksum),
        };
        let mut records = Vec::with_capacity(page.rows.len());
        for (position, bytes) in page.rows {
            expected = expected.next();
            let damaged = |what| JournalError::Damaged { position: expected, what };
            if position != expected {
                return Err(damaged(format!("it is missing, the next one there is {position}")));
            }
            let (record, own) = record::decode(bytes, position, checksum)
                .map_err(|fault| damaged(fault.to_string()))?;
            checksum = own;
            records.push(record);
        }
        self.read_last = (expected, checksum);
        Ok(records)
    }
}

struct Page {
    before: Before,
    rows: Vec<(Position, Bytes)>,
}

/// What stands before a page.
enum Before {
    Checksum(u64),
    /// More than was asked for is gone.
    Cut(Position),
    /// The end is before it.
    Nothing,
}

fn page(
    connection: &mut Connection,
    after: Position,
    read_last: (Position, u64),
) -> rusqlite::Result<Page> {
    // One transaction, so that no cut comes in between.
    let transaction = connection.transaction()?;
    let (cut, cut_checksum) = cut(&transaction)?;
    let mut page = Page { before: Before::Nothing, rows: Vec::new() };
    page.before = if after < cut {
        Before::Cut(cut)
    } else if after == cut {
        Before::Checksum(cut_checksum)
    } else if after == read_last.0 {
        Before::Checksum(read_last.1)
    } else {
        let checksum = transaction
            .prepare_cached("SELECT substr(bytes, 25, 8) FROM record WHERE position = ?1")?
            .query_row([after.0 as i64], |row| row.get::<_, [u8; 8]>(0))
            .optional()?;
        checksum.map_or(Before::Nothing, |own| Before::Checksum(u64::from_le_bytes(own)))
    };
    if matches!(page.before, Before::Checksum(_)) {
        let mut records = transaction.prepare_cached(
            "SELECT position, bytes FROM record WHERE position > ?1 ORDER BY position",
        )?;
        let mut rows = records.query([after.0 as i64])?;
        let mut bytes = 0;
        while bytes < REPLAY_BYTES
            && let Some(row) = rows.next()?
        {
            let record = Bytes::from(row.get::<_, Vec<u8>>(1)?);
            bytes += record.len();
            page.rows.push((Position(row.get::<_, i64>(0)? as u64), record));
        }
    }
    transaction.commit()?;
    Ok(page)
}

/// Reading again may do.
fn unreadable(error: rusqlite::Error) -> JournalError {
    JournalError::Busy { what: format!("the journal could not be read: {error}") }
}
