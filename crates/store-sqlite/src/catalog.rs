//! `catalog.db`: one writer, and readers on connections of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use amends_store::{
    Audit, AuditEntry, BoxFuture, Catalog, CatalogError, Checkpoint, Count, Definition, DueCursor,
    Orphan, Page, Position, Quarantine, Query, ShardId, StoredOrphan, StoredSaga,
};
use bytes::Bytes;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::Options;
use crate::folder::{Folder, OpenError};
use crate::journal::{self, JournalLink};
use crate::lane::{Jobs, Lane};
use crate::mutant::Mutation;
use crate::sqlite::{self, Setup};

mod checkpoint;
mod keys;
mod ledger;
mod list;
mod reader;
mod retention;
mod row;
mod schema;
mod writer;

pub(crate) use keys::holder;
use reader::Reader;
pub(crate) use row::{saga_bytes, saga_id};
use writer::Writer;

/// A page holds a dozen rows: pages half as large would hang every larger history on a chain of
/// its own, and pages twice as large write more for a saga that moves alone.
const PAGE_BYTES: i64 = 8192;

/// The writer touches the end of the table and of three indexes, and any page of the keys: at
/// twenty bytes a key this holds two million of them.
const WRITER_CACHE_BYTES: i64 = 64 * 1024 * 1024;

/// Readers share the system's page cache and keep little of their own: there are several, and what
/// each keeps is held for good.
const READER_CACHE_BYTES: i64 = 1024 * 1024;

/// "amCT"
const APPLICATION_ID: i32 = 0x616d_4354;

/// Two threads for reading by id, so that one that waits for the disk holds up nobody.
const POINT_READERS: usize = 2;

pub(crate) struct SqliteCatalog {
    writer: Lane<Ask<Writer>>,
    /// Short reads: a saga, a definition, what is due.
    points: Lane<Ask<Reader>>,
    /// Long ones, which must not hold up the short.
    lists: Lane<Ask<Reader>>,
    position: Arc<AtomicU64>,
}

type Ask<T> = Box<dyn FnOnce(&mut T) + Send>;

/// An opened catalog that nobody serves yet.
pub(crate) struct Opened {
    connection: Connection,
    position: Arc<AtomicU64>,
    point_readers: usize,
}

impl Opened {
    pub(crate) fn position(&self) -> Arc<AtomicU64> {
        self.position.clone()
    }
}

const fn setup(cache_bytes: i64, bytes_max: Option<u64>, mutation: Mutation) -> Setup {
    let (application_id, page_bytes) = (APPLICATION_ID, PAGE_BYTES);
    Setup { application_id, page_bytes, cache_bytes, bytes_max, mutation }
}

/// Opens the file and reads its place.
pub(crate) fn prepare(
    folder: &Folder,
    options: &Options,
    origin: &str,
) -> Result<Opened, OpenError> {
    let path = folder.catalog();
    let setup = setup(WRITER_CACHE_BYTES, options.catalog_bytes_max, Mutation::of(options));
    let mut connection = sqlite::open_writer(folder.files(), &path, &setup)?;
    let in_use = || journal::is_in_use(folder);
    sqlite::prepare_schema(&mut connection, &path, &setup, origin, schema::SCHEMA, in_use)?;
    schema::complete(&mut connection).map_err(|source| OpenError::sqlite(&path, source))?;
    let position: i64 = connection
        .query_row("SELECT position FROM place", [], |row| row.get(0))
        .map_err(|source| OpenError::sqlite(&path, source))?;
    let position = Arc::new(AtomicU64::new(position as u64));
    Ok(Opened { connection, position, point_readers: point_readers(options) })
}

/// Does it hold anything? An engine keeps definitions before it acknowledges a saga.
pub(crate) fn is_in_use(folder: &Folder) -> Result<bool, OpenError> {
    open_reader(folder)?
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM definition) OR EXISTS (SELECT 1 FROM note)
                OR EXISTS (SELECT 1 FROM place WHERE position > 0)",
            [],
            |row| row.get(0),
        )
        .map_err(|source| OpenError::sqlite(&folder.catalog(), source))
}

/// Opens a connection that only reads the catalog.
pub(crate) fn open_reader(folder: &Folder) -> Result<Connection, OpenError> {
    let setup = setup(READER_CACHE_BYTES, None, Mutation::default());
    sqlite::open_reader(folder.files(), &folder.catalog(), &setup)
}

/// Starts the catalog's threads.
pub(crate) fn start(
    folder: Arc<Folder>,
    opened: Opened,
    journal: JournalLink,
) -> Result<SqliteCatalog, OpenError> {
    let path = folder.catalog();
    let Opened { connection, position, point_readers } = opened;
    let writer = Writer::new(connection, position.clone(), journal)
        .map_err(|source| OpenError::sqlite(&path, source))?;
    let held = folder.clone();
    let write = move |jobs: Jobs<Ask<Writer>>| {
        let mut writer = writer;
        serve(&mut writer, &jobs);
        drop((writer, held));
    };
    let reading = |held: Arc<Folder>| -> Result<_, OpenError> {
        let mut reader = Reader::new(open_reader(&held)?);
        Ok(move |jobs: Jobs<Ask<Reader>>| {
            serve(&mut reader, &jobs);
            drop((reader, held));
        })
    };
    let points = (0..point_readers).map(|_| reading(folder.clone())).collect::<Result<_, _>>()?;
    let lists = vec![reading(folder)?];
    let io = |source| OpenError::io(&path, source);
    Ok(SqliteCatalog {
        writer: Lane::start("amends-catalog", vec![write]).map_err(io)?,
        points: Lane::start("amends-read", points).map_err(io)?,
        lists: Lane::start("amends-list", lists).map_err(io)?,
        position,
    })
}

