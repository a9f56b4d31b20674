CREATE TABLE IF NOT EXISTS amends_outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL,
    saga_id    TEXT NOT NULL,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    attributes TEXT NOT NULL,
    body       TEXT NOT NULL,
    written_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS amends_outbox_saga ON amends_outbox (saga_id, id);
