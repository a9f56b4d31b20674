//! Lists: the index that fits, then row by row what it does not answer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use amends_store::{
    AttentionFilter, CatalogError, ListCursor, Order, Page, Position, Query, SCAN_ROWS_MAX,
    SagaRow, StuckFilter,
};
use rusqlite::{CachedStatement, Connection, Rows, params};

use super::keys::KeyHash;
use super::reader::Reader;
use super::row::{COLUMNS, Names, saga_bytes, time, unreadable};

impl Reader {
    pub(super) fn list(&mut self, query: &Query) -> Result<Page, CatalogError> {
        let wanted = query.page_rows()?;
        let Self { connection, names } = self;
        let mut list = || -> rusqlite::Result<Page> {
            // One transaction, so that the page is of one moment.
            let transaction = connection.transaction()?;
            let page = page(&transaction, names, query, wanted)?;
            transaction.commit()?;
            Ok(page)
        };
        list().map_err(unreadable)
    }
}

fn page(
    connection: &Connection,
    names: &mut Names,
    query: &Query,
    wanted: usize,
) -> rusqlite::Result<Page> {
    let as_of: i64 =
        connection.prepare_cached("SELECT position FROM place")?.query_row([], |row| row.get(0))?;
    let mut page = Page { rows: Vec::new(), next: None, as_of: Position(as_of as u64) };
    let window = Window::of(query);
    if let Some(found) = by_key_or_id(connection, names, query)? {
        take(&mut page, wanted, query, found.into_iter().filter(|row| window.holds(row)).map(Ok))?;
        return Ok(page);
    }
    let (sql, streams) = streams(connection, query, &window)?;
    let mut statements = Vec::with_capacity(streams.len());
    for _ in &streams {
        statements.push(connection.prepare_cached(&sql)?);
    }
    let merged = Merged::new(connection, names, query, &window, &streams, &mut statements)?;
    take(&mut page, wanted, query, merged)?;
    Ok(page)
}

/// Fills a page with the rows that fit.
fn take(
    page: &mut Page,
    wanted: usize,
    query: &Query,
    rows: impl Iterator<Item = rusqlite::Result<SagaRow>>,
) -> rusqlite::Result<()> {
    for (looked_at, row) in rows.enumerate() {
        if page.rows.len() == wanted || looked_at == SCAN_ROWS_MAX {
            return Ok(());
        }
        let row = row?;
        page.next = Some(ListCursor::after(&row));
        if query.matches(&row) {
            page.rows.push(row);
        }
    }
    page.next = None;
    Ok(())
}

/// From where to where a list goes, by (created, id).
struct Window {
    order: Order,
    after: Option<(u64, u128)>,
    created_min: u64,
    /// Inclusive.
    created_max: u64,
}

impl Window {
    fn of(query: &Query) -> Self {
        let (order, after) = (query.order, query.after.map(|at| (at.created_at, at.saga)));
        let mut window = Self { order, after, created_min: 0, created_max: u64::MAX };
        if let Some(created) = &query.created {
            window.created_min = created.start;
            window.created_max = created.end.saturating_sub(1);
        }
        match (order, after) {
            (Order::NewestFirst, Some((at, _))) => window.created_max = window.created_max.min(at),
            (Order::OldestFirst, Some((at, _))) => window.created_min = window.created_min.max(at),
            (_, None) => {}
        }
        window
    }

    fn holds(&self, row: &SagaRow) -> bool {
        let key = (row.created_at, row.saga);
        (self.created_min..=self.created_max).contains(&row.created_at)
            && match (self.order, self.after) {
                (Order::NewestFirst, Some(after)) => key < after,
                (Order::OldestFirst, Some(after)) => key > after,
                (_, None) => true,
            }
    }
}

/// All rows that a key or the beginning of an id leads to, sorted; `None` when the query names
/// neither, or so little of an id that half the table would fit.
fn by_key_or_id(
    connection: &Connection,
    names: &mut Names,
    query: &Query,
) -> rusqlite::Result<Option<Vec<SagaRow>>> {
    let mut numbers = BTreeSet::new();
    if let Some(key) = &query.business_key {
        by_business_key(connection, key, &mut numbers)?;
    } else if let Some(text) = &query.text {
        by_business_key(connection, text, &mut numbers)?;
        if let Some((low, high)) = query.text_ids() {
            let limit = SCAN_ROWS_MAX as i64 + 1;
            let mut ids = connection
                .prepare_cached("SELECT n FROM saga WHERE id BETWEEN ?1 AND ?2 LIMIT ?3")?;
            let mut rows = ids.query(params![saga_bytes(low), saga_bytes(high), limit])?;
            while let Some(row) = rows.next()? {
                numbers.insert(row.get(0)?);
            }
        }
    } else {
        return Ok(None);
    }
    if numbers.len() > SCAN_ROWS_MAX {
        return Ok(None);
    }
    let sql = format!("SELECT {COLUMNS} FROM saga WHERE n = ?1");
    let mut one = connection.prepare_cached(&sql)?;
    let mut found = Vec::with_capacity(numbers.len());
    for n in numbers {
        let mut rows = one.query([n])?;
        if let Some(row) = rows.next()? {
            found.push(names.saga_row(connection, row)?);
        }
    }
    match query.order {
        Order::OldestFirst => found.sort_unstable_by_key(|row| (row.created_at, row.saga)),
        Order::NewestFirst => found.sort_unstable_by_key(|row| Reverse((row.created_at, row.saga))),
    }
    Ok(Some(found))
}

