CREATE TABLE IF NOT EXISTS amends_outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id text NOT NULL,
    saga_id    text COLLATE "C" NOT NULL,
    kind       text NOT NULL,
    name       text NOT NULL,
    attributes text NOT NULL,
    body       text NOT NULL,
    written_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS amends_outbox_saga ON amends_outbox (saga_id, id);
