CREATE TABLE IF NOT EXISTS amends_saga (
    saga_id    TEXT NOT NULL,
    service    TEXT NOT NULL,
    saga_type  TEXT NOT NULL,
    state      TEXT NOT NULL,
    due_at     INTEGER,
    record     TEXT NOT NULL,
    written_at TEXT NOT NULL,
    PRIMARY KEY (saga_id, service)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS amends_saga_due_at ON amends_saga (service, due_at);
CREATE INDEX IF NOT EXISTS amends_saga_written_at ON amends_saga (written_at);
