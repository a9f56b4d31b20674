//! What a journal lets in: the current owner of a shard, the next events of a saga, keys that
//! nobody else holds.
//!
//! A store with one writer keeps an [`Admission`] in memory for what the catalog does not hold
//! yet, and asks the catalog for the rest. It is staged: what a group commit took is kept when
//! the sync came through, and taken back when it did not.

use std::collections::{HashMap, HashSet};

use crate::{
    Batch, CatalogError, Claim, ClaimKey, ClaimKind, Entry, Epoch, Holder, JournalError, Position,
    Record, Rejection, ShardId,
};

/// What the catalog knows, for what is no longer in memory.
pub trait Archived {
    /// The last event held of a saga; `None` when there is none.
    fn seq(&mut self, saga: u128) -> Result<Option<u64>, JournalError>;

    /// Who holds a key.
    fn holder(&mut self, key: &ClaimKey) -> Result<Option<Holder>, JournalError>;
}

/// Who may write what next.
#[derive(Debug, Default)]
pub struct Admission {
    epochs: HashMap<ShardId, Epoch>,
    sagas: HashMap<u128, Moved>,
    claims: HashMap<ClaimKey, Claimed>,
    retiring: HashSet<u128>,
    staged: Vec<Undo>,
}

/// A saga that moved after the catalog's place.
#[derive(Clone, Copy, Debug)]
struct Moved {
    seq: u64,
    position: Position,
    /// The last event the catalog is known to hold.
    saved: u64,
    /// The first record after that, as far as is known, and the last of its events. One that lies
    /// between it and the last record is not kept: a row is the whole saga as it stood.
    first: (Position, u64),
}

impl Moved {
    /// One more record, which ends with this event.
    fn on(known: Option<Self>, position: Position, seq: u64, saved: u64) -> Self {
        let before = known.filter(|moved| moved.saved < moved.seq);
        Self { seq, position, saved, first: before.map_or((position, seq), |moved| moved.first) }
    }

    /// How far a row must have come that is written up to this position.
    fn seq_at(&self, position: Position) -> Option<u64> {
        let (first, first_seq) = self.first;
        if self.position <= position {
            Some(self.seq)
        } else {
            (first <= position).then_some(first_seq)
        }
    }

    /// The catalog holds it up to this event.
    fn save(&mut self, seq: u64) {
        self.saved = self.saved.max(seq);
        if self.saved >= self.first.1 {
            self.first = (self.position, self.seq);
        }
    }
}

/// A key that changed hands after the catalog last took the claims in.
#[derive(Clone, Debug)]
struct Claimed {
    /// `None` when it was let go.
    holder: Option<Holder>,
    position: Position,
    /// The catalog may say otherwise, and has to be corrected.
    archived: bool,
}

#[derive(Debug)]
enum Undo {
    Epoch(ShardId, Option<Epoch>),
    Saga(u128, Option<Moved>),
    Claim(ClaimKey, Option<Claimed>),
}

/// What a checkpoint has to write beside its rows.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// The keys that changed hands, sorted.
    pub claims: Vec<SettledClaim>,
    /// The journal's end when this was said.
    as_of: Position,
}

/// A key that changed hands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SettledClaim {
    /// The key.
    pub key: ClaimKey,
    /// Who holds it now.
    pub holder: Option<Holder>,
    /// Whether the catalog may have another holder, which must be taken out first. Of most keys
    /// it has never heard, and need not look for them.
    pub archived: bool,
}

impl Admission {
    /// Takes in a shard's owner, read back from the disk.
    pub fn restore_epoch(&mut self, shard: ShardId, epoch: Epoch) {
        self.epochs.insert(shard, epoch);
    }

    /// Takes in a durable record that the catalog does not hold.
    pub fn restore(
        &mut self,
        record: &Record,
        archive: &mut dyn Archived,
    ) -> Result<(), JournalError> {
        for entry in record.batches.iter().flat_map(|batch| &batch.entries) {
            let known = self.sagas.get(&entry.saga).copied();
            let moved = Moved::on(known, record.position, entry.events.last_seq(), 0);
            self.sagas.insert(entry.saga, moved);
            self.move_keys(entry, record.position, archive, true)?;
        }
        self.staged.clear();
        Ok(())
    }

    /// Makes a new owner of a shard.
    pub fn acquire(&mut self, shard: ShardId) -> Epoch {
        let old = self.epochs.get(&shard).copied();
        let epoch = Epoch(old.map_or(1, |epoch| epoch.0 + 1));
        self.epochs.insert(shard, epoch);
        self.staged.push(Undo::Epoch(shard, old));
        epoch
    }

