//! The one writer: it takes what waits, admits it, and commits it with one sync.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use amends_store::{
    Admission, Appended, Batch, CatalogError, ClaimKey, Cursor, Epoch, Holder, JournalError,
    JournalSize, Position, Rejection, Settled, ShardId,
};
use rusqlite::{Connection, TransactionBehavior, params};
use tokio::sync::oneshot;

use super::archive::Archive;
use super::load;
use crate::lane::Jobs;
use crate::mutant::{Mutant, Mutation};
use crate::record;
use crate::sqlite::{Failure, failure};

/// At how many bytes a group is closed: a larger blob gains nothing, and its sync takes longer.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// At how many commands a group is closed: more shards than there are.
const GROUP_COMMANDS_MAX: usize = 1024;

/// How many records, and about how many bytes, are cut along with one group: a slice that costs
/// about as much as the group itself, so that cutting never stalls appending.
const CUT_SLICE_RECORDS_MAX: i64 = 256;
const CUT_SLICE_BYTES_MAX: i64 = 8 * 1024 * 1024;

pub(super) type Answer<T> = oneshot::Sender<Result<T, JournalError>>;

pub(super) enum Command {
    Append {
        batch: Batch,
        bytes: usize,
        answer: Answer<Appended>,
    },
    Acquire {
        shard: ShardId,
        answer: Answer<Epoch>,
    },
    Cursor {
        name: String,
        answer: Answer<Position>,
    },
    Advance {
        name: String,
        to: Position,
        answer: Answer<()>,
    },
    Forget {
        name: String,
        answer: Answer<()>,
    },
    Cut {
        up_to: Position,
        answer: Answer<Position>,
    },
    /// Done between two groups: what it sees is durable.
    Ask(Box<dyn FnOnce(&mut Writer) + Send>),
}

pub(crate) struct Writer {
    pub(super) connection: Connection,
    pub(super) admission: Admission,
    pub(super) archive: Archive,
    pub(super) catalog_position: Arc<AtomicU64>,
    pub(super) cursors: BTreeMap<String, Position>,
    /// The last record's checksum.
    pub(super) checksum: u64,
    pub(super) size: Arc<Mutex<JournalSize>>,
    pub(super) cuts: Vec<(Position, Answer<Position>)>,
    /// What failed first; nothing is written from then on.
    pub(super) broken: Option<String>,
    pub(super) buffer: Vec<u8>,
    pub(super) mutation: Mutation,
}

/// What a group will have changed once it is durable.
#[derive(Default)]
struct Group {
    batches: Vec<Batch>,
    /// By (batch, entry).
    rejected: Vec<(usize, usize)>,
    owners: Vec<(ShardId, Epoch)>,
    cursors: Option<BTreeMap<String, Position>>,
    answers: Vec<Staged>,
}

/// An answer that waits for the sync.
enum Staged {
    Append(Answer<Appended>, Result<Appended, JournalError>),
    Epoch(Answer<Epoch>, Epoch),
    Position(Answer<Position>, Position),
    Done(Answer<()>, Result<(), JournalError>),
}

impl Writer {
    pub(super) fn run(mut self, jobs: &Jobs<Command>) {
        loop {
            // While there is something to cut, waiting would leave it undone.
            let first = if self.cuts.is_empty() { jobs.next() } else { jobs.next_queued() };
            let Some(first) = first else {
                if self.cuts.is_empty() {
                    return;
                }
                self.commit(Vec::new());
                continue;
            };
            let mut commands = Vec::new();
            let mut bytes = 0;
            let mut next = Some(first);
            let ask = loop {
                match next {
                    Some(Command::Ask(ask)) => break Some(ask),
                    Some(command) => {
                        bytes +=
                            if let Command::Append { bytes, .. } = &command { *bytes } else { 0 };
                        commands.push(command);
                    }
                    None => break None,
                }
                if bytes >= GROUP_BYTES_MAX || commands.len() >= GROUP_COMMANDS_MAX {
                    break None;
                }
                next = jobs.next_queued();
            };
            if !commands.is_empty() {
                self.commit(commands);
            }
            if let Some(ask) = ask {
                ask(&mut self);
            }
        }
    }

