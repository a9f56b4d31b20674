//! The journal on the simulated disk.

use std::time::Duration;

use amends_store::{
    Appended, BATCH_BYTES_MAX, Batch, BoxFuture, ClaimKey, Cursor, Epoch, Holder, Journal,
    JournalError, JournalSize, Position, REPLAY_BYTES, Record, Rejection, ShardId,
};
use tokio::sync::{mpsc, oneshot};

use super::{Content, Disk, InFlight, bytes};

/// How many batches share a record at most: one that is larger would always be whole or gone.
const BATCHES_A_RECORD: usize = 2;

pub(super) struct SimJournal {
    disk: Disk,
    opening: u64,
    writer: mpsc::UnboundedSender<Asked>,
}

/// A batch, and who waits for it.
struct Asked {
    batch: Batch,
    answer: oneshot::Sender<Result<Appended, JournalError>>,
}

/// A batch that has been let in: its record, and what is to be answered.
struct Written {
    answer: oneshot::Sender<Result<Appended, JournalError>>,
    appended: Appended,
}

impl SimJournal {
    pub(super) fn new(disk: Disk, opening: u64) -> Self {
        let (writer, asked) = mpsc::unbounded_channel();
        tokio::spawn(write(disk.clone(), opening, asked));
        Self { disk, opening, writer }
    }

    /// Something that takes no time to speak of. A dead process hears nothing more.
    fn at_once<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Content) -> Result<T, JournalError>,
    ) -> BoxFuture<'static, Result<T, JournalError>> {
        let mut content = self.disk.content();
        if !content.serves(self.opening) {
            return Box::pin(std::future::pending());
        }
        if content.closed.contains(&self.opening) {
            return Box::pin(std::future::ready(Err(JournalError::Closed)));
        }
        let done = work(&mut content);
        Box::pin(async move {
            // Other tasks run meanwhile, as they do while a real one is asked.
            tokio::task::yield_now().await;
            done
        })
    }

    fn writing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Content) -> Result<T, JournalError>,
    ) -> BoxFuture<'static, Result<T, JournalError>> {
        self.at_once(|content| match &content.broken {
            Some(what) => Err(JournalError::Broken { what: what.clone() }),
            None => work(content),
        })
    }
}

impl Journal for SimJournal {
    fn acquire(&self, shard: ShardId) -> BoxFuture<'_, Result<Epoch, JournalError>> {
        Box::pin(async move {
            // Between two groups: what one of them staged is not this.
            let head = self.disk.content().head.clone();
            let _alone = head.lock().await;
            let acquired = self.writing(|content| {
                content.newest_owner = content.newest_owner.max(self.opening);
                let epoch = content.admission.acquire(shard);
                content.admission.commit();
                content.owners.insert(shard, epoch);
                if let Some(witness) = &content.witness {
                    witness.acquired(shard, epoch);
                }
                Ok(epoch)
            });
            acquired.await
        })
    }

    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Appended, JournalError>> {
        let bytes = batch.bytes();
        let (answer, answered) = oneshot::channel();
        let asked = self.writing(|_| {
            if bytes > BATCH_BYTES_MAX {
                return Err(JournalError::TooLarge { bytes, bytes_max: BATCH_BYTES_MAX });
            }
            let _ = self.writer.send(Asked { batch, answer }); // a writer ends with its process
            Ok(())
        });
        Box::pin(async move {
            asked.await?;
            match answered.await {
                Ok(answer) => answer,
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn claim_holder(&self, key: ClaimKey) -> BoxFuture<'_, Result<Option<Holder>, JournalError>> {
        self.at_once(|content| content.admission.holder(&key, &mut content.shelf))
    }

    fn replay(&self, after: Position) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        self.at_once(move |content| {
            if let Some(position) = content.hole {
                let what = "its checksum does not fit".to_owned();
                return Err(JournalError::Damaged { position, what });
            }
            if after < content.cut {
                return Err(JournalError::Cut { asked: after, cut: content.cut });
            }
            let mut read = 0;
            let page = content.records.range(after.next()..).take_while(|(_, (_, bytes))| {
                let before = read;
                read += bytes;
                before < REPLAY_BYTES as u64
            });
            Ok(page.map(|(_, (record, _))| record.clone()).collect())
        })
    }

    fn cut(&self, up_to: Position) -> BoxFuture<'_, Result<Position, JournalError>> {
        self.writing(|content| {
            let cursors = content.cursors.values().copied();
            let limit = cursors.fold(content.shelf.position, Position::min);
            let to = content.cut.max(up_to.min(limit));
            let kept = content.records.split_off(&to.next());
            let gone: u64 = content.records.values().map(|(_, bytes)| *bytes).sum();
            let cut = bytes::read(&content.file[..gone as usize], content.before_file);
            content.before_file = cut.checksum;
            content.file.drain(..gone as usize);
            content.records = kept;
            content.cut = to;
            Ok(to)
        })
    }

    fn size(&self) -> JournalSize {
        let content = self.disk.content();
        JournalSize {
            records: content.records.len() as u64,
            bytes: content.file.len() as u64,
            cut: content.cut,
            last: content.last,
        }
    }

    fn cursor(&self, name: &str) -> BoxFuture<'_, Result<Position, JournalError>> {
        let name = name.to_owned();
        self.writing(|content| Ok(*content.cursors.entry(name).or_insert(content.cut)))
    }

    fn advance(&self, name: &str, to: Position) -> BoxFuture<'_, Result<(), JournalError>> {
        let name = name.to_owned();
        self.writing(|content| {
            let held = content.cursors.get(&name).copied().unwrap_or(content.cut);
            if to < held || to > content.last {
                let last = content.last;
                return Err(JournalError::CursorMisplaced { name, held, asked: to, last });
            }
            content.cursors.insert(name, to);
            Ok(())
        })
    }

    fn forget(&self, name: &str) -> BoxFuture<'_, Result<(), JournalError>> {
        let name = name.to_owned();
        self.writing(|content| {
            content.cursors.remove(&name);
            Ok(())
        })
    }

    fn cursors(&self) -> BoxFuture<'_, Result<Vec<Cursor>, JournalError>> {
        self.at_once(|content| {
            let cursors = content.cursors.iter();
            Ok(cursors.map(|(name, at)| Cursor { name: name.clone(), position: *at }).collect())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // After the group that is under way.
            let head = self.disk.content().head.clone();
            let _done = head.lock().await;
            self.disk.content().closed.insert(self.opening);
        })
    }
}

