CREATE TABLE IF NOT EXISTS amends_saga (
    saga_id    text COLLATE "C" NOT NULL,
    service    text COLLATE "C" NOT NULL,
    saga_type  text COLLATE "C" NOT NULL,
    state      text COLLATE "C" NOT NULL,
    due_at     bigint,
    record     text NOT NULL,
    written_at timestamptz NOT NULL,
    PRIMARY KEY (saga_id, service)
);
CREATE INDEX IF NOT EXISTS amends_saga_due_at ON amends_saga (service, due_at);
CREATE INDEX IF NOT EXISTS amends_saga_written_at ON amends_saga (written_at);
