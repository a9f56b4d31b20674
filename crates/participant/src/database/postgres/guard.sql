CREATE TABLE IF NOT EXISTS amends_guard (
    saga_id     text COLLATE "C" NOT NULL,
    step        text COLLATE "C" NOT NULL,
    direction   text COLLATE "C" NOT NULL,
    round       integer NOT NULL,
    body_sha256 bytea NOT NULL,
    state       text COLLATE "C" NOT NULL,
    reply       text,
    written_at  timestamptz NOT NULL,
    PRIMARY KEY (saga_id, step, direction)
);
CREATE INDEX IF NOT EXISTS amends_guard_written_at ON amends_guard (written_at);