    fn commit(&mut self, commands: Vec<Command>) {
        let mut group = self.stage(commands);
        self.archive.end();
        if self.mutation.is(Mutant::AcknowledgesBeforeTheSync) {
            std::mem::take(&mut group.answers).into_iter().for_each(|answer| answer.give(None));
            // So that who was answered always sees what is not there yet.
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let written = match &self.broken {
            Some(what) => Err(JournalError::Broken { what: what.clone() }),
            None => self.write(&group).map_err(|error| self.failed(&error)),
        };
        match &written {
            Ok(written) => {
                self.admission.commit();
                if let Some(cursors) = group.cursors {
                    self.cursors = cursors;
                }
                if let Some(checksum) = written.checksum {
                    self.checksum = checksum;
                }
                *self.size.lock().unwrap_or_else(PoisonError::into_inner) = written.size;
            }
            Err(_) => self.admission.roll_back(),
        }
        self.answer_cuts(written.as_ref().err());
        let failed = written.err().filter(|error| !self.passes_over(error));
        for answer in group.answers {
            answer.give(failed.as_ref());
        }
    }

    fn passes_over(&self, error: &JournalError) -> bool {
        match error {
            JournalError::Full { .. } => self.mutation.is(Mutant::TakesFullForWritten),
            JournalError::Broken { .. } => self.mutation.is(Mutant::TakesFailedSyncsForWritten),
            _ => false,
        }
    }

    fn size(&self) -> JournalSize {
        *self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits what may come in.
    fn stage(&mut self, commands: Vec<Command>) -> Group {
        let mut group = Group::default();
        let JournalSize { last, cut, .. } = self.size();
        for command in commands {
            match command {
                Command::Append { batch, answer, .. } => {
                    let staged = self.stage_append(&mut group, last, batch);
                    group.answers.push(Staged::Append(answer, staged));
                }
                Command::Acquire { shard, answer } => {
                    let epoch = self.admission.acquire(shard);
                    group.owners.push((shard, epoch));
                    group.answers.push(Staged::Epoch(answer, epoch));
                }
                Command::Cursor { name, answer } => {
                    let position = match group.cursors.as_ref().unwrap_or(&self.cursors).get(&name)
                    {
                        Some(position) => *position,
                        None => *group.cursors_of(&self.cursors).entry(name).or_insert(cut),
                    };
                    group.answers.push(Staged::Position(answer, position));
                }
                Command::Advance { name, to, answer } => {
                    let cursors = group.cursors_of(&self.cursors);
                    let held = cursors.get(&name).copied().unwrap_or(cut);
                    let misplaced = to < held || to > last;
                    let result = if misplaced {
                        Err(JournalError::CursorMisplaced { name, held, asked: to, last })
                    } else {
                        cursors.insert(name, to);
                        Ok(())
                    };
                    group.answers.push(Staged::Done(answer, result));
                }
                Command::Forget { name, answer } => {
                    group.cursors_of(&self.cursors).remove(&name);
                    group.answers.push(Staged::Done(answer, Ok(())));
                }
                Command::Cut { up_to, answer } => self.cuts.push((up_to, answer)),
                Command::Ask(_) => {}
            }
        }
        group
    }

    fn stage_append(
        &mut self,
        group: &mut Group,
        last: Position,
        mut batch: Batch,
    ) -> Result<Appended, JournalError> {
        if self.mutation.is(Mutant::TakesStaleOwners)
            && let Err(JournalError::StaleOwner { current, .. }) =
                self.admission.admit(last.next(), &batch, &mut self.archive)
        {
            batch.epoch = current;
        }
        let rejected = self.admission.admit(last.next(), &batch, &mut self.archive)?;
        if rejected.len() == batch.entries.len() {
            // Nothing of it is written. Who holds the keys may be in this very group.
            let position = if group.batches.is_empty() { last } else { last.next() };
            return Ok(Appended { position, rejected });
        }
        let at = group.batches.len();
        group.rejected.extend(rejected.iter().map(|(entry, _): &(usize, Rejection)| (at, *entry)));
        group.batches.push(batch);
        Ok(Appended { position: last.next(), rejected })
    }

    /// One transaction, one sync.
    fn write(&mut self, group: &Group) -> rusqlite::Result<Written> {
        let mut written = Written { checksum: None, size: self.size() };
        let cut_to = self.cut_to();
        let is_cutting = cut_to > written.size.cut;
        if group.batches.is_empty()
            && group.owners.is_empty()
            && group.cursors.is_none()
            && !is_cutting
        {
            return Ok(written);
        }
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !group.batches.is_empty() {
            let position = written.size.last.next();
            let (batches, rejected) = (&group.batches, &group.rejected);
            let checksum =
                record::encode(position, self.checksum, batches, rejected, &mut self.buffer);
            transaction
                .prepare_cached("INSERT INTO record (position, bytes) VALUES (?1, ?2)")?
                .execute(params![position.0 as i64, self.buffer])?;
            written.checksum = Some(checksum);
            written.size.last = position;
            written.size.records += 1;
            written.size.bytes += self.buffer.len() as u64;
        }
        let owners: &[_] =
            if self.mutation.is(Mutant::ForgetsTheOwners) { &[] } else { &group.owners };
        for (shard, epoch) in owners {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO owner (shard, epoch) VALUES (?1, ?2)")?
                .execute(params![shard.0, epoch.0 as i64])?;
        }
        if let Some(cursors) = &group.cursors {
            transaction.execute("DELETE FROM cursor", [])?;
            for (name, position) in cursors {
                transaction
                    .prepare_cached("INSERT INTO cursor (name, position) VALUES (?1, ?2)")?
                    .execute(params![name, position.0 as i64])?;
            }
        }
        if is_cutting {
            cut_slice(&transaction, cut_to, &mut written.size)?;
        }
        transaction.commit()?;
        Ok(written)
    }

    fn failed(&mut self, error: &rusqlite::Error) -> JournalError {
        let what = error.to_string();
        match failure(error) {
            Failure::Full => JournalError::Full { what },
            Failure::Busy => JournalError::Busy { what },
            _ if self.mutation.is(Mutant::GoesOnAfterFailedSyncs) => JournalError::Busy { what },
            Failure::Damaged | Failure::Broken => {
                tracing::error!(what, "the journal cannot be written any more");
                self.broken = Some(what.clone());
                JournalError::Broken { what }
            }
        }
    }

    /// How far may be cut of what was asked: not what a reader or the catalog still needs.
    fn cut_to(&self) -> Position {
        let asked = self.cuts.iter().map(|(up_to, _)| *up_to).max().unwrap_or(Position::START);
        asked.min(self.cut_limit())
    }

    fn cut_limit(&self) -> Position {
        let catalog = load(&self.catalog_position);
        self.cursors.values().copied().fold(catalog, Position::min)
    }

    fn answer_cuts(&mut self, failed: Option<&JournalError>) {
        let (limit, cut) = (self.cut_limit(), self.size().cut);
        for (up_to, answer) in std::mem::take(&mut self.cuts) {
            if let Some(error) = failed {
                let _ = answer.send(Err(error.clone()));
            } else if cut >= up_to.min(limit) {
                let _ = answer.send(Ok(cut));
            } else {
                self.cuts.push((up_to, answer));
            }
        }
    }
}

struct Written {
    checksum: Option<u64>,
    size: JournalSize,
}

/// Deletes the oldest records, some of them when there are many.
fn cut_slice(
    transaction: &Connection,
    cut_to: Position,
    size: &mut JournalSize,
) -> rusqlite::Result<()> {
    let mut oldest = transaction.prepare_cached(
        "SELECT position, length(bytes) FROM record WHERE position <= ?1 ORDER BY position LIMIT ?2",
    )?;
    let mut rows = oldest.query(params![cut_to.0 as i64, CUT_SLICE_RECORDS_MAX])?;
    let (mut last, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        if bytes > CUT_SLICE_BYTES_MAX {
            break;
        }
        last = row.get(0)?;
        bytes += row.get::<_, i64>(1)?;
        size.records -= 1;
    }
    drop(rows);
    // The next record names the checksum of the last one that goes.
    transaction
        .prepare_cached("SELECT substr(bytes, 25, 8) FROM record WHERE position = ?1")?
        .query_row([last], |row| row.get::<_, [u8; 8]>(0))
        .and_then(|checksum| {
            transaction
                .prepare_cached("UPDATE cut SET position = ?1, checksum = ?2")?
                .execute(params![last, i64::from_le_bytes(checksum)])
        })?;
    transaction.prepare_cached("DELETE FROM record WHERE position <= ?1")?.execute([last])?;
    size.bytes -= bytes as u64;
    size.cut = Position(last as u64);
    Ok(())
}

impl Group {
    /// The cursors, to be changed.
    fn cursors_of(
        &mut self,
        before: &BTreeMap<String, Position>,
    ) -> &mut BTreeMap<String, Position> {
        self.cursors.get_or_insert_with(|| before.clone())
    }
}

impl Staged {
    /// A caller that is gone has nothing to be told.
    fn give(self, failed: Option<&JournalError>) {
        fn send<T>(
            answer: Answer<T>,
            result: Result<T, JournalError>,
            failed: Option<&JournalError>,
        ) {
            let _ = answer.send(failed.map_or(result, |error| Err(error.clone())));
        }
        match self {
            Self::Append(answer, result) => send(answer, result, failed),
            Self::Epoch(answer, epoch) => send(answer, Ok(epoch), failed),
            Self::Position(answer, position) => send(answer, Ok(position), failed),
            Self::Done(answer, result) => send(answer, result, failed),
        }
    }
}

/// What is asked between two groups.
impl Writer {
    /// Who is answered meets nobody that still reads the catalog for that.
    pub(super) fn asked<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        let answer = ask(self);
        self.archive.end();
        answer
    }

    pub(super) fn holder(&mut self, key: &ClaimKey) -> Result<Option<Holder>, JournalError> {
        self.admission.holder(key, &mut self.archive)
    }

    pub(super) fn cursors(&self) -> Vec<Cursor> {
        let cursors = self.cursors.iter();
        cursors.map(|(name, at)| Cursor { name: name.clone(), position: *at }).collect()
    }

    /// Judges a checkpoint; see [`Admission::settle`].
    pub(crate) fn settle(
        &mut self,
        position: Position,
        rows: &HashMap<u128, u64>,
    ) -> Result<Settled, CatalogError> {
        self.admission.settle(position, self.size().last, rows, &mut self.archive)
    }

    /// The checkpoint is durable; see [`Admission::forget`].
    pub(crate) fn settled(
        &mut self,
        position: Position,
        rows: &HashMap<u128, u64>,
        settled: &Settled,
    ) {
        self.archive.has(rows.keys().copied());
        self.admission.forget(position, rows, settled);
    }

    /// Which sagas may be deleted; see [`Admission::retire`].
    pub(crate) fn retire(&mut self, sagas: Vec<u128>) -> Vec<u128> {
        self.admission.retire(sagas)
    }

    /// They are deleted; see [`Admission::retired`].
    pub(crate) fn retired(&mut self) {
        self.admission.retired();
    }
}
