//! A store and the one in memory, of which the same is asked.

use std::collections::BTreeMap;

use super::op::{Flaw, NAMES, Op, Owner, Part, Phase, Place, Row};
use super::reading::{everything, in_words};
use super::{Compared, Difference};
use crate::conformance::{Installation, block_on};
use crate::memory::Disk;
use crate::{
    Appended, Audit, Batch, Checkpoint, Checkpointed, Claim, ClaimKey, ClaimKind, Definition,
    Entry, Epoch, Events, Orphan, Position, Quarantine, SagaRow, ShardId, Store,
};

/// Farther apart than there are sagas.
const EXPIRY_STEP: u64 = 10;

/// The identity of a saga.
pub(super) fn saga_id(saga: u8) -> u128 {
    0x0199_c3f1_2ab4_7000_8000_0000_0000_0000 + u128::from(saga)
}

/// A key.
pub(super) fn key(kind: ClaimKind, n: u8) -> ClaimKey {
    ClaimKey { kind, scope: "Order".into(), key: format!("key-{n}").into() }
}

fn shard_of(saga: u8) -> ShardId {
    ShardId((saga % super::op::SHARDS).into())
}

/// What an engine would know, learned from the store in memory.
#[derive(Default)]
struct Known {
    owners: BTreeMap<ShardId, Epoch>,
    sagas: BTreeMap<u8, KnownSaga>,
    /// Counted up at every operation, so that no two bring the same.
    moment: u64,
}

#[derive(Clone, Default)]
struct KnownSaga {
    /// In the journal.
    seq: u64,
    /// In the catalog.
    saved: u64,
    business_key: Option<u8>,
}

/// Both stores.
pub(super) struct Twins<'a> {
    installation: &'a dyn Installation,
    disk: Disk,
    subject: Store,
    reference: Store,
    known: Known,
}

impl<'a> Twins<'a> {
    /// Does all operations to both, and compares after each.
    pub(super) fn compare(
        installation: &'a dyn Installation,
        operations: &[Op],
    ) -> Result<Compared, Difference> {
        block_on(async {
            let disk = Disk::new();
            let reference = disk.open();
            let subject = installation.open().await;
            let known = Known::default();
            let mut twins = Self { installation, disk, subject, reference, known };
            let mut compared = Compared { cases: 1, ..Compared::default() };
            let differs = |at: usize, question: &str, expected, found| Difference {
                operations: operations[..=at].to_vec(),
                question: question.to_owned(),
                expected,
                found,
            };
            for (at, op) in operations.iter().enumerate() {
                let (expected, found) = twins.perform(op).await;
                compared.operations += 1;
                if expected != found {
                    let question = "the last operation, for its answer";
                    return Err(differs(at, question, expected, found));
                }
                let expected = everything(&twins.reference).await;
                let found = everything(&twins.subject).await;
                for ((question, expected), (_, found)) in expected.into_iter().zip(found) {
                    compared.readings += 1;
                    if expected != found {
                        return Err(differs(at, &question, expected, found));
                    }
                }
            }
            twins.subject.close().await;
            Ok(compared)
        })
    }

    /// Asks both, the store in memory first.
    async fn both(&self, ask: impl AsyncFn(&Store) -> String) -> (String, String) {
        (ask(&self.reference).await, ask(&self.subject).await)
    }

