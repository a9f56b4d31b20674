//! The journal that makes mistakes.

use amends_store::{
    Appended, Batch, BoxFuture, ClaimKey, ClaimKind, Cursor, Epoch, Holder, Journal, JournalError,
    JournalSize, Position, Record, ShardId,
};

use crate::mistake::{Mistake, Shared};

/// See the module.
pub struct MistakenJournal(pub Shared);

impl Journal for MistakenJournal {
    fn acquire(&self, shard: ShardId) -> BoxFuture<'_, Result<Epoch, JournalError>> {
        Box::pin(async move {
            let epoch = self.0.inner.journal.acquire(shard).await?;
            let before = self.0.memory().epochs.insert(shard, epoch.0);
            if self.0.makes(Mistake::RestartsEpochs) && before.is_none() {
                return Ok(Epoch(1));
            }
            if self.0.makes(Mistake::GivesAnEpochTwice) {
                return Ok(Epoch(epoch.0.div_ceil(2)));
            }
            Ok(epoch)
        })
    }

    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Appended, JournalError>> {
        Box::pin(self.appended(batch))
    }

    fn claim_holder(&self, key: ClaimKey) -> BoxFuture<'_, Result<Option<Holder>, JournalError>> {
        Box::pin(async move {
            let holder = self.0.inner.journal.claim_holder(key.clone()).await?;
            let mut memory = self.0.memory();
            let forgets = self.0.makes(Mistake::ForgetsClaimsAtReopening);
            let releases = self.0.makes(Mistake::ReleasesIdempotencyKeys);
            if (forgets && memory.forgotten.contains(&key))
                || (releases && memory.released.contains(&key))
            {
                return Ok(None);
            }
            match &holder {
                Some(holder) => drop(memory.holders.insert(key, holder.clone())),
                None if self.0.makes(Mistake::KeepsKeysOfTheDeleted) => {
                    return Ok(memory.holders.get(&key).cloned());
                }
                None => {}
            }
            Ok(holder)
        })
    }

    fn replay(&self, after: Position) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        Box::pin(async move {
            let journal = &self.0.inner.journal;
            let size = journal.size();
            let mut after = after;
            if self.0.makes(Mistake::ReplaysOverTheCut) {
                after = after.max(size.cut);
            }
            if self.0.makes(Mistake::ReplaysTheFirstAgain) && after > size.cut.next() {
                after = Position(after.0 - 1);
            }
            let mut records = journal.replay(after).await?;
            if self.0.makes(Mistake::ReplaysBackwards) {
                records.reverse();
            }
            if self.0.makes(Mistake::ReadsFromBeforeTheCommit) {
                records.retain(|record| record.position < size.last);
            }
            if self.0.makes(Mistake::LosesTheLastRecord) {
                let hidden = self.0.memory().hidden;
                records.retain(|record| Some(record.position) != hidden);
            }
            Ok(records)
        })
    }

    fn cut(&self, up_to: Position) -> BoxFuture<'_, Result<Position, JournalError>> {
        Box::pin(async move {
            let journal = &self.0.inner.journal;
            if !self.0.makes(Mistake::CutsPastCursors) {
                return journal.cut(up_to).await;
            }
            let cursors = journal.cursors().await?;
            for cursor in &cursors {
                journal.forget(&cursor.name).await?;
            }
            let cut = journal.cut(up_to).await;
            for Cursor { name, position } in cursors {
                journal.advance(&name, position.max(journal.size().cut)).await?;
            }
            cut
        })
    }

    fn size(&self) -> JournalSize {
        let size = self.0.inner.journal.size();
        if self.0.makes(Mistake::CountsCutRecords) {
            return JournalSize { records: self.0.memory().records, ..size };
        }
        size
    }

    fn cursor(&self, name: &str) -> BoxFuture<'_, Result<Position, JournalError>> {
        let name = name.to_owned();
        Box::pin(async move {
            let journal = &self.0.inner.journal;
            let known = journal.cursors().await?.iter().any(|cursor| cursor.name == name);
            if self.0.makes(Mistake::StartsCursorsAtTheEnd) && !known {
                journal.advance(&name, journal.size().last).await?;
            }
            journal.cursor(&name).await
        })
    }

    fn advance(&self, name: &str, to: Position) -> BoxFuture<'_, Result<(), JournalError>> {
        let name = name.to_owned();
        Box::pin(async move {
            match self.0.inner.journal.advance(&name, to).await {
                Err(JournalError::CursorMisplaced { held, asked, .. })
                    if self.0.makes(Mistake::LetsACursorGoBack) && asked < held =>
                {
                    Ok(())
                }
                answer => answer,
            }
        })
    }

    fn forget(&self, name: &str) -> BoxFuture<'_, Result<(), JournalError>> {
        self.0.inner.journal.forget(name)
    }

    fn cursors(&self) -> BoxFuture<'_, Result<Vec<Cursor>, JournalError>> {
        self.0.inner.journal.cursors()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.close_journal())
    }
}

