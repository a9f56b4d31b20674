//! `journal.db`: one writer that commits in groups, and one reader.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use amends_store::{
    Appended, BATCH_BYTES_MAX, Batch, BoxFuture, ClaimKey, Cursor, Epoch, Holder, Journal,
    JournalError, JournalSize, Position, Record, ShardId,
};
use tokio::sync::oneshot;

use crate::folder::{Folder, OpenError};
use crate::lane::{Jobs, Lane, Link};
use crate::mutant::Mutation;
use crate::sqlite::{self, Setup};
use crate::{Options, catalog};

mod archive;
mod reader;
mod recovery;
mod writer;

use reader::Reader;
pub(crate) use writer::Writer;
use writer::{Answer, Command};

/// Pages as large as those of the disk: a small commit writes one or two of them, and a large blob
/// takes a chain of them either way.
const PAGE_BYTES: i64 = 4096;

/// The tree over the blobs is small, and a blob is written and read once.
const CACHE_BYTES: i64 = 2 * 1024 * 1024;

/// "amJL"
const APPLICATION_ID: i32 = 0x616d_4a4c;

const SCHEMA: &str = "
    CREATE TABLE record (position INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
    CREATE TABLE owner (shard INTEGER PRIMARY KEY, epoch INTEGER NOT NULL) STRICT;
    CREATE TABLE cursor (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT;
    -- The last record that was cut, and its checksum, which the next one names.
    CREATE TABLE cut (position INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;
    INSERT INTO cut VALUES (0, 0);
    -- Tails that were cut because they were not whole, kept for whoever wants to know.
    CREATE TABLE torn (position INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;
";

pub(crate) struct SqliteJournal {
    writer: Lane<Command>,
    reader: Lane<reader::Ask>,
    size: Arc<Mutex<JournalSize>>,
}

/// A way to the journal's writer, for the catalog.
#[derive(Clone)]
pub(crate) struct JournalLink(Link<Command>);

/// Opens the journal, reads it all once, and starts its threads.
pub(crate) fn start(
    folder: &Arc<Folder>,
    options: &Options,
    origin: &str,
    catalog_position: Arc<AtomicU64>,
) -> Result<SqliteJournal, OpenError> {
    let setup = setup(options.journal_bytes_max, Mutation::of(options));
    let path = folder.journal();
    let mut connection = sqlite::open_writer(folder.files(), &path, &setup)?;
    let in_use = || catalog::is_in_use(folder);
    sqlite::prepare_schema(&mut connection, &path, &setup, origin, SCHEMA, in_use)?;
    let archive = archive::Archive::new(catalog::open_reader(folder)?)
        .map_err(|source| OpenError::sqlite(&folder.catalog(), source))?;
    let writer = recovery::recover(connection, archive, catalog_position, folder, setup.mutation)?;
    let size = writer.size.clone();
    let reader = Reader::new(sqlite::open_reader(folder.files(), &path, &setup)?);

    let io = |source| OpenError::io(&path, source);
    let held = folder.clone();
    let write = move |jobs: Jobs<Command>| {
        writer.run(&jobs);
        drop(held);
    };
    let held = folder.clone();
    let read = move |jobs: Jobs<reader::Ask>| {
        reader.run(&jobs);
        drop(held);
    };
    Ok(SqliteJournal {
        writer: Lane::start("amends-journal", vec![write]).map_err(io)?,
        reader: Lane::start("amends-replay", vec![read]).map_err(io)?,
        size,
    })
}

const fn setup(bytes_max: Option<u64>, mutation: Mutation) -> Setup {
    Setup {
        application_id: APPLICATION_ID,
        page_bytes: PAGE_BYTES,
        cache_bytes: CACHE_BYTES,
        bytes_max,
        mutation,
    }
}

/// Has anybody written into it? Whoever does acquires a shard before.
pub(crate) fn is_in_use(folder: &Folder) -> Result<bool, OpenError> {
    let path = folder.journal();
    if !folder.files().exists(&path).map_err(|source| OpenError::io(&path, source))? {
        return Ok(false);
    }
    let connection = sqlite::open_reader(folder.files(), &path, &setup(None, Mutation::default()))?;
    let tables = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'owner')";
    let owned = "SELECT EXISTS (SELECT 1 FROM owner)";
    let is_so = |question: &str| connection.query_row(question, [], |row| row.get(0));
    let in_use = is_so(tables).and_then(|made| if made { is_so(owned) } else { Ok(false) });
    in_use.map_err(|source| OpenError::sqlite(&path, source))
}

impl SqliteJournal {
    pub(crate) fn link(&self) -> JournalLink {
        JournalLink(self.writer.link())
    }

    /// Hands a command over and waits for its answer.
    fn command<T: Send + 'static>(
        &self,
        command: impl FnOnce(Answer<T>) -> Command + Send + 'static,
    ) -> BoxFuture<'_, Result<T, JournalError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let sent = self.writer.send(command(answer)).await;
            sent.map_err(|_| JournalError::Closed)?;
            answered.await.unwrap_or(Err(JournalError::Closed))
        })
    }

    /// Asks the writer something between two groups, when nothing is staged.
    fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Writer) -> Result<T, JournalError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, JournalError>> {
        self.command(|answer| {
            Command::Ask(Box::new(move |writer| {
                let _ = answer.send(writer.asked(ask));
            }))
        })
    }
}

