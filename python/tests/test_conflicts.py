"""Transactions that are rolled back for the sake of others, on every database: tried again, and
told to come again where that is of no use. And one that an error has aborted."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, String, Table
from sqlalchemy.orm import registry

from amends_participant import Completed, Refused, RefusedWith, Sqlite, Transient
from amends_participant.guard.carry_out import TRIES_MAX
from amends_participant.testing import command_body
from conftest import MARIADB, POSTGRES, Shop, make, open_shop
from test_guard import SOLD, sell
from test_handlers import at_once

CONFLICT = Transient("CONFLICT", "other transactions were in the way")
ABORTED = Transient("TRANSACTION_ABORTED", "the handler went on after a statement that had failed")

# One connection of its owner's has one transaction at a time.
SERVED = [kind for kind in (*POSTGRES, *MARIADB) if kind != "psycopg connection"]

WAITS_BRIEFLY = {
    "postgresql": "SET LOCAL lock_timeout = '50ms'",
    "mysql": "SET innodb_lock_wait_timeout = 1",
}


async def bump(shop: Shop, db: Any, saga: str) -> None:
    await shop.stage.write(db, f"UPDATE {shop.table} SET n = n + 1 WHERE saga_id = '{saga}'")


async def each(work: Coroutine[Any, Any, None]) -> None:
    await work


async def counted(shop: Shop) -> None:
    await shop.stage.run(f"ALTER TABLE {shop.table} ADD COLUMN n integer NOT NULL DEFAULT 0")
    # Without it MariaDB locks every row that it looks at.
    await shop.stage.run(f"CREATE UNIQUE INDEX {shop.table}_saga ON {shop.table} (saga_id)")


@pytest.mark.parametrize("in_a_group", [False, True])
@pytest.mark.parametrize("kind", SERVED)
async def test_who_loses_a_deadlock_is_tried_again(
    kind: str, in_a_group: bool, tmp_path: Path
) -> None:
    """Two handlers that take two rows in different orders: both are done, each once. Also where
    what has lost stands in a group: MySQL has rolled back all of it, which is no end of the
    transaction by the handler."""
    async with make(kind, tmp_path) as stage:
        shop = await open_shop(stage)
        await counted(shop)
        rows = [str(uuid.uuid4()) for _ in range(2)]
        for row in rows:
            await sell(shop, row)
        meeting = [asyncio.Event(), asyncio.Event()]
        tries = 0

        @shop.participant.action("Cross")
        async def cross(command: dict[str, Any], db: Any) -> str:
            nonlocal tries
            tries += 1
            mine = command["data"]["mine"]
            await bump(shop, db, rows[mine])
            meeting[mine].set()
            await meeting[1 - mine].wait()
            await (at_once if in_a_group else each)(bump(shop, db, rows[1 - mine]))
            return "crossed"

        answers = await asyncio.gather(
            *(
                shop.participant.carry_out(
                    command_body("Shop.Cross", {"mine": mine}, saga_id=str(uuid.uuid4()))
                )
                for mine in range(2)
            )
        )
        assert answers == [Completed('"crossed"')] * 2
        assert tries > 2
        assert await stage.rows(f"SELECT n FROM {shop.table}") == [(2,), (2,)]


class DeadlockError(Exception):
    sqlstate = "40P01"


@pytest.mark.parametrize("lasting", [False, True])
async def test_a_conflict_that_does_not_end_is_told_as_one(
    small_shop: Shop, saga: str, lasting: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Of an error that stands in another, as a library's does."""
    tries = 0

    @small_shop.participant.action("Collide")
    async def collide(command: dict[str, Any]) -> str:
        nonlocal tries
        tries += 1
        if lasting or tries < TRIES_MAX:
            raise ValueError("of the library") from DeadlockError()
        return "done"

    body = command_body("Shop.Collide", {}, saga_id=saga)
    answer = await small_shop.participant.carry_out(body)
    assert answer == (CONFLICT if lasting else Completed('"done"'))
    assert tries == TRIES_MAX
    assert ("transient CONFLICT" in caplog.text) == lasting


@pytest.mark.parametrize("kind", POSTGRES)
async def test_a_serialization_failure_at_the_commit_is_tried_again(
    kind: str, tmp_path: Path, saga: str
) -> None:
    async with make(kind, tmp_path) as stage:
        shop = await open_shop(stage)
        await stage.run(
            f"CREATE FUNCTION {shop.table}_fails() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE SQLSTATE '40001'; END $$"
        )
        await stage.run(
            f"CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON {shop.table} DEFERRABLE"
            f" INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {shop.table}_fails()"
        )
        assert await sell(shop, saga) == CONFLICT
        assert shop.ran == ["sell"] * TRIES_MAX
        assert await shop.guard(saga) == {}
        await stage.run(f"DROP TRIGGER fails ON {shop.table}")
        assert await sell(shop, saga) == SOLD


