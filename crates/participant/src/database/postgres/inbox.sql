CREATE TABLE IF NOT EXISTS amends_inbox (
    source     text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    written_at timestamptz NOT NULL,
    PRIMARY KEY (source, id)
);
CREATE INDEX IF NOT EXISTS amends_inbox_written_at ON amends_inbox (written_at);