    /// Lets a batch into the record at `position`, or refuses it whole. Answers the entries that
    /// must be left out.
    pub fn admit(
        &mut self,
        position: Position,
        batch: &Batch,
        archive: &mut dyn Archived,
    ) -> Result<Vec<(usize, Rejection)>, JournalError> {
        let savepoint = self.staged.len();
        let admitted = self.admit_entries(position, batch, archive);
        if admitted.is_err() {
            self.roll_back_to(savepoint);
        }
        admitted
    }

    fn admit_entries(
        &mut self,
        position: Position,
        batch: &Batch,
        archive: &mut dyn Archived,
    ) -> Result<Vec<(usize, Rejection)>, JournalError> {
        let current = self.epochs.get(&batch.shard).copied().unwrap_or(Epoch(0));
        if batch.epoch != current {
            let (shard, stale) = (batch.shard, batch.epoch);
            return Err(JournalError::StaleOwner { shard, stale, current });
        }
        let mut rejected: Vec<(usize, Rejection)> = Vec::new();
        for (index, entry) in batch.entries.iter().enumerate() {
            let of_same_saga = |(at, _): &&(usize, _)| batch.entries[*at].saga == entry.saga;
            if let Some((_, rejection)) = rejected.iter().find(of_same_saga) {
                let rejection = rejection.clone();
                rejected.push((index, rejection));
            } else if let Some(rejection) = self.admit_entry(position, entry, archive)? {
                rejected.push((index, rejection));
            }
        }
        Ok(rejected)
    }

    fn admit_entry(
        &mut self,
        position: Position,
        entry: &Entry,
        archive: &mut dyn Archived,
    ) -> Result<Option<Rejection>, JournalError> {
        let (saga, events) = (entry.saga, &entry.events);
        if events.count == 0 || events.first_seq.checked_add(events.count.into()).is_none() {
            let what = format!(
                "{} events of saga {saga:032x} from number {}",
                events.count, events.first_seq
            );
            return Err(JournalError::Malformed { what });
        }
        let known = self.sagas.get(&saga).copied();
        let held = match known {
            Some(moved) => moved.seq,
            None if self.retiring.contains(&saga) => 0,
            None => archive.seq(saga)?.unwrap_or(0),
        };
        if events.first_seq != held + 1 {
            let (expected, got) = (held + 1, events.first_seq);
            return Err(JournalError::OutOfSequence { saga, expected, got });
        }
        for claim in &entry.claims {
            match self.holder(&claim.key, archive)? {
                Some(Holder { saga, payload_hash }) if saga != entry.saga => {
                    let kind = claim.key.kind;
                    return Ok(Some(Rejection::Claimed { kind, saga, payload_hash }));
                }
                _ => {}
            }
        }
        let saved = known.map_or(held, |moved| moved.saved);
        self.sagas.insert(saga, Moved::on(known, position, events.last_seq(), saved));
        self.staged.push(Undo::Saga(saga, known));
        self.move_keys(entry, position, archive, false)?;
        Ok(None)
    }

    /// Gives an entry that is let in the keys it claims, then frees those it releases.
    fn move_keys(
        &mut self,
        entry: &Entry,
        position: Position,
        archive: &mut dyn Archived,
        is_restoring: bool,
    ) -> Result<(), JournalError> {
        for Claim { key, payload_hash } in &entry.claims {
            let holder = Holder { saga: entry.saga, payload_hash: *payload_hash };
            // The catalog was asked before and knows of no other holder.
            self.hand_over(key, Some(holder), position, is_restoring);
        }
        for key in entry.releases.iter().filter(|key| key.kind == ClaimKind::Business) {
            let holder = self.holder(key, archive)?;
            if holder.is_some_and(|holder| holder.saga == entry.saga) {
                self.hand_over(key, None, position, true);
            }
        }
        Ok(())
    }

    /// `archived` counts for a key that is not in memory.
    fn hand_over(
        &mut self,
        key: &ClaimKey,
        holder: Option<Holder>,
        position: Position,
        archived: bool,
    ) {
        let archived = self.claims.get(key).map_or(archived, |claimed| claimed.archived);
        let old = self.claims.insert(key.clone(), Claimed { holder, position, archived });
        self.staged.push(Undo::Claim(key.clone(), old));
    }

    /// Who holds a key, staged facts included.
    pub fn holder(
        &self,
        key: &ClaimKey,
        archive: &mut dyn Archived,
    ) -> Result<Option<Holder>, JournalError> {
        match self.claims.get(key) {
            Some(claimed) => Ok(claimed.holder.clone()),
            None => archive.holder(key),
        }
    }

