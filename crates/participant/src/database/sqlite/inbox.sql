CREATE TABLE IF NOT EXISTS amends_inbox (
    source     TEXT NOT NULL,
    id         TEXT NOT NULL,
    written_at TEXT NOT NULL,
    PRIMARY KEY (source, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS amends_inbox_written_at ON amends_inbox (written_at);
