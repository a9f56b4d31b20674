"""The service of the storm, on the kit for Python; the storm of the kit for Rust kills it.

    cargo test -p amends-participant --test storm -- \\
        --sagas 10000 --service $PWD/target/python/bin/python $PWD/python/tests/storm_service.py

The storm adds which database, its URL, and a mistake to make or none.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from psycopg_pool import AsyncConnectionPool
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from amends_participant import About, Database, Participant, Refused, RefusedWith, Sqlite
from amends_participant.command import Command
from amends_participant.database import Transaction
from amends_participant.database.alchemy import Alchemy
from amends_participant.database.postgres import Postgres
from amends_participant.guard import carry_out
from amends_participant.guard.claim import Guard
from amends_participant.guard.ended import handled
from amends_participant.guard.sql import Dialect
from amends_participant.guard.table import (
    LeaveTombstone,
    Row,
    Run,
    Say,
    State,
    Undo,
    decide_action,
    decide_compensation,
)
from amends_participant.http.server import HttpServer

LEDGER = (
    "CREATE TABLE IF NOT EXISTS ledger (saga_id CHAR(36) NOT NULL, step VARCHAR(80) NOT NULL,"
    " effect VARCHAR(12) NOT NULL, amount BIGINT NOT NULL)"
)

CONNECTIONS = 8


@dataclass
class Work:
    amount: int
    end: str = ""


@dataclass
class Receipt:
    amount: int
    attempt: int


def database_of(kind: str, url: str) -> Database:
    if kind == "postgres":
        pool: Any = AsyncConnectionPool(url, open=False, min_size=1, max_size=CONNECTIONS)
        return Postgres(pool)
    if kind == "mariadb":
        url = url.replace("mysql://", "mysql+aiomysql://")
        return Alchemy(create_async_engine(url, pool_size=CONNECTIONS, max_overflow=0))
    return Sqlite(url)


def service_on(kind: str, database: Database) -> Participant:
    """Its ledger has no unique key on purpose: a guard that fails shows as a second entry."""
    service = Participant("LedgerService", database, create_tables=True)

    async def enter(db: Any, about: About, effect: str, amount: int) -> None:
        entry = f"('{about.saga_id}', '{about.step}', '{effect}', {amount})"
        sql = f"INSERT INTO ledger (saga_id, step, effect, amount) VALUES {entry}"
        await db.execute(text(sql) if kind == "mariadb" else sql)

    @service.action("Act")
    async def act(work: Work, db: Any, about: About) -> Receipt:
        await enter(db, about, "action", work.amount)
        if work.end == "refuse":
            raise Refused("NO", f"round {about.round}")
        return Receipt(work.amount, about.attempt or 0)

    @service.compensation("Undo")
    async def undo(work: Work, result: Receipt, db: Any, about: About) -> None:
        await enter(db, about, "compensation", result.amount)

    return service


def make(mistake: str) -> None:
    """A guard that has one: the storm's judge must find it."""
    if mistake == "as it is":
        return
    if mistake in ACTION_MISTAKES:
        carry_out.decide_action = ACTION_MISTAKES[mistake]  # type: ignore[attr-defined]
    if mistake in COMPENSATION_MISTAKES:
        carry_out.decide_compensation = COMPENSATION_MISTAKES[mistake]  # type: ignore[attr-defined]
    if mistake not in {*ACTION_MISTAKES, *COMPENSATION_MISTAKES}:
        sys.exit(f"there is no mistake {mistake} here")
    carry_out.handled = handled_over_any_row  # type: ignore[attr-defined]


async def handled_over_any_row(guard: Guard, transaction: Transaction, handler: Any) -> Any:
    """Who runs over a row claims it: the right guard's claim claims none that it does not run over,
    and what runs over another row by mistake would be rolled back."""
    claim = guard._claim
    key = {**claim.key, "direction": claim.direction, "claim": claim.mark}
    await transaction.statement(
        "UPDATE amends_guard SET state = 'claimed', reply = :claim"
        " WHERE saga_id = :saga_id AND step = :step AND direction = :direction",
        key,
    )
    return await handled(guard, transaction, handler)


def dialect_of(dialect: Dialect, mistake: str) -> Dialect:
    """With a claim that lets an earlier round's refusal be seen, for the guard that says it."""
    if mistake != "RoundIgnored":
        return dialect
    claim = tuple(sql.replace("'refused'", "'nobody'") for sql in dialect.claim_action)
    return replace(dialect, claim_action=claim)


def result_forgotten(command: Command, row: Row | None) -> Run | Say:
    # Not to an earlier round: its refusal would never be stored, and never be said.
    if row is not None and row.state is State.COMPLETED and row.round <= command.round:
        return Run()
    return decide_action(command, row)


def round_ignored(command: Command, row: Row | None) -> Run | Say:
    if row is not None and row.state is State.REFUSED and row.round < command.round:
        return Say(RefusedWith(row.reply or ""))
    return decide_action(command, row)


def refusal_is_no_tombstone(command: Command, row: Row | None) -> Run | Say:
    if row is not None and row.state is State.TOMBSTONE and row.reply is not None:
        row = replace(row, state=State.REFUSED)
    return decide_action(command, row)


def bytes_ignored(command: Command, row: Row | None) -> Run | Say:
    return decide_action(command, of_these_bytes(command, row))


def bytes_of_an_undo_ignored(
    command: Command, own: Row | None, action: Row | None
) -> Undo | LeaveTombstone | Say:
    return decide_compensation(command, of_these_bytes(command, own), action)


def of_these_bytes(command: Command, row: Row | None) -> Row | None:
    return None if row is None else replace(row, body_sha256=command.body_sha256)


def undone_again(
    command: Command, own: Row | None, action: Row | None
) -> Undo | LeaveTombstone | Say:
    if own is not None and own.state is State.UNDONE and own.round < command.round:
        own = replace(own, state=State.NOTHING)
    return decide_compensation(command, own, action)


def saga_not_believed(
    command: Command, own: Row | None, action: Row | None
) -> Undo | LeaveTombstone | Say:
    return decide_compensation(replace(command, outcome="unknown"), own, action)


ACTION_MISTAKES = {
    "ResultForgotten": result_forgotten,
    "RoundIgnored": round_ignored,
    "RefusalIsNoTombstone": refusal_is_no_tombstone,
    "BytesIgnored": bytes_ignored,
}
COMPENSATION_MISTAKES = {
    "BytesIgnored": bytes_of_an_undo_ignored,
    "UndoneAgain": undone_again,
    "SagaNotBelieved": saga_not_believed,
}


async def serve(kind: str, url: str, mistake: str) -> None:
    database = database_of(kind, url)
    database.dialect = dialect_of(database.dialect, mistake)
    service = service_on(kind, database)
    await service.open()
    transaction = await service.database.begin()
    await transaction.statement(LEDGER, {})
    await transaction.commit()
    port = await HttpServer(service.asgi()).start("127.0.0.1", 0)
    print(port, flush=True)
    # It must not outlive who started it.
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    # Of each deadlock the engine is told, and the log would be full of it.
    logging.getLogger("amends_participant").setLevel(logging.ERROR)
    make(sys.argv[3])
    asyncio.run(serve(*sys.argv[1:4]))