@pytest.mark.parametrize("kind", SERVED)
async def test_who_waited_in_vain_is_told_so_and_does_not_wait_again(
    kind: str, tmp_path: Path, saga: str
) -> None:
    async with make(kind, tmp_path) as stage:
        shop = await open_shop(stage)
        await counted(shop)
        await sell(shop, saga)
        tries = 0

        @shop.participant.action("Wait")
        async def wait(command: dict[str, Any], db: Any) -> None:
            nonlocal tries
            tries += 1
            await stage.write(db, WAITS_BRIEFLY[stage.database.dialect.name])
            await bump(shop, db, saga)

        holder = await stage.database.begin()
        await holder.statement(f"UPDATE {shop.table} SET n = 7", {})
        body = command_body("Shop.Wait", {}, saga_id=str(uuid.uuid4()))
        try:
            assert await shop.participant.carry_out(body) == CONFLICT
        finally:
            await holder.rollback()
        assert tries == 1


@pytest.mark.parametrize("kind", ["sqlite", "alchemy aiosqlite"])
async def test_a_file_that_another_process_holds(kind: str, tmp_path: Path, saga: str) -> None:
    async with make(kind, tmp_path) as stage:
        shop = await open_shop(stage)
        if kind == "sqlite":
            shop.participant.database = Sqlite(tmp_path / "service.db", busy_timeout_s=0.01)
        else:
            await stage.run("PRAGMA busy_timeout = 10")
        with contextlib.closing(sqlite3.connect(tmp_path / "service.db")) as holder:
            holder.isolation_level = None
            holder.execute("BEGIN IMMEDIATE")
            assert await sell(shop, saga) == CONFLICT
            holder.execute("COMMIT")
        assert await sell(shop, saga) == SOLD
        if kind == "sqlite":
            await shop.participant.close()


@pytest.mark.parametrize("kind", POSTGRES)
async def test_an_error_that_the_handler_passes_over_has_aborted_the_transaction(
    kind: str, tmp_path: Path, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The database is there, and has rolled back: another look at the handler is needed."""
    async with make(kind, tmp_path) as stage:
        shop = await open_shop(stage)

        async def pass_over(command: dict[str, Any], db: Any) -> None:
            with contextlib.suppress(Exception):
                await stage.write(db, "SELECT * FROM nowhere")

        shop.participant.action("PassOver")(pass_over)
        shop.participant.compensation("PassOverAnUndo")(pass_over)
        await sell(shop, saga)
        act = command_body("Shop.PassOver", {}, saga_id=str(uuid.uuid4()))
        undo = command_body("Shop.PassOverAnUndo", {}, saga_id=saga, direction="compensation")
        for body in (act, undo):
            assert await shop.participant.carry_out(body) == ABORTED
        assert "put what may fail in a savepoint" in caplog.text
        assert await shop.guard(saga) == {"action": ("completed", 1)}


@pytest.mark.parametrize("kind", ["alchemy aiosqlite", "alchemy psycopg", "alchemy aiomysql"])
async def test_a_flush_that_fails_ends_nothing(kind: str, tmp_path: Path, saga: str) -> None:
    """SQLAlchemy rolls back then, all of it: it is the failure that is told, or the refusal that
    the handler makes of it, and not that a handler has ended the transaction."""
    async with make(kind, tmp_path) as stage:
        shop = await open_shop(stage)

        class Effect: ...

        table = Table(shop.table, MetaData(), Column("saga_id", String(36), primary_key=True))
        registry().map_imperatively(Effect, table)

        async def flush(command: dict[str, Any], db: Any) -> None:
            ends = command["data"]["ends"]
            effect = Effect()
            db.add(effect)  # without what it needs
            if ends == "at the end":
                return
            try:
                await db.flush()
            except Exception:
                if ends == "refused":
                    await db.rollback()
                    raise Refused("NO") from None
                if ends == "failed":
                    raise

        shop.participant.action("Flush")(flush)
        answers = []
        for ends in ("at the end", "failed", "passed over", "refused"):
            body = command_body("Shop.Flush", {"ends": ends}, saga_id=str(uuid.uuid4()))
            answers.append(await shop.participant.carry_out(body))
        failed, *_ = answers
        assert isinstance(failed, Transient) and failed.code == "HANDLER_FAILED"
        assert answers == [failed, failed, ABORTED, RefusedWith.of("NO", "NO")]
