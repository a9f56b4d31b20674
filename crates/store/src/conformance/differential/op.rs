//! The operations, in small numbers: six sagas of two shards, three keys, two publishers. Few enough
//! that they meet.
//!
//! What a number stands for when its turn comes follows from what happened before, so that most
//! operations are ones that an engine would ask for; the others are refused, each for one reason
//! only, since a contract does not say which of two errors comes first.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::ClaimKind;

/// How many sagas there are.
pub(super) const SAGAS: u8 = 6;
/// How many shards own them.
pub(super) const SHARDS: u8 = 2;
/// How many keys of each kind there are.
pub(super) const KEYS: u8 = 3;
/// The publishers.
pub(super) const NAMES: [&str; 2] = ["kafka", "nats"];

/// One operation.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // each names a call of the contracts, and its fields the call's arguments
pub enum Op {
    Acquire { shard: u8 },
    Append { shard: u8, owner: Owner, entries: Vec<Part> },
    Cut { back: u64 },
    Cursor { name: u8 },
    Advance { name: u8, back: u64, beyond: bool },
    Forget { name: u8 },
    Checkpoint { rows: Vec<Row>, place: Place },
    Expire { now: u64, limit: usize },
    Quarantine { saga: u8, attention: u32, stuck_at: Option<u64> },
    PutDefinition { saga_type: u8, version: u32, content: u8 },
    PutNote { name: u8, text: u8 },
    PutOrphan { saga: u8 },
    RemoveOrphan { number: u64 },
    AppendAudit { saga: Option<u8> },
    Reopen,
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The last who acquired the shard; it is acquired where nobody has.
    Current,
    /// The one before.
    Replaced,
    /// One that was never given.
    MadeUp,
}

/// An entry of a batch.
#[derive(Clone, Debug)]
pub struct Part {
    /// Whose.
    pub saga: u8,
    /// How many events.
    pub count: u8,
    /// By how much its first event is not the next one.
    pub off_by: i8,
    /// What it claims, if it is a start.
    pub claims: Vec<(ClaimKind, u8)>,
    /// What it releases.
    pub releases: Vec<(ClaimKind, u8)>,
}

/// A row of a checkpoint.
#[derive(Clone, Debug)]
pub struct Row {
    /// Whose.
    pub saga: u8,
    /// How many events fewer than the journal has of it.
    pub behind: u8,
    /// What is wrong with it, if anything is.
    pub flaw: Flaw,
    /// Where it stands.
    pub phase: Phase,
    /// Its state.
    pub state: u8,
    /// It is paused.
    pub paused: bool,
    /// A time that it has.
    pub time: Option<u64>,
    /// Another.
    pub other_time: Option<u64>,
    /// What a person is needed for.
    pub attention: u32,
    /// It has an error, and cannot be read.
    pub trouble: (bool, bool),
}

/// What can be wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// It comes twice.
    Twice,
    /// Its events leave one out.
    Gap,
    /// It has an event more than the journal.
    Ahead,
}

/// Where a saga stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It runs.
    Running,
    /// It has ended and owes something.
    Owing,
    /// It has ended.
    Over,
}

/// Up to where a checkpoint says that it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: it is a part of one.
    Start,
    /// So far back from the end, with the sagas that it draws, which may be too few.
    Back(u64),
    /// To the end, with every saga that moved.
    End,
    /// Past the end.
    Beyond,
}

/// Sequences of up to so many.
pub(super) fn sequences(operations_max: usize) -> impl Strategy<Value = Vec<Op>> {
    vec(op(), 1..=operations_max)
}

fn op() -> impl Strategy<Value = Op> {
    let name = || 0..NAMES.len() as u8;
    let back = || 0..4_u64;
    let owner = prop_oneof![
        12 => Just(Owner::Current),
        1 => Just(Owner::Replaced),
        1 => Just(Owner::MadeUp),
    ];
    let place = prop_oneof![
        2 => Just(Place::Start),
        2 => back().prop_map(Place::Back),
        5 => Just(Place::End),
        1 => Just(Place::Beyond),
    ];
    prop_oneof![
        1 => (0..SHARDS).prop_map(|shard| Op::Acquire { shard }),
        12 => (0..SHARDS, owner, vec(part(), 1..4))
            .prop_map(|(shard, owner, entries)| Op::Append { shard, owner, entries }),
        3 => back().prop_map(|back| Op::Cut { back }),
        1 => name().prop_map(|name| Op::Cursor { name }),
        2 => (name(), back(), prop::bool::weighted(0.1))
            .prop_map(|(name, back, beyond)| Op::Advance { name, back, beyond }),
        1 => name().prop_map(|name| Op::Forget { name }),
        9 => (vec(row(), 0..5), place).prop_map(|(rows, place)| Op::Checkpoint { rows, place }),
        6 => (2..7_u64, 1..3_usize).prop_map(|(now, limit)| Op::Expire { now, limit }),
        1 => (0..SAGAS, any::<bool>(), prop::option::of(0..6_u64)).prop_map(
            |(saga, needs, stuck_at)| Op::Quarantine { saga, attention: u32::from(needs) << 31, stuck_at }
        ),
        2 => (0..2_u8, 1..3_u32, prop_oneof![4 => Just(0_u8), 1 => Just(1_u8)])
            .prop_map(|(saga_type, version, content)| Op::PutDefinition { saga_type, version, content }),
        1 => (0..2_u8, 0..9_u8).prop_map(|(name, text)| Op::PutNote { name, text }),
        1 => (0..SAGAS).prop_map(|saga| Op::PutOrphan { saga }),
        1 => (1..5_u64).prop_map(|number| Op::RemoveOrphan { number }),
        1 => prop::option::of(0..SAGAS).prop_map(|saga| Op::AppendAudit { saga }),
        3 => Just(Op::Reopen),
    ]
}

fn part() -> impl Strategy<Value = Part> {
    let key = || {
        let kind = prop_oneof![Just(ClaimKind::Business), Just(ClaimKind::Idempotency)];
        (kind, 0..KEYS)
    };
    let count = prop_oneof![1 => Just(0_u8), 40 => 1..4_u8];
    let off_by = prop_oneof![20 => Just(0_i8), 1 => Just(-1_i8), 1 => Just(1_i8)];
    (0..SAGAS, count, off_by, vec(key(), 0..3), vec(key(), 0..2)).prop_map(
        |(saga, count, off_by, claims, releases)| Part { saga, count, off_by, claims, releases },
    )
}

fn row() -> impl Strategy<Value = Row> {
    let flaw = prop_oneof![
        20 => Just(Flaw::None),
        1 => Just(Flaw::Twice),
        1 => Just(Flaw::Gap),
        1 => Just(Flaw::Ahead),
    ];
    let phase = prop_oneof![
        4 => Just(Phase::Running),
        1 => Just(Phase::Owing),
        4 => Just(Phase::Over),
    ];
    let behind = prop_oneof![6 => Just(0_u8), 1 => 1..3_u8];
    let times = (prop::option::of(0..6_u64), prop::option::of(0..6_u64));
    let trouble = (prop::bool::weighted(0.2), prop::bool::weighted(0.1));
    (0..SAGAS, behind, flaw, phase, 1..4_u8, any::<bool>(), times, 0..4_u32, trouble).prop_map(
        |(saga, behind, flaw, phase, state, paused, (time, other_time), attention, trouble)| Row {
            saga,
            behind,
            flaw,
            phase,
            state,
            paused,
            time,
            other_time,
            attention,
            trouble,
        },
    )
}
