CREATE TABLE IF NOT EXISTS amends_guard (
    saga_id     TEXT NOT NULL,
    step        TEXT NOT NULL,
    direction   TEXT NOT NULL,
    round       INTEGER NOT NULL,
    body_sha256 BLOB NOT NULL,
    state       TEXT NOT NULL,
    reply       TEXT,
    written_at  TEXT NOT NULL,
    PRIMARY KEY (saga_id, step, direction)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS amends_guard_written_at ON amends_guard (written_at);