    async fn perform(&mut self, op: &Op) -> (String, String) {
        self.known.moment += 1;
        let moment = self.known.moment;
        let end = self.reference.journal.size().last;
        let back = |back: u64| Position(end.0.saturating_sub(back));
        match op.clone() {
            Op::Acquire { shard } => self.acquire(ShardId(shard.into())).await,
            Op::Append { shard, owner, entries } => {
                self.append(ShardId(shard.into()), owner, &entries).await
            }
            Op::Checkpoint { rows, place } => self.checkpoint(&rows, place).await,
            Op::Reopen => self.reopen().await,
            Op::Cut { back: by } => {
                self.both(async |store| in_words(store.journal.cut(back(by)).await)).await
            }
            Op::Cursor { name } => {
                let name = NAMES[usize::from(name)];
                self.both(async |store| in_words(store.journal.cursor(name).await)).await
            }
            Op::Advance { name, back: by, beyond } => {
                let name = NAMES[usize::from(name)];
                let to = if beyond { end.next() } else { back(by) };
                self.both(async |store| in_words(store.journal.advance(name, to).await)).await
            }
            Op::Forget { name } => {
                let name = NAMES[usize::from(name)];
                self.both(async |store| in_words(store.journal.forget(name).await)).await
            }
            Op::Expire { now, limit } => {
                let now = now * EXPIRY_STEP;
                let ask = async |store: &Store| in_words(store.catalog.expire(now, limit).await);
                let answers = self.both(ask).await;
                self.forget_the_deleted().await;
                answers
            }
            Op::Quarantine { saga, attention, stuck_at } => {
                let reason = format!("unreadable {moment}");
                let quarantine = Quarantine { reason, attention, stuck_at };
                self.both(async |store| {
                    in_words(store.catalog.quarantine(saga_id(saga), quarantine.clone()).await)
                })
                .await
            }
            Op::PutDefinition { saga_type, version, content } => {
                let definition = Definition {
                    saga_type: type_of(saga_type).into(),
                    version,
                    hash: [content; 32],
                    source: vec![content; 3].into(),
                    created_at: moment,
                };
                self.both(async |store| {
                    in_words(store.catalog.put_definition(definition.clone()).await)
                })
                .await
            }
            Op::PutNote { name, text } => {
                let (name, note) = (NAMES[usize::from(name)], bytes::Bytes::from(vec![text; 4]));
                self.both(async |store| in_words(store.catalog.put_note(name, note.clone()).await))
                    .await
            }
            Op::PutOrphan { saga } => {
                let orphan = Orphan {
                    received_at: moment,
                    saga: saga_id(saga),
                    source: "a callback".to_owned(),
                    reply: format!("reply {moment}").into(),
                };
                self.both(async |store| in_words(store.catalog.put_orphan(orphan.clone()).await))
                    .await
            }
            Op::RemoveOrphan { number } => {
                self.both(async |store| in_words(store.catalog.remove_orphan(number).await)).await
            }
            Op::AppendAudit { saga } => {
                let audit = Audit {
                    at: moment,
                    actor: "ada".to_owned(),
                    action: "skip".to_owned(),
                    saga: saga.map(saga_id),
                    detail: format!("reason {moment}").into(),
                };
                self.both(async |store| in_words(store.catalog.append_audit(audit.clone()).await))
                    .await
            }
        }
    }

    async fn reopen(&mut self) -> (String, String) {
        self.subject.close().await;
        self.reference.close().await;
        // The old handles go before the new ones come: a process ends before the next begins.
        self.subject = self.reference.clone();
        self.subject = self.installation.open().await;
        self.reference = self.disk.open();
        (String::new(), String::new())
    }

    async fn acquire(&mut self, shard: ShardId) -> (String, String) {
        let expected = self.reference.journal.acquire(shard).await;
        if let Ok(epoch) = expected {
            self.known.owners.insert(shard, epoch);
        }
        (in_words(expected), in_words(self.subject.journal.acquire(shard).await))
    }