/// The writer of one opening: takes what waits, writes it, syncs it, answers.
async fn write(disk: Disk, opening: u64, mut asked: mpsc::UnboundedReceiver<Asked>) {
    let mut group = Vec::new();
    while asked.recv_many(&mut group, 64).await > 0 {
        let head = disk.content().head.clone();
        let alone = head.lock().await;
        let written = {
            let mut content = disk.content();
            if !content.serves(opening) {
                return;
            }
            content.write(opening, std::mem::take(&mut group))
        };
        let Some((written, sync_ms)) = written else { continue };
        tokio::time::sleep(Duration::from_millis(sync_ms)).await;
        let synced = {
            let mut content = disk.content();
            if !content.serves(opening) {
                return;
            }
            content.sync(opening)
        };
        for Written { answer, appended } in written {
            // Whoever asked has gone; it is durable all the same.
            let _ = answer.send(synced.clone().map(|()| appended));
        }
        drop(alone);
    }
}

impl Content {
    /// Lets a group in and writes its records; answers who waits for the sync, and how long it takes.
    fn write(&mut self, opening: u64, group: Vec<Asked>) -> Option<(Vec<Written>, u64)> {
        let mut written = Vec::new();
        let mut in_flight =
            InFlight { opening, records: Vec::new(), bytes: Vec::new(), ends: Vec::new() };
        let (mut last, mut checksum) = (self.last, self.checksum);
        let mut batches: Vec<Batch> = Vec::new();
        let close = |batches: &mut Vec<Batch>,
                     last: &mut Position,
                     in_flight: &mut InFlight,
                     before: &mut u64| {
            if batches.is_empty() {
                return;
            }
            *last = last.next();
            let record = Record { position: *last, batches: std::mem::take(batches) };
            *before = bytes::write(&record, *before, &mut in_flight.bytes);
            in_flight.ends.push((in_flight.bytes.len(), *before));
            in_flight.records.push(record);
        };
        for Asked { batch, answer } in group {
            let refused = match (&self.broken, self.weather.journal_full) {
                (Some(what), _) => Some(JournalError::Broken { what: what.clone() }),
                (None, true) => Some(JournalError::Full { what: "the simulated disk".to_owned() }),
                (None, false) => None,
            };
            if let Some(error) = refused {
                let _ = answer.send(Err(error)); // who asked has gone
                continue;
            }
            let position = last.next();
            match self.admit(position, &batch) {
                Err(error) => drop(answer.send(Err(error))),
                Ok(rejected) if rejected.len() == batch.entries.len() => {
                    let appended = Appended { position: last, rejected };
                    written.push(Written { answer, appended });
                }
                Ok(rejected) => {
                    let left = batch.entries.iter().enumerate();
                    let entries = left.filter(|(at, _)| rejected.iter().all(|(no, _)| no != at));
                    let entries = entries.map(|(_, entry)| entry.clone()).collect();
                    batches.push(Batch { entries, ..batch });
                    written.push(Written { answer, appended: Appended { position, rejected } });
                    if batches.len() == BATCHES_A_RECORD || self.chance.permille(500) {
                        close(&mut batches, &mut last, &mut in_flight, &mut checksum);
                    }
                }
            }
        }
        close(&mut batches, &mut last, &mut in_flight, &mut checksum);
        if written.is_empty() {
            return None;
        }
        self.in_flight = Some(in_flight);
        let (usual, longest) = self.weather.sync_ms;
        Some((written, self.chance.span(usual, longest)))
    }

    fn admit(
        &mut self,
        position: Position,
        batch: &Batch,
    ) -> Result<Vec<(usize, Rejection)>, JournalError> {
        let mut batch = batch.clone();
        if self.flaws.stale_writes
            && let Some(owner) = self.owners.get(&batch.shard)
        {
            batch.epoch = *owner;
        }
        self.admission.admit(position, &batch, &mut self.shelf)
    }

    /// What this opening has written is durable, or nobody knows.
    fn sync(&mut self, opening: u64) -> Result<(), JournalError> {
        let Some(in_flight) = self.in_flight.take_if(|group| group.opening == opening) else {
            let what = "another writer died meanwhile".to_owned();
            return Err(JournalError::Broken { what });
        };
        let fails = std::mem::take(&mut self.weather.sync_fails);
        if fails {
            // It may have reached the disk all the same, and is found there after a restart.
            let whole = self.chance.below(in_flight.records.len() as u64 + 1) as usize;
            self.settle(&in_flight, whole);
            self.admit_anew();
            let what = "a sync failed on the simulated disk".to_owned();
            self.broken = Some(what.clone());
            return Err(JournalError::Broken { what });
        }
        self.settle(&in_flight, in_flight.records.len());
        self.admission.commit();
        Ok(())
    }
}
