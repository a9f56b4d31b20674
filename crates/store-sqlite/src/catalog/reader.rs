//! Reading sagas with their histories, and counting them.

use amends_store::{
    CatalogError, Count, DueCursor, Events, PAGE_ROWS_MAX, SagaRow, ShardId, StoredSaga,
};
use bytes::Bytes;
use rusqlite::{Connection, Row, params};

use super::row::{COLUMNS, COLUMNS_COUNT, Names, due, saga_bytes, time, unreadable};

pub(super) struct Reader {
    pub(super) connection: Connection,
    pub(super) names: Names,
}

impl Reader {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, names: Names::default() }
    }

    pub(super) fn saga(&mut self, saga: u128) -> Result<Option<StoredSaga>, CatalogError> {
        self.stored("WHERE saga.id = ?1", &[&saga_bytes(saga)])
            .map(|mut found| found.pop())
            .map_err(unreadable)
    }

    pub(super) fn counts(&mut self) -> Result<Vec<Count>, CatalogError> {
        let counts = || -> rusqlite::Result<Vec<Count>> {
            self.connection
                .prepare_cached(
                    "SELECT type.name, count.state, count.sagas
                     FROM count JOIN type ON type.n = count.type WHERE count.sagas > 0
                     ORDER BY type.name, count.state",
                )?
                .query_map([], |row| {
                    let sagas = row.get::<_, i64>(2)? as u64;
                    Ok(Count { saga_type: row.get(0)?, state: row.get(1)?, sagas })
                })?
                .collect()
        };
        counts().map_err(unreadable)
    }

    pub(super) fn stuck(&mut self, by: u64) -> Result<Vec<Count>, CatalogError> {
        let counts = || -> rusqlite::Result<Vec<Count>> {
            self.connection
                .prepare_cached(
                    "SELECT type.name, stuck.state, stuck.sagas
                     FROM (
                        SELECT type, state, count(*) AS sagas FROM saga
                        WHERE stuck_at IS NOT NULL AND stuck_at <= ?1 GROUP BY type, state
                     ) AS stuck JOIN type ON type.n = stuck.type
                     ORDER BY type.name, stuck.state",
                )?
                .query_map([time(by)], |row| {
                    let sagas = row.get::<_, i64>(2)? as u64;
                    Ok(Count { saga_type: row.get(0)?, state: row.get(1)?, sagas })
                })?
                .collect()
        };
        counts().map_err(unreadable)
    }

    pub(super) fn due(
        &mut self,
        shard: ShardId,
        until: u64,
        after: Option<DueCursor>,
        limit: usize,
    ) -> Result<Vec<StoredSaga>, CatalogError> {
        // Those with nothing due come before all others.
        let nothing_due = DueCursor { due_at: None, saga: u128::MAX };
        let after = after.unwrap_or(nothing_due).max(nothing_due);
        self.live_until(shard, Some(after), due(Some(until)), limit)
    }

    pub(super) fn live(
        &mut self,
        shard: ShardId,
        after: Option<DueCursor>,
        limit: usize,
    ) -> Result<Vec<StoredSaga>, CatalogError> {
        self.live_until(shard, after, i64::MAX, limit)
    }

    fn live_until(
        &mut self,
        shard: ShardId,
        after: Option<DueCursor>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<StoredSaga>, CatalogError> {
        // Before the first there is a due of -1.
        let (after_due, after_id) =
            after.map_or((-1, [0; 16]), |after| (due(after.due_at), saga_bytes(after.saga)));
        let limit = limit.min(PAGE_ROWS_MAX) as i64;
        self.stored(
            "WHERE saga.shard = ?1 AND saga.live = 1 AND saga.quarantined IS NULL
                AND (saga.due, saga.id) > (?2, ?3) AND saga.due <= ?4
             ORDER BY saga.due, saga.id LIMIT ?5",
            params![shard.0, after_due, after_id, until, limit],
        )
        .map_err(unreadable)
    }

    /// Sagas and their histories, of one moment.
    fn stored(
        &mut self,
        which: &str,
        parameters: &[&dyn rusqlite::ToSql],
    ) -> rusqlite::Result<Vec<StoredSaga>> {
        let Self { connection, names } = self;
        let transaction = connection.transaction()?;
        let sql = format!("SELECT {COLUMNS}, saga.tail, saga.events FROM saga {which}");
        let mut sagas = transaction.prepare_cached(&sql)?;
        let mut rows = sagas.query(parameters)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let saga_row = names.saga_row(&transaction, row)?;
            found.push(StoredSaga { events: events(&transaction, &saga_row, row)?, row: saga_row });
        }
        drop(rows);
        drop(sagas);
        transaction.commit()?;
        Ok(found)
    }
}

/// The whole history: the part in the row, then the segments, which are read from the last to the
/// first.
fn events(connection: &Connection, saga: &SagaRow, row: &Row<'_>) -> rusqlite::Result<Events> {
    let mut tail: Option<i64> = row.get(COLUMNS_COUNT)?;
    let first: Vec<u8> = row.get(COLUMNS_COUNT + 1)?;
    let count = u32::try_from(saga.seq).unwrap_or(u32::MAX);
    if tail.is_none() {
        return Ok(Events { first_seq: 1, count, bytes: Bytes::from(first) });
    }
    let mut parts: Vec<Vec<u8>> = Vec::new();
    while let Some(segment) = tail {
        let (before, part) = connection
            .prepare_cached("SELECT before, events FROM segment WHERE n = ?1")?
            .query_row([segment], |row| Ok((row.get(0)?, row.get(1)?)))?;
        parts.push(part);
        tail = before;
    }
    let mut whole = first;
    for part in parts.iter().rev() {
        whole.extend_from_slice(part);
    }
    Ok(Events { first_seq: 1, count, bytes: Bytes::from(whole) })
}
