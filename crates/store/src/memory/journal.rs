//! The journal in memory.

use std::future::ready;
use std::sync::MutexGuard;

use super::{Content, Disk, Fault, KeptRecord};
use crate::{
    Appended, BATCH_BYTES_MAX, Batch, BoxFuture, ClaimKey, Cursor, Epoch, Holder, Journal,
    JournalError, JournalSize, Position, REPLAY_BYTES, Record, ShardId,
};

pub(super) struct MemoryJournal {
    pub(super) disk: Disk,
    pub(super) opening: u64,
}

impl MemoryJournal {
    fn with<'a, T: Send + 'a>(
        &self,
        work: impl FnOnce(&mut Content) -> Result<T, JournalError>,
    ) -> BoxFuture<'a, Result<T, JournalError>> {
        Box::pin(ready(self.open_content().and_then(|mut content| work(&mut content))))
    }

    fn open_content(&self) -> Result<MutexGuard<'_, Content>, JournalError> {
        let content = self.disk.content();
        if content.closed || content.opening != self.opening {
            return Err(JournalError::Closed);
        }
        Ok(content)
    }

    fn with_writable<'a, T: Send + 'a>(
        &self,
        work: impl FnOnce(&mut Content) -> Result<T, JournalError>,
    ) -> BoxFuture<'a, Result<T, JournalError>> {
        self.with(|content| match &content.broken {
            Some(what) => Err(JournalError::Broken { what: what.clone() }),
            None => work(content),
        })
    }
}

impl Journal for MemoryJournal {
    fn acquire(&self, shard: ShardId) -> BoxFuture<'_, Result<Epoch, JournalError>> {
        self.with_writable(|content| {
            let epoch = content.admission.acquire(shard);
            content.admission.commit();
            content.owners.insert(shard, epoch);
            Ok(epoch)
        })
    }

    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Appended, JournalError>> {
        self.with_writable(|content| content.append(batch))
    }

    fn claim_holder(&self, key: ClaimKey) -> BoxFuture<'_, Result<Option<Holder>, JournalError>> {
        self.with(|content| content.admission.holder(&key, &mut content.archive))
    }

    fn replay(&self, after: Position) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        self.with(|content| {
            if after < content.cut {
                return Err(JournalError::Cut { asked: after, cut: content.cut });
            }
            let mut bytes = 0;
            let page = content.records.range(after.next()..).take_while(|(_, kept)| {
                let before = bytes;
                bytes += kept.bytes;
                before < REPLAY_BYTES as u64
            });
            Ok(page.map(|(_, kept)| kept.record.clone()).collect())
        })
    }

    fn cut(&self, up_to: Position) -> BoxFuture<'_, Result<Position, JournalError>> {
        self.with_writable(|content| {
            let cursors = content.cursors.values().copied();
            let limit = cursors.fold(content.archive.position, Position::min);
            content.cut = content.cut.max(up_to.min(limit));
            content.records = content.records.split_off(&content.cut.next());
            Ok(content.cut)
        })
    }

    fn size(&self) -> JournalSize {
        let content = self.disk.content();
        JournalSize {
            records: content.records.len() as u64,
            bytes: content.records.values().map(|kept| kept.bytes).sum(),
            cut: content.cut,
            last: content.last,
        }
    }

    fn cursor(&self, name: &str) -> BoxFuture<'_, Result<Position, JournalError>> {
        let name = name.to_owned();
        self.with_writable(|content| Ok(*content.cursors.entry(name).or_insert(content.cut)))
    }

    fn advance(&self, name: &str, to: Position) -> BoxFuture<'_, Result<(), JournalError>> {
        let name = name.to_owned();
        self.with_writable(|content| {
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
        self.with_writable(|content| {
            content.cursors.remove(&name);
            Ok(())
        })
    }

    fn cursors(&self) -> BoxFuture<'_, Result<Vec<Cursor>, JournalError>> {
        self.with(|content| {
            let cursors = content.cursors.iter();
            Ok(cursors.map(|(name, at)| Cursor { name: name.clone(), position: *at }).collect())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        if let Ok(mut content) = self.open_content() {
            content.closed = true;
        }
        Box::pin(ready(()))
    }
}

impl Content {
    fn append(&mut self, mut batch: Batch) -> Result<Appended, JournalError> {
        let bytes = batch.bytes();
        if bytes > BATCH_BYTES_MAX {
            return Err(JournalError::TooLarge { bytes, bytes_max: BATCH_BYTES_MAX });
        }
        let position = self.last.next();
        let rejected = self.admission.admit(position, &batch, &mut self.archive)?;
        if rejected.len() == batch.entries.len() {
            return Ok(Appended { position: self.last, rejected });
        }
        let fault = self.fault(&[Fault::JournalFull, Fault::Torn, Fault::Unanswered]);
        if matches!(fault, Some(Fault::JournalFull | Fault::Torn)) {
            self.admission.roll_back();
        }
        match fault {
            Some(Fault::JournalFull) => {
                return Err(JournalError::Full { what: "as a test wants it".to_owned() });
            }
            Some(Fault::Torn) => return Err(self.break_down("a write, as a test wants it")),
            _ => self.admission.commit(),
        }
        let mut index = 0;
        batch.entries.retain(|_| {
            let kept = rejected.iter().all(|(at, _)| *at != index);
            index += 1;
            kept
        });
        let record = Record { position, batches: vec![batch] };
        self.records.insert(position, KeptRecord { record, bytes: bytes as u64 });
        self.last = position;
        match fault {
            Some(_) => Err(self.break_down("a sync, as a test wants it")),
            None => Ok(Appended { position, rejected }),
        }
    }

    fn break_down(&mut self, what: &str) -> JournalError {
        self.broken = Some(what.to_owned());
        JournalError::Broken { what: what.to_owned() }
    }
}