#[cfg(feature = "mutants")]
const fn point_readers(options: &Options) -> usize {
    if options.one_reader { 1 } else { POINT_READERS }
}

#[cfg(not(feature = "mutants"))]
const fn point_readers(_: &Options) -> usize {
    POINT_READERS
}

fn serve<T>(server: &mut T, jobs: &Jobs<Ask<T>>) {
    while let Some(ask) = jobs.next() {
        ask(server);
    }
}

/// Hands work to a lane and waits for its answer.
fn ask<'a, S: 'static, T: Send + 'static>(
    lane: &'a Lane<Ask<S>>,
    work: impl FnOnce(&mut S) -> Result<T, CatalogError> + Send + 'static,
) -> BoxFuture<'a, Result<T, CatalogError>> {
    Box::pin(async move {
        let (answer, answered) = oneshot::channel();
        let ask: Ask<S> = Box::new(move |server| {
            let _ = answer.send(work(server));
        });
        lane.send(ask).await.map_err(|_| CatalogError::Closed)?;
        answered.await.unwrap_or(Err(CatalogError::Closed))
    })
}

impl Catalog for SqliteCatalog {
    fn checkpoint(&self, checkpoint: Checkpoint) -> BoxFuture<'_, Result<Position, CatalogError>> {
        ask(&self.writer, move |writer| writer.checkpoint(checkpoint))
    }

    fn position(&self) -> Position {
        Position(self.position.load(Ordering::Acquire))
    }

    fn read(&self, saga: u128) -> BoxFuture<'_, Result<Option<StoredSaga>, CatalogError>> {
        ask(&self.points, move |reader| reader.saga(saga))
    }

    fn list(&self, query: Query) -> BoxFuture<'_, Result<Page, CatalogError>> {
        ask(&self.lists, move |reader| reader.list(&query))
    }

    fn counts(&self) -> BoxFuture<'_, Result<Vec<Count>, CatalogError>> {
        ask(&self.points, Reader::counts)
    }

    fn stuck(&self, by: u64) -> BoxFuture<'_, Result<Vec<Count>, CatalogError>> {
        ask(&self.lists, move |reader| reader.stuck(by))
    }

    fn due(
        &self,
        shard: ShardId,
        until: u64,
        after: Option<DueCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredSaga>, CatalogError>> {
        ask(&self.points, move |reader| reader.due(shard, until, after, limit))
    }

    fn live(
        &self,
        shard: ShardId,
        after: Option<DueCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredSaga>, CatalogError>> {
        ask(&self.points, move |reader| reader.live(shard, after, limit))
    }

    fn put_definition(&self, definition: Definition) -> BoxFuture<'_, Result<(), CatalogError>> {
        ask(&self.writer, move |writer| writer.put_definition(&definition))
    }

    fn definition(
        &self,
        saga_type: &str,
        version: u32,
    ) -> BoxFuture<'_, Result<Option<Definition>, CatalogError>> {
        let saga_type = saga_type.to_owned();
        ask(&self.points, move |reader| reader.definition(&saga_type, version))
    }

    fn definitions(&self) -> BoxFuture<'_, Result<Vec<Definition>, CatalogError>> {
        ask(&self.points, Reader::definitions)
    }

    fn put_note(&self, name: &str, note: Bytes) -> BoxFuture<'_, Result<(), CatalogError>> {
        let name = name.to_owned();
        ask(&self.writer, move |writer| writer.put_note(&name, &note))
    }

    fn note(&self, name: &str) -> BoxFuture<'_, Result<Option<Bytes>, CatalogError>> {
        let name = name.to_owned();
        ask(&self.points, move |reader| reader.note(&name))
    }

    fn put_orphan(&self, orphan: Orphan) -> BoxFuture<'_, Result<u64, CatalogError>> {
        ask(&self.writer, move |writer| writer.put_orphan(&orphan))
    }

    fn orphans(
        &self,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredOrphan>, CatalogError>> {
        ask(&self.lists, move |reader| reader.orphans(after, limit))
    }

    fn remove_orphan(&self, number: u64) -> BoxFuture<'_, Result<bool, CatalogError>> {
        ask(&self.writer, move |writer| writer.remove_orphan(number))
    }

    fn append_audit(&self, audit: Audit) -> BoxFuture<'_, Result<AuditEntry, CatalogError>> {
        ask(&self.writer, move |writer| writer.append_audit(audit))
    }

    fn audits(
        &self,
        saga: Option<u128>,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<AuditEntry>, CatalogError>> {
        ask(&self.lists, move |reader| reader.audits(saga, after, limit))
    }

    fn expire(&self, now: u64, limit: usize) -> BoxFuture<'_, Result<Vec<u128>, CatalogError>> {
        ask(&self.writer, move |writer| writer.expire(now, limit))
    }

    fn quarantine(
        &self,
        saga: u128,
        quarantine: Quarantine,
    ) -> BoxFuture<'_, Result<(), CatalogError>> {
        ask(&self.writer, move |writer| writer.quarantine(saga, &quarantine))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.points.close().await;
            self.lists.close().await;
            self.writer.close().await;
        })
    }
}
