//! What a service's ledger proves, read from its file by anybody.

use std::path::Path;

use anyhow::{Context, bail};
use rusqlite::{Connection, OpenFlags, Row};

/// What a call was told, in the call log's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// An action is done.
    Completed,
    /// A definite "no".
    Refused,
    /// An undo is done.
    Undone,
    /// An undo found nothing, and left a tombstone.
    NothingToUndo,
    /// Not now.
    Transient,
    /// The answer comes by the callback.
    Accepted,
    /// One key, other bytes.
    Conflict,
    /// Nothing was done, and nothing said.
    Unanswered,
    /// All was done, and nothing said.
    Lost,
    /// It waits to be late.
    Held,
}

impl Word {
    const ALL: [Self; 10] = [
        Self::Completed,
        Self::Refused,
        Self::Undone,
        Self::NothingToUndo,
        Self::Transient,
        Self::Accepted,
        Self::Conflict,
        Self::Unanswered,
        Self::Lost,
        Self::Held,
    ];

    /// As it stands in the call log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Refused => "refused",
            Self::Undone => "undone",
            Self::NothingToUndo => "nothing_to_undo",
            Self::Transient => "transient",
            Self::Accepted => "accepted",
            Self::Conflict => "conflict",
            Self::Unanswered => "unanswered",
            Self::Lost => "lost",
            Self::Held => "held",
        }
    }

    /// Did the caller hear nothing?
    pub const fn is_silence(self) -> bool {
        matches!(self, Self::Unanswered | Self::Lost | Self::Held)
    }

    /// Does it acknowledge an undo?
    pub const fn acknowledges_undo(self) -> bool {
        matches!(self, Self::Undone | Self::NothingToUndo)
    }
}

/// How often a step was really done and undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The saga.
    pub saga_id: String,
    /// The step, or `<step>.<i>`.
    pub step: String,
    /// F of `semantics.md` section 6.
    pub forward: u32,
    /// C of `semantics.md` section 6.
    pub undone: u32,
}

/// One call that a service met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its place in the service's log.
    pub entry: i64,
    /// When it came, in nanoseconds of the machine's monotonic clock.
    pub arrived_ns: i64,
    /// When its answer was written; `None` when it got none.
    pub answered_ns: Option<i64>,
    /// The saga.
    pub saga_id: String,
    /// The step, or `<step>.<i>`.
    pub step: String,
    /// An undo, or the action.
    pub is_undo: bool,
    /// The idempotency key.
    pub key: String,
    /// SHA-256 of the body, in hexadecimal.
    pub body_sha256: String,
    /// The attempt, 0 when it did not say.
    pub attempt: u32,
    /// The HTTP status; 0 for none.
    pub status: u16,
    /// What it was told.
    pub answer: Word,
}

/// All that one service's ledger proves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Whose it is.
    pub service: String,
    /// What was done, a row a step.
    pub effects: Vec<Effect>,
    /// Every call in the order of their commits.
    pub calls: Vec<Call>,
    /// (saga, step) that were undone before they ran.
    pub tombstones: Vec<(String, String)>,
}

impl Evidence {
    /// Reads a ledger, of a service of this crate or of a Python participant; the service may be
    /// running.
    pub fn read(service: &str, path: &Path) -> anyhow::Result<Self> {
        let read = || -> anyhow::Result<Self> {
            let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            // One transaction, so that the parts fit each other.
            let db = db.unchecked_transaction()?;
            Ok(Self {
                service: service.to_owned(),
                effects: rows(&db, EFFECTS, effect)?,
                calls: rows(&db, CALLS, call_parts)?
                    .into_iter()
                    .map(|(call, word)| finish(call, &word))
                    .collect::<anyhow::Result<_>>()?,
                tombstones: rows(&db, "SELECT saga_id, step FROM tombstone", |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?,
            })
        };
        read()
            .with_context(|| format!("the ledger of {service} at {} is unreadable", path.display()))
    }
}

const EFFECTS: &str = "SELECT saga_id, step, sum(direction = 'action'),
    sum(direction = 'compensation') FROM ledger GROUP BY saga_id, step ORDER BY min(entry)";

const CALLS: &str = "SELECT entry, arrived_ns, answered_ns, saga_id, step,
    direction = 'compensation', key, body_sha256, attempt, status, answer FROM call ORDER BY entry";

fn rows<T>(
    db: &Connection,
    sql: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    db.prepare(sql)?.query_map([], |row| read(row))?.collect()
}

fn effect(row: &Row<'_>) -> rusqlite::Result<Effect> {
    Ok(Effect {
        saga_id: row.get(0)?,
        step: row.get(1)?,
        forward: row.get(2)?,
        undone: row.get(3)?,
    })
}

fn call_parts(row: &Row<'_>) -> rusqlite::Result<(Call, String)> {
    let call = Call {
        entry: row.get(0)?,
        arrived_ns: row.get(1)?,
        answered_ns: row.get(2)?,
        saga_id: row.get(3)?,
        step: row.get(4)?,
        is_undo: row.get(5)?,
        key: row.get(6)?,
        body_sha256: row.get(7)?,
        attempt: row.get(8)?,
        status: row.get(9)?,
        answer: Word::Held,
    };
    Ok((call, row.get(10)?))
}

fn finish(call: Call, word: &str) -> anyhow::Result<Call> {
    match Word::ALL.into_iter().find(|known| known.as_str() == word) {
        Some(answer) => Ok(Call { answer, ..call }),
        None => bail!("call {} was told {word:?}, which is no answer", call.entry),
    }
}