    /// What was staged is durable.
    pub fn commit(&mut self) {
        self.staged.clear();
    }

    /// What was staged is not on the disk.
    pub fn roll_back(&mut self) {
        self.roll_back_to(0);
    }

    fn roll_back_to(&mut self, savepoint: usize) {
        fn put_back<K: std::hash::Hash + Eq, V>(map: &mut HashMap<K, V>, key: K, old: Option<V>) {
            match old {
                Some(old) => map.insert(key, old),
                None => map.remove(&key),
            };
        }
        for undo in self.staged.drain(savepoint..).rev() {
            match undo {
                Undo::Epoch(shard, old) => put_back(&mut self.epochs, shard, old),
                Undo::Saga(saga, old) => put_back(&mut self.sagas, saga, old),
                Undo::Claim(key, old) => put_back(&mut self.claims, key, old),
            }
        }
    }

    /// Which of these sagas the catalog may delete: those that have not moved after its place.
    /// From now on they are gone, so that nothing is added to them while they are being deleted.
    pub fn retire(&mut self, sagas: impl IntoIterator<Item = u128>) -> Vec<u128> {
        let unmoved = |saga: &u128| !self.sagas.contains_key(saga);
        let retired: Vec<u128> = sagas.into_iter().filter(unmoved).collect();
        self.retiring.extend(&retired);
        retired
    }

    /// Those that were to be deleted are, or have stayed: the catalog tells.
    pub fn retired(&mut self) {
        self.retiring.clear();
    }

    /// Judges a checkpoint that brings these (saga, seq) up to `position`, with nothing staged and
    /// the journal's end at `last`: it must leave nothing out and know nothing more.
    pub fn settle(
        &self,
        position: Position,
        last: Position,
        rows: &HashMap<u128, u64>,
        archive: &mut dyn Archived,
    ) -> Result<Settled, CatalogError> {
        let unreadable = |error: JournalError| CatalogError::Broken { what: error.to_string() };
        let ahead = |what: String| CatalogError::Ahead { what, durable: last };
        if position > last {
            return Err(ahead(format!("everything up to {position}")));
        }
        for (saga, seq) in rows {
            let durable = match self.sagas.get(saga) {
                Some(moved) => moved.seq,
                None => archive.seq(*saga).map_err(unreadable)?.unwrap_or(0),
            };
            if *seq > durable {
                return Err(ahead(format!("event {seq} of saga {saga:032x} after {durable}")));
            }
        }
        let brought = |saga: &u128| rows.get(saga).copied();
        let mut left_out: Option<(u128, u64)> = None;
        for (saga, moved) in &self.sagas {
            let Some(seq) = moved.seq_at(position) else { continue };
            let saved = moved.saved.max(brought(saga).unwrap_or(0));
            if saved < seq
                && left_out.is_none_or(|(least, _)| *saga < least)
                && archive.seq(*saga).map_err(unreadable)?.unwrap_or(0) < seq
            {
                left_out = Some((*saga, seq));
            }
        }
        if let Some((saga, seq)) = left_out {
            return Err(CatalogError::Incomplete { position, saga, seq });
        }
        let has_row = |saga: &u128| {
            brought(saga).is_some() || self.sagas.get(saga).is_some_and(|moved| moved.saved > 0)
        };
        let mut claims: Vec<SettledClaim> = self
            .claims
            .iter()
            .filter(|(_, claimed)| {
                claimed.position <= position
                    || claimed.holder.as_ref().is_none_or(|holder| has_row(&holder.saga))
            })
            .map(|(key, claimed)| SettledClaim {
                key: key.clone(),
                holder: claimed.holder.clone(),
                archived: claimed.archived,
            })
            .collect();
        claims.sort_unstable();
        Ok(Settled { claims, as_of: last })
    }

    /// The checkpoint that was judged is durable, and the catalog's place is now `position`.
    pub fn forget(&mut self, position: Position, rows: &HashMap<u128, u64>, settled: &Settled) {
        for (saga, seq) in rows {
            if let Some(moved) = self.sagas.get_mut(saga) {
                moved.save(*seq);
            }
        }
        self.sagas.retain(|_, moved| moved.position > position);
        for SettledClaim { key, .. } in &settled.claims {
            match self.claims.get_mut(key) {
                Some(claimed) if claimed.position <= settled.as_of => {
                    self.claims.remove(key);
                }
                // It changed hands again, and the catalog has just been told the earlier holder.
                Some(claimed) => claimed.archived = true,
                None => {}
            }
        }
    }
}