impl JournalLink {
    /// Asks the writer something between two groups; `None` when the journal is closed.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Writer) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let ask = move |writer: &mut Writer| {
            let _ = answer.send(writer.asked(ask));
        };
        self.0.send(Command::Ask(Box::new(ask))).ok()?;
        answered.blocking_recv().ok()
    }
}

impl Journal for SqliteJournal {
    fn acquire(&self, shard: ShardId) -> BoxFuture<'_, Result<Epoch, JournalError>> {
        self.command(move |answer| Command::Acquire { shard, answer })
    }

    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Appended, JournalError>> {
        let bytes = batch.bytes();
        if bytes > BATCH_BYTES_MAX {
            let too_large = JournalError::TooLarge { bytes, bytes_max: BATCH_BYTES_MAX };
            return Box::pin(std::future::ready(Err(too_large)));
        }
        self.command(move |answer| Command::Append { batch, bytes, answer })
    }

    fn claim_holder(&self, key: ClaimKey) -> BoxFuture<'_, Result<Option<Holder>, JournalError>> {
        self.ask(move |writer| writer.holder(&key))
    }

    fn replay(&self, after: Position) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let ask: reader::Ask = Box::new(move |reader| {
                let _ = answer.send(reader.replay(after));
            });
            self.reader.send(ask).await.map_err(|_| JournalError::Closed)?;
            answered.await.unwrap_or(Err(JournalError::Closed))
        })
    }

    fn cut(&self, up_to: Position) -> BoxFuture<'_, Result<Position, JournalError>> {
        self.command(move |answer| Command::Cut { up_to, answer })
    }

    fn size(&self) -> JournalSize {
        *self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cursor(&self, name: &str) -> BoxFuture<'_, Result<Position, JournalError>> {
        let name = name.to_owned();
        self.command(move |answer| Command::Cursor { name, answer })
    }

    fn advance(&self, name: &str, to: Position) -> BoxFuture<'_, Result<(), JournalError>> {
        let name = name.to_owned();
        self.command(move |answer| Command::Advance { name, to, answer })
    }

    fn forget(&self, name: &str) -> BoxFuture<'_, Result<(), JournalError>> {
        let name = name.to_owned();
        self.command(move |answer| Command::Forget { name, answer })
    }

    fn cursors(&self) -> BoxFuture<'_, Result<Vec<Cursor>, JournalError>> {
        self.ask(|writer| Ok(writer.cursors()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.reader.close().await;
            self.writer.close().await;
        })
    }
}

/// The catalog's place, as its writer last left it.
fn load(position: &AtomicU64) -> Position {
    Position(position.load(Ordering::Acquire))
}