    async fn append(&mut self, shard: ShardId, owner: Owner, parts: &[Part]) -> (String, String) {
        if !self.known.owners.contains_key(&shard) {
            let (expected, found) = self.acquire(shard).await;
            if expected != found {
                return (expected, found);
            }
        }
        let current = self.known.owners.get(&shard).map_or(0, |epoch| epoch.0);
        let epoch = match owner {
            Owner::Current => current,
            Owner::Replaced => current.saturating_sub(1),
            Owner::MadeUp => current + 7,
        };
        let mut batch = Batch { shard, epoch: Epoch(epoch), entries: Vec::new() };
        let mut seqs: BTreeMap<u8, u64> = BTreeMap::new();
        // One reason to be refused, and no second.
        let mut flawless = owner != Owner::Current;
        for part in parts.iter().filter(|part| shard_of(part.saga) == shard) {
            let held = self.known.sagas.get(&part.saga).map_or(0, |known| known.seq);
            let seq = seqs.entry(part.saga).or_insert(held);
            let mut part = part.clone();
            if flawless {
                (part.count, part.off_by) = (part.count.max(1), 0);
            }
            if part.count == 0 {
                part.off_by = 0;
            }
            flawless |= part.count == 0 || part.off_by != 0;
            let entry = self.entry(&part, (*seq + 1).saturating_add_signed(part.off_by.into()));
            *seq += u64::from(part.count);
            batch.entries.push(entry);
        }
        let expected = self.reference.journal.append(batch.clone()).await;
        if let Ok(appended) = &expected {
            self.learn(&batch, appended);
        }
        (in_words(expected), in_words(self.subject.journal.append(batch).await))
    }

    fn entry(&self, part: &Part, first_seq: u64) -> Entry {
        let Part { saga, count, .. } = *part;
        let mut claims: Vec<Claim> = Vec::new();
        // A saga has one key of each kind at most, and takes them with its first event.
        for &(kind, n) in part.claims.iter().filter(|_| first_seq == 1) {
            if claims.iter().all(|claim| claim.key.kind != kind) {
                let mut payload_hash = [saga; 32];
                payload_hash[0] = self.known.moment as u8;
                claims.push(Claim { key: key(kind, n), payload_hash });
            }
        }
        let releases = part.releases.iter().map(|&(kind, n)| key(kind, n)).collect();
        Entry {
            saga: saga_id(saga),
            events: events(saga, first_seq, count.into()),
            claims,
            releases,
        }
    }

    fn learn(&mut self, batch: &Batch, appended: &Appended) {
        for (at, entry) in batch.entries.iter().enumerate() {
            if appended.rejected.iter().any(|(rejected, _)| *rejected == at) {
                continue;
            }
            let saga = (entry.saga - saga_id(0)) as u8;
            let known = self.known.sagas.entry(saga).or_default();
            known.seq = entry.events.last_seq();
            let business = entry.claims.iter().find(|claim| claim.key.kind == ClaimKind::Business);
            if let Some(claim) = business {
                known.business_key =
                    claim.key.key.strip_prefix("key-").and_then(|n| n.parse().ok());
            }
        }
    }

    async fn checkpoint(&mut self, rows: &[Row], place: Place) -> (String, String) {
        let end = self.reference.journal.size().last;
        let mut sagas: Vec<Checkpointed> = Vec::new();
        let mut flawed = place == Place::Beyond;
        for row in rows {
            let Some(known) = self.known.sagas.get(&row.saga).filter(|known| known.seq > 0) else {
                continue;
            };
            if sagas.iter().any(|there| there.row.saga == saga_id(row.saga)) {
                continue;
            }
            let mut row = row.clone();
            if flawed {
                row.flaw = Flaw::None;
            }
            flawed |= row.flaw != Flaw::None;
            let brought = brought(&row, known);
            if row.flaw == Flaw::Twice {
                sagas.push(brought.clone());
            }
            sagas.push(brought);
        }
        let position = match place {
            Place::Start => Position::START,
            Place::Beyond => end.next(),
            // A flaw alone is to be the reason.
            Place::Back(_) | Place::End if flawed => Position::START,
            Place::Back(by) => Position(end.0.saturating_sub(by)),
            Place::End => {
                for (saga, known) in &self.known.sagas {
                    let there = sagas.iter().position(|there| there.row.saga == saga_id(*saga));
                    let whole = there.is_some_and(|at| sagas[at].row.seq == known.seq);
                    if known.seq > known.saved && !whole {
                        there.map(|at| sagas.remove(at));
                        sagas.push(brought(&plain(*saga), known));
                    }
                }
                end
            }
        };
        let checkpoint = Checkpoint { position, sagas };
        let ask =
            async |store: &Store| in_words(store.catalog.checkpoint(checkpoint.clone()).await);
        let answers = self.both(ask).await;
        for (saga, known) in &mut self.known.sagas {
            let held = self.reference.catalog.read(saga_id(*saga)).await;
            known.saved = held.ok().flatten().map_or(0, |held| held.row.seq);
        }
        answers
    }