impl MistakenJournal {
    async fn appended(&self, mut batch: Batch) -> Result<Appended, JournalError> {
        let journal = &self.0.inner.journal;
        if self.0.makes(Mistake::IgnoresTheEpoch)
            && let Some(epoch) = self.0.memory().epochs.get(&batch.shard)
        {
            batch.epoch = Epoch(*epoch);
        }
        if self.0.makes(Mistake::GivesAnEpochTwice)
            && let Some(epoch) = self.0.memory().epochs.get(&batch.shard)
            && batch.epoch.0 == epoch.div_ceil(2)
        {
            batch.epoch = Epoch(*epoch);
        }
        if self.0.makes(Mistake::RestartsEpochs)
            && batch.epoch == Epoch(1)
            && let Some(epoch) = self.0.memory().epochs.get(&batch.shard)
        {
            batch.epoch = Epoch(*epoch);
        }
        if self.0.makes(Mistake::ForgetsAnEntry) && batch.entries.len() > 1 {
            batch.entries.pop();
        }
        if self.0.makes(Mistake::NeverReleases) {
            batch.entries.iter_mut().for_each(|entry| entry.releases.clear());
        }
        for entry in &batch.entries {
            let keys = entry.releases.iter().filter(|key| key.kind == ClaimKind::Idempotency);
            self.0.memory().released.extend(keys.cloned());
            let claims = entry.claims.iter().map(|claim| claim.key.clone());
            self.0.memory().claimed.extend(claims);
        }
        let before = journal.size().last;
        let drops = self.0.makes(Mistake::DropsTheBatchOfARejection);
        let rejected = if drops { self.would_reject(&batch).await? } else { None };
        let answer = match rejected {
            Some(rejected) => Ok(rejected),
            None => journal.append(batch.clone()).await,
        };
        if journal.size().last > before {
            self.0.memory().records += 1;
        }
        match answer {
            Err(JournalError::OutOfSequence { expected, got, .. })
                if self.0.makes(Mistake::TakesWhatARepeatBrings) && got < expected =>
            {
                Ok(Appended { position: before, rejected: Vec::new() })
            }
            Err(JournalError::TooLarge { .. }) if self.0.makes(Mistake::TakesAnyBatch) => {
                Ok(Appended { position: before, rejected: Vec::new() })
            }
            answer => answer,
        }
    }

    /// What the answer would be, if a key is held already: all of it without the entries.
    async fn would_reject(&self, batch: &Batch) -> Result<Option<Appended>, JournalError> {
        for (at, entry) in batch.entries.iter().enumerate() {
            for claim in &entry.claims {
                let key = claim.key.clone();
                let kind = key.kind;
                if let Some(Holder { saga, payload_hash }) =
                    self.0.inner.journal.claim_holder(key).await?
                    && saga != entry.saga
                {
                    let rejection = amends_store::Rejection::Claimed { kind, saga, payload_hash };
                    let position = self.0.inner.journal.size().last;
                    return Ok(Some(Appended { position, rejected: vec![(at, rejection)] }));
                }
            }
        }
        Ok(None)
    }
}
