"""What the example services on the kit share: the kit itself, straight from this clone, and a
witness of what they do.

A service of your own needs none of this: it installs `amends-participant`, makes its `Participant`
and serves `participant.asgi()`. The witness is for whoever judges an example: `ledger` has a row for
each thing that was really done, written by the handler in the guard's transaction, and `call` has
every call and what it was told.
"""

import argparse
import asyncio
import hashlib
import json
import logging
import pathlib
import sys
import time

CLONE = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(CLONE / "python" / "src"))

from amends_participant import Participant, Sqlite, serve_http  # noqa: E402

WITNESS = """
CREATE TABLE IF NOT EXISTS ledger (      -- what was done, and undone: one row each, never changed
    entry INTEGER PRIMARY KEY AUTOINCREMENT,
    saga_id TEXT NOT NULL, step TEXT NOT NULL, direction TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ledger_by_step ON ledger (saga_id, step);
CREATE TABLE IF NOT EXISTS call (        -- every call and what it was told, for whoever judges
    entry INTEGER PRIMARY KEY AUTOINCREMENT, arrived_ns INTEGER NOT NULL, answered_ns INTEGER,
    saga_id TEXT NOT NULL, step TEXT NOT NULL, direction TEXT NOT NULL, key TEXT NOT NULL,
    body_sha256 TEXT NOT NULL, attempt INTEGER NOT NULL, status INTEGER NOT NULL,
    answer TEXT NOT NULL);
CREATE VIEW IF NOT EXISTS tombstone AS   -- steps undone before they ran: they never may
    SELECT saga_id, step FROM amends_guard WHERE direction = 'action' AND state = 'tombstone';
"""


async def record(db, about, detail):
    """One thing was done: with the guard's answer, or not at all."""
    await db.execute(
        "INSERT INTO ledger (saga_id, step, direction, detail) VALUES (?, ?, ?, ?)",
        (about.saga_id, about.step, about.direction, json.dumps(detail)))


def serve(service, port, schema):
    """Runs a service until SIGTERM or Ctrl-C, by the kit's own small server. `service` makes a
    participant from its database."""
    options = argparse.ArgumentParser(description="an example participant on the kit")
    options.add_argument("--port", type=int, default=port, help=f"0 for any free one ({port})")
    options.add_argument("--db", help="the ledger (the service's name and .db)")
    options = options.parse_args()
    asyncio.run(_serve(service, options, schema))


async def _serve(service, options, schema):
    path = options.db or f"{service.__name__}.db"
    database = Sqlite(path, schema=WITNESS + schema)
    if isinstance(service, type):
        participant = Participant.of(service(), database, create_tables=True)
    else:
        participant = service(database)
    # Each line, whoever logs it, says whose it is.
    logging.basicConfig(format="%(levelname)s %(saga_id)s %(step_name)s %(direction)s"
                               " attempt %(attempt)s: %(message)s")
    await participant.open()

    def listening(port):
        print(f"{participant.name} listens on http://127.0.0.1:{port}, its ledger is {path}",
              flush=True)

    app = Witness(participant.asgi(), database)
    await serve_http(app, "127.0.0.1", options.port, listening=listening)


class Witness:
    """Stands before the application, and writes down each command and its answer before the answer
    leaves. What was not decided, an error or a breach of the protocol, is in the service's log."""

    def __init__(self, app, database):
        self.app, self.database = app, database

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        arrived_ns, heard, said = time.monotonic_ns(), bytearray(), []

        async def hear():
            message = await receive()
            heard.extend(message.get("body", b""))
            return message

        async def say(message):
            said.append(message)

        await self.app(scope, hear, say)
        await self.write_down(scope, bytes(heard), said, arrived_ns)
        for message in said:
            await send(message)

    async def write_down(self, scope, heard, said, arrived_ns):
        status, answer = said[0]["status"], said[1]["body"]
        if status not in (200, 422) and b'"KEY_REUSED"' not in answer:
            return
        command = json.loads(heard)
        headers = dict(scope["headers"])
        attempt = headers.get(b"amends-attempt", b"")
        transaction = await self.database.begin()
        try:
            await transaction.handle.execute(
                "INSERT INTO call (arrived_ns, answered_ns, saga_id, step, direction, key,"
                " body_sha256, attempt, status, answer) VALUES (?,?,?,?,?,?,?,?,?,?)",
                (arrived_ns, time.monotonic_ns(), command["saga_id"], command["step_name"],
                 command["direction"], command["idempotency_key"],
                 hashlib.sha256(heard).hexdigest(), int(attempt) if attempt.isdigit() else 0,
                 status, word_for(command["direction"], status, json.loads(answer))))
        except BaseException:
            await transaction.rollback()
            raise
        await transaction.commit()


def word_for(direction, status, answer):
    """The call log's word for an answer."""
    if status == 400:
        return "conflict"
    if status == 422:
        return "refused"
    if direction == "action":
        return "completed"
    return "undone" if answer["undone"] else "nothing_to_undo"