    /// A saga that was deleted may start anew.
    async fn forget_the_deleted(&mut self) {
        let mut deleted = Vec::new();
        for (saga, known) in &self.known.sagas {
            let held = self.reference.catalog.read(saga_id(*saga)).await;
            if known.saved > 0 && matches!(held, Ok(None)) {
                deleted.push(*saga);
            }
        }
        self.known.sagas.retain(|saga, _| !deleted.contains(saga));
    }
}

fn type_of(n: u8) -> &'static str {
    if n.is_multiple_of(2) { "Order" } else { "Trip" }
}

/// Bytes that tell every event from every other.
fn events(saga: u8, first_seq: u64, count: u32) -> Events {
    let all = first_seq..first_seq + u64::from(count);
    let text: String = all.map(|seq| format!("<{saga}/{seq}>")).collect();
    Events { first_seq, count, bytes: text.into() }
}

/// The row of a saga that runs.
fn plain(saga: u8) -> Row {
    Row {
        saga,
        behind: 0,
        flaw: Flaw::None,
        phase: Phase::Running,
        state: 1,
        paused: false,
        time: None,
        other_time: None,
        attention: 0,
        trouble: (false, false),
    }
}

fn brought(drawn: &Row, known: &KnownSaga) -> Checkpointed {
    let saga = drawn.saga;
    let seq = match drawn.flaw {
        Flaw::Ahead => known.seq + 1,
        // There must be a new event to leave out.
        Flaw::Gap => known.seq,
        _ => known.seq.saturating_sub(drawn.behind.into()).max(1),
    };
    let first_seq = match drawn.flaw {
        Flaw::Gap => known.saved + 2,
        // What is held already comes whole again.
        _ if seq < known.saved => 1,
        _ => known.saved + 1,
    };
    let count = (seq + 1).saturating_sub(first_seq) as u32;
    let over = drawn.phase == Phase::Over;
    let running = drawn.phase == Phase::Running;
    // No two expire at the same time: the contract does not say which of them goes first.
    let expires_at = drawn.other_time.filter(|_| over).map(|at| at * EXPIRY_STEP + u64::from(saga));
    let row = SagaRow {
        saga: saga_id(saga),
        shard: shard_of(saga),
        saga_type: type_of(saga / 2).into(),
        definition_version: 1,
        definition_hash: [saga / 2; 32],
        state: drawn.state,
        paused: drawn.paused,
        live: !over,
        seq,
        // Two of each moment.
        created_at: 1_000 + u64::from(saga / 2),
        updated_at: seq,
        ended_at: (!running).then_some(seq),
        due_at: drawn.time.filter(|_| !over),
        close_at: drawn.time.filter(|_| over).map(|at| at * EXPIRY_STEP),
        expires_at,
        business_key: known.business_key.map(|n| key(ClaimKind::Business, n).key),
        attention: drawn.attention,
        stuck_at: drawn.other_time.filter(|_| running),
        error: drawn.trouble.0.then(|| format!("refused at {seq}")),
        quarantined: drawn.trouble.1.then(|| "unreadable".to_owned()),
    };
    Checkpointed { row, events: events(saga, first_seq, count) }
}