/// The sagas of any type that a business key names.
fn by_business_key(
    connection: &Connection,
    key: &str,
    numbers: &mut BTreeSet<i64>,
) -> rusqlite::Result<()> {
    let mut types = connection.prepare_cached("SELECT name FROM type")?;
    let mut types = types.query([])?;
    let mut sagas = connection.prepare_cached("SELECT saga FROM key WHERE hash = ?1 LIMIT ?2")?;
    while let Some(row) = types.next()? {
        let hash = KeyHash::of_business(&row.get(0)?, &key.into());
        let mut rows = sagas.query(params![hash.short(), SCAN_ROWS_MAX as i64 + 1])?;
        while let Some(row) = rows.next()? {
            numbers.insert(row.get(0)?);
        }
    }
    Ok(())
}

/// The statement that reads a part of the list in order, and the (type, state) of each part.
fn streams(
    connection: &Connection,
    query: &Query,
    window: &Window,
) -> rusqlite::Result<(String, Vec<(i64, u8)>)> {
    let direction = match query.order {
        Order::NewestFirst => "DESC",
        Order::OldestFirst => "ASC",
    };
    // Those of the cursor's own moment stand on both sides of it.
    let after = match (query.order, window.after) {
        (_, None) => "?5 IS NULL",
        (Order::NewestFirst, Some(_)) => "(created_at, id) < (?6, ?5)",
        (Order::OldestFirst, Some(_)) => "(created_at, id) > (?6, ?5)",
    };
    let rest = format!(
        "created_at BETWEEN ?3 AND ?4 AND {after} AND ?6 = ?6 AND ?7 = ?7
         ORDER BY created_at {direction}, id {direction}"
    );
    if matches!(query.attention, Some(AttentionFilter::AnyOf(_))) {
        let sql = format!(
            "SELECT {COLUMNS} FROM saga WHERE attention <> 0 AND ?1 = ?1 AND ?2 = ?2 AND {rest}"
        );
        return Ok((sql, vec![(0, 0)]));
    }
    if matches!(query.stuck, Some(StuckFilter::By(_))) {
        // The index tells those that are stuck from those that may be one day.
        let sql = format!(
            "SELECT {COLUMNS} FROM saga
             WHERE stuck_at IS NOT NULL AND stuck_at <= ?7 AND ?1 = ?1 AND ?2 = ?2 AND {rest}"
        );
        return Ok((sql, vec![(0, 0)]));
    }
    let sql = format!("SELECT {COLUMNS} FROM saga WHERE type = ?1 AND state = ?2 AND {rest}");
    let of_type = match &query.saga_type {
        None => None,
        Some(saga_type) => match Names::type_number(connection, saga_type)? {
            None => return Ok((sql, Vec::new())),
            number => number,
        },
    };
    let parts = connection
        .prepare_cached(
            "SELECT type, state FROM count
             WHERE sagas > 0 AND (?1 IS NULL OR type = ?1) AND (?2 IS NULL OR state = ?2)
                AND (?3 IS NOT 1 OR live > 0) AND (?3 IS NOT 0 OR live < sagas)",
        )?
        .query_map(params![of_type, query.state, query.live], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok((sql, parts))
}

/// The parts of a list, merged into one.
struct Merged<'a> {
    connection: &'a Connection,
    names: &'a mut Names,
    order: Order,
    parts: Vec<Rows<'a>>,
    /// The next row of each part that has one.
    heads: BTreeMap<(u64, u128), (usize, SagaRow)>,
    failed: Option<rusqlite::Error>,
}

impl<'a> Merged<'a> {
    fn new(
        connection: &'a Connection,
        names: &'a mut Names,
        query: &Query,
        window: &Window,
        streams: &[(i64, u8)],
        statements: &'a mut [CachedStatement<'_>],
    ) -> rusqlite::Result<Self> {
        let after_id = window.after.map(|(_, saga)| saga_bytes(saga));
        let after_at = window.after.map_or(0, |(at, _)| time(at));
        let (min, max) = (time(window.created_min), time(window.created_max));
        let stuck_by = match query.stuck {
            Some(StuckFilter::By(by)) => time(by),
            _ => 0,
        };
        let mut parts = Vec::with_capacity(streams.len());
        for (statement, (saga_type, state)) in statements.iter_mut().zip(streams) {
            let parameters = params![saga_type, state, min, max, after_id, after_at, stuck_by];
            parts.push(statement.query(parameters)?);
        }
        let heads = BTreeMap::new();
        let order = query.order;
        let mut merged = Self { connection, names, order, parts, heads, failed: None };
        for part in 0..merged.parts.len() {
            merged.advance(part)?;
        }
        Ok(merged)
    }

    fn advance(&mut self, part: usize) -> rusqlite::Result<()> {
        if let Some(row) = self.parts[part].next()? {
            let row = self.names.saga_row(self.connection, row)?;
            self.heads.insert((row.created_at, row.saga), (part, row));
        }
        Ok(())
    }
}

impl Iterator for Merged<'_> {
    type Item = rusqlite::Result<SagaRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        let (_, (part, row)) = match self.order {
            Order::NewestFirst => self.heads.pop_last(),
            Order::OldestFirst => self.heads.pop_first(),
        }?;
        self.failed = self.advance(part).err();
        Some(Ok(row))
    }
}
