//! The catalog's tables, version 1.
//!
//! What costs at tens of thousands of sagas a second is pages touched, so: a saga that starts and
//! ends between two checkpoints is one row, appended; its id and its place in the lists grow with
//! time and so are appended too; what only live or troubled sagas need is in partial indexes; and
//! the keys are the only tree that is written all over.

use rusqlite::Connection;

/// Every table and index.
///
/// Times are milliseconds of the Unix epoch. `saga.due` is one more than the time, and 0 when
/// there is none, so that it sorts without nulls.
pub(super) const SCHEMA: &str = "
    -- Everything up to here is in the catalog.
    CREATE TABLE place (position INTEGER NOT NULL) STRICT;
    INSERT INTO place VALUES (0);

    CREATE TABLE type (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE version (
        n INTEGER PRIMARY KEY, type INTEGER NOT NULL, version INTEGER NOT NULL, hash BLOB NOT NULL,
        UNIQUE (type, version, hash)
    ) STRICT;

    CREATE TABLE saga (
        n INTEGER PRIMARY KEY,
        id BLOB NOT NULL,
        type INTEGER NOT NULL,
        version INTEGER NOT NULL,
        state INTEGER NOT NULL,
        paused INTEGER NOT NULL,
        live INTEGER NOT NULL,
        shard INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        ended_at INTEGER,
        due INTEGER NOT NULL,
        close_at INTEGER,
        expires_at INTEGER,
        attention INTEGER NOT NULL,
        stuck_at INTEGER,
        business_key TEXT,
        error TEXT,
        quarantined TEXT,
        -- What names this saga in `key`, whole: see `keys.rs`.
        keys BLOB,
        -- The last part of the history in `segment`, when there is more than `events`.
        tail INTEGER,
        -- The first part of the history: mostly all of it.
        events BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX saga_id ON saga (id);
    CREATE INDEX saga_listed ON saga (type, state, created_at);
    CREATE INDEX saga_live ON saga (shard, due, id) WHERE live = 1 AND quarantined IS NULL;
    CREATE INDEX saga_attention ON saga (created_at) WHERE attention <> 0;
    -- With all that is counted, so that counting reads no rows.
    CREATE INDEX saga_stuck ON saga (created_at, stuck_at, type, state) WHERE stuck_at IS NOT NULL;
    CREATE INDEX saga_expiring ON saga (expires_at) WHERE expires_at IS NOT NULL AND live = 0;

    -- Later parts of histories, each naming the one before, appended whichever saga they are of.
    CREATE TABLE segment (n INTEGER PRIMARY KEY, before INTEGER, events BLOB NOT NULL) STRICT;

    -- Idempotency and business keys: who holds them, and whom they have named. As little as can be,
    -- since this is the one tree that is written all over; the sagas' rows say the rest.
    CREATE TABLE key (
        hash INTEGER NOT NULL, saga INTEGER NOT NULL, held INTEGER NOT NULL,
        PRIMARY KEY (hash, saga)
    ) STRICT, WITHOUT ROWID;

    -- How many sagas of a type are in a state, and how many of them are live.
    CREATE TABLE count (
        type INTEGER NOT NULL, state INTEGER NOT NULL,
        sagas INTEGER NOT NULL, live INTEGER NOT NULL,
        PRIMARY KEY (type, state)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE definition (
        saga_type TEXT NOT NULL, version INTEGER NOT NULL, hash BLOB NOT NULL,
        source BLOB NOT NULL, created_at INTEGER NOT NULL,
        PRIMARY KEY (saga_type, version)
    ) STRICT;

    CREATE TABLE note (name TEXT PRIMARY KEY, note BLOB NOT NULL) STRICT, WITHOUT ROWID;

    -- AUTOINCREMENT: a number that was given once is never given again.
    CREATE TABLE orphan (
        number INTEGER PRIMARY KEY AUTOINCREMENT, received_at INTEGER NOT NULL,
        saga BLOB NOT NULL, source TEXT NOT NULL, reply BLOB NOT NULL
    ) STRICT;

    CREATE TABLE audit (
        number INTEGER PRIMARY KEY, hash BLOB NOT NULL, at INTEGER NOT NULL, actor TEXT NOT NULL,
        action TEXT NOT NULL, saga BLOB, detail BLOB NOT NULL
    ) STRICT;
    CREATE INDEX audit_saga ON audit (saga) WHERE saga IS NOT NULL;
";

/// What a file of version 1 may lack: it was made before this was kept. A program that does not
/// know of it leaves it empty, so the version stays.
const STUCK: &str = "
    ALTER TABLE saga ADD COLUMN stuck_at INTEGER;
    CREATE INDEX saga_stuck ON saga (created_at, stuck_at, type, state) WHERE stuck_at IS NOT NULL;
";

/// Adds what the file lacks.
pub(super) fn complete(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    if !transaction.column_exists(None, "saga", "stuck_at")? {
        transaction.execute_batch(STUCK)?;
    }
    transaction.commit()
}
