"""A transaction that is begun is the guard's own, and none is left open where the begin fails."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest

from amends_participant import Participant, Sqlite, Transient
from amends_participant.database.postgres import InATransaction, Postgres
from amends_participant.testing import command_body
from conftest import Stage, make, open_shop, server
from test_down import SOON_S
from test_guard import SOLD, sell


async def test_nothing_is_begun_within_a_transaction_of_somebody_elses(tmp_path: Path) -> None:
    """What psycopg would commit there is not durable."""
    async with make("psycopg connection", tmp_path) as stage:
        shop = await open_shop(stage)
        async with await psycopg.AsyncConnection.connect(
            f"postgres://{server('POSTGRES')}"
        ) as connection:
            shop.participant.database = Postgres(connection)
            await connection.execute("SELECT 1")
            saga = str(uuid.uuid4())
            for _ in range(2):
                assert await sell(shop, saga) == Transient(
                    "DATABASE_UNAVAILABLE", InATransaction.__name__, SOON_S
                )
            assert shop.ran == []
            # It is its owner's still.
            assert connection.info.transaction_status is psycopg.pq.TransactionStatus.INTRANS
            await connection.commit()
            assert await sell(shop, saga) == SOLD
        assert await shop.standing() == 1


async def test_a_cancelled_begin_leaves_no_transaction_open(stage: Stage) -> None:
    """At whichever moment it comes."""
    shop = await open_shop(stage)
    for wait in range(12):
        beginning = asyncio.create_task(stage.database.begin())
        for _ in range(wait):
            await asyncio.sleep(0)
        beginning.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await beginning).rollback()
        sold = sell(shop, str(uuid.uuid4()))
        assert await asyncio.wait_for(sold, 30) == SOLD, wait


async def test_a_begin_that_is_cancelled_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "service.db"
    participant = Participant("Shop", Sqlite(path), create_tables=True)

    @participant.action("Sell")
    async def sell_it(command: dict[str, Any]) -> str:
        return "sold"

    await participant.open()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        body = command_body("Shop.Sell", {}, saga_id=str(uuid.uuid4()))
        waiting = asyncio.create_task(participant.carry_out(body))
        await asyncio.sleep(0.05)  # it waits for the file
        waiting.cancel()
        await asyncio.sleep(0)
        waiting.cancel()
        other.execute("ROLLBACK")
        with pytest.raises(asyncio.CancelledError):
            await waiting
        # Neither this process nor another one is held up.
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
        assert getattr(await participant.carry_out(body), "result", None) == '"sold"'
    await participant.close()
