"""The databases that the tests run on, each through each of its adapters and drivers.

PostgreSQL and MariaDB are real servers. Nothing is left out where they are not there: the tests
fail, and say by what they are run.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from amends_participant import Database, Participant, Refused, Sqlite
from amends_participant.database.alchemy import Alchemy
from amends_participant.database.postgres import Postgres

RUN_WITH = "cargo xtask test python"

Write = Callable[[Any, str], Awaitable[None]]
"""Runs a statement of the business in the transaction that a handler is given."""


@dataclass
class Stage:
    """A database, and how the tests' business writes into it."""

    kind: str
    database: Database
    write: Write
    url: str = ""

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Asked in a transaction of its own."""
        transaction = await self.database.begin()
        try:
            return [tuple(row) for row in (await transaction.statement(sql, {})).rows]
        finally:
            await transaction.rollback()

    async def run(self, sql: str) -> None:
        transaction = await self.database.begin()
        await transaction.statement(sql, {})
        await transaction.commit()


def server(name: str) -> str:
    """The URL of a server, without its scheme."""
    url = os.environ.get(f"AMENDS_TEST_{name}_URL")
    if not url:
        pytest.fail(f"there is no {name}: run these tests with `{RUN_WITH}`")
    return url.rpartition("://")[2]


async def _write_sqlite(db: Any, sql: str) -> None:
    await db.execute(sql)


async def _write_psycopg(db: Any, sql: str) -> None:
    await db.execute(sql)


async def _write_alchemy(db: Any, sql: str) -> None:
    await db.execute(text(sql))


@asynccontextmanager
async def _sqlite(folder: Path) -> AsyncIterator[Stage]:
    database = Sqlite(folder / "service.db")
    yield Stage("sqlite", database, _write_sqlite)
    await database.close()


@asynccontextmanager
async def _psycopg_pool(at: str) -> AsyncIterator[Stage]:
    pool: Any = AsyncConnectionPool(
        f"postgres://{at}", open=False, min_size=1, max_size=4, timeout=5
    )
    yield Stage("psycopg pool", Postgres(pool), _write_psycopg, at)
    await pool.close()


@asynccontextmanager
async def _psycopg_one(at: str) -> AsyncIterator[Stage]:
    connection = await psycopg.AsyncConnection.connect(f"postgres://{at}")
    yield Stage("psycopg connection", Postgres(connection), _write_psycopg, at)
    await connection.close()


@asynccontextmanager
async def _alchemy(kind: str, url: str, *, session: bool) -> AsyncIterator[Stage]:
    connect = {"timeout": 5} if "asyncpg" in url or "sqlite" in url else {"connect_timeout": 5}
    engine = create_async_engine(url, connect_args=connect)
    source: Any = async_sessionmaker(engine) if session else engine
    yield Stage(kind, Alchemy(source), _write_alchemy, url.partition("://")[2])
    await engine.dispose()


@asynccontextmanager
async def make(kind: str, folder: Path, at: str | None = None) -> AsyncIterator[Stage]:
    """A stage of a kind; `at` is where its server is, if not where the tests' own is."""
    if kind == "sqlite":
        made = _sqlite(folder)
    elif kind == "alchemy aiosqlite":
        url = f"sqlite+aiosqlite:///{folder / 'service.db'}"
        made = _alchemy(kind, url, session=True)
    elif kind in POSTGRES:
        at = at or server("POSTGRES")
        made = {
            "psycopg pool": lambda: _psycopg_pool(at),
            "psycopg connection": lambda: _psycopg_one(at),
            "alchemy asyncpg": lambda: _alchemy(kind, f"postgresql+asyncpg://{at}", session=False),
            "alchemy psycopg": lambda: _alchemy(kind, f"postgresql+psycopg://{at}", session=True),
        }[kind]()
    else:
        at = at or server("MARIADB")
        made = {
            "alchemy aiomysql": lambda: _alchemy(kind, f"mysql+aiomysql://{at}", session=True),
            "alchemy asyncmy": lambda: _alchemy(kind, f"mysql+asyncmy://{at}", session=False),
        }[kind]()
    async with made as stage:
        yield stage


SQLITE = ["sqlite", "alchemy aiosqlite"]
POSTGRES = ["psycopg pool", "psycopg connection", "alchemy asyncpg", "alchemy psycopg"]
MARIADB = ["alchemy aiomysql", "alchemy asyncmy"]
KINDS = [*SQLITE, *POSTGRES, *MARIADB]


@dataclass
class Shop:
    """A participant whose business is a table with a row for each effect that stands."""

    stage: Stage
    participant: Participant
    ran: list[str]
    """What has run, as often as it has run, whether it was committed or not."""
    table: str

    async def standing(self) -> int:
        return int((await self.stage.rows(f"SELECT count(*) FROM {self.table}"))[0][0])

    async def guard(self, saga_id: str) -> dict[str, tuple[str, int]]:
        """The saga's rows: state and round by direction."""
        sql = f"SELECT direction, state, round FROM amends_guard WHERE saga_id = '{saga_id}'"
        return {row[0]: (row[1], row[2]) for row in await self.stage.rows(sql)}

    async def come_to_light(self, saga_id: str) -> None:
        """A person has found the record of an action."""
        await self.stage.run(
            """UPDATE amends_guard SET state = 'completed', reply = '{"sold":"kettle"}' """
            f"WHERE saga_id = '{saga_id}' AND direction = 'action'"
        )


async def open_shop(stage: Stage) -> Shop:
    table = f"effect_{uuid.uuid4().hex[:12]}"
    participant = Participant("Shop", stage.database, create_tables=True)
    shop = Shop(stage, participant, [], table)

    @participant.action("Sell")
    async def sell(command: dict[str, Any], db: Any) -> dict[str, Any]:
        shop.ran.append("sell")
        await stage.write(db, f"INSERT INTO {shop.table} (saga_id) VALUES ('{command['saga_id']}')")
        if command.get("refuse"):
            raise Refused(command["refuse"], "as the data wants it")
        if command.get("fail"):
            raise RuntimeError(command["fail"])
        return {"sold": command["data"]["item"]}

    @participant.compensation("TakeBack")
    async def take_back(command: dict[str, Any], db: Any, result: dict[str, Any]) -> None:
        shop.ran.append(f"take back {result['sold']}")
        await stage.write(db, f"DELETE FROM {shop.table} WHERE saga_id = '{command['saga_id']}'")
        if command.get("fail"):
            raise RuntimeError(command["fail"])

    await participant.open()
    # The servers are those of all tests: what another left there is not to be relayed here.
    await stage.run("DELETE FROM amends_outbox")
    await stage.run(f"CREATE TABLE {table} (saga_id varchar(36) NOT NULL)")
    return shop


@pytest.fixture(params=KINDS)
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    async with make(request.param, tmp_path) as made:
        yield made


@pytest.fixture
async def shop(stage: Stage) -> Shop:
    return await open_shop(stage)


@pytest.fixture
async def small_shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """On SQLite, where it is not the database that is tried."""
    async with make("sqlite", tmp_path) as made:
        yield await open_shop(made)


@pytest.fixture
def saga() -> str:
    return str(uuid.uuid4())
