"""The database goes away: before a command, while its handler works, and at the commit."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool

from amends_participant import Participant, Sqlite, Transaction, Transient, Unknown
from amends_participant.database.postgres import Postgres
from amends_participant.database.sqlite import SqliteTransaction
from amends_participant.testing import command_body
from conftest import MARIADB, POSTGRES, Shop, Stage, make, open_shop, server
from test_bad_input import client
from test_guard import NOTHING, SOLD, sell, take_back
from wire import Wire

SOON_S = 1
"""When a command is to come again whose database is away."""

# One connection of its owner's is not made anew when it is lost.
SERVED = [kind for kind in (*POSTGRES, *MARIADB) if kind != "psycopg connection"]


@asynccontextmanager
async def wired(kind: str, folder: Path) -> AsyncIterator[tuple[Shop, Wire]]:
    at = server("POSTGRES" if kind in POSTGRES else "MARIADB")
    user, _, rest = at.partition("@")
    address, _, database = rest.partition("/")
    host, _, port = address.partition(":")
    wire = Wire(host, int(port))
    async with (
        wire.open() as near,
        make(kind, folder, f"{user}@127.0.0.1:{near}/{database}") as stage,
    ):
        yield await open_shop(stage), wire


@pytest.fixture(params=SERVED)
async def far(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Shop, Wire]]:
    async with wired(request.param, tmp_path) as made:
        yield made


def endings(caplog: pytest.LogCaptureFixture, saga: str) -> list[str]:
    """The kit's lines about a saga, without what follows the colon."""
    records = [record for record in caplog.records if record.name == "amends_participant"]
    assert all(record.saga_id == saga for record in records)  # type: ignore[attr-defined]
    return [record.getMessage().partition(":")[0] for record in records]


async def test_before(far: tuple[Shop, Wire], saga: str, caplog: pytest.LogCaptureFixture) -> None:
    shop, wire = far
    caplog.set_level("INFO", "amends_participant")
    wire.cut()
    answer = await sell(shop, saga)
    assert isinstance(answer, Transient)
    # Also where a connection that looked open is found lost at the first statement.
    assert answer.code == "DATABASE_UNAVAILABLE"
    assert shop.ran == []
    wire.mend()
    assert await _when_it_is_back(shop, saga) == SOLD
    assert endings(caplog, saga)[0] == f"transient {answer.code}"
    assert endings(caplog, saga)[-1] == "completed"
    assert await shop.standing() == 1


async def test_during(far: tuple[Shop, Wire], saga: str) -> None:
    shop, wire = far

    @shop.participant.action("SellAndFall")
    async def sell_and_fall(command: dict[str, Any], db: Any) -> None:
        await shop.stage.write(db, f"INSERT INTO {shop.table} (saga_id) VALUES ('{saga}')")
        wire.cut()

    @shop.participant.action("FallAndFail")
    async def fall_and_fail(command: dict[str, Any], db: Any) -> None:
        await sell_and_fall(command, db)
        raise RuntimeError

    # Of a handler that fails it is asked whether it has committed; here nobody can be asked.
    body = command_body("Shop.FallAndFail", {}, saga_id=str(uuid.uuid4()))
    failed = Transient("HANDLER_FAILED", "RuntimeError")
    assert await shop.participant.carry_out(body) == failed
    wire.mend()
    body = command_body("Shop.SellAndFall", {}, saga_id=saga)
    answer = await shop.participant.carry_out(body)
    assert isinstance(answer, Transient) and answer.code == "DATABASE_UNAVAILABLE"
    wire.mend()
    assert await _when_it_is_back(shop, saga) == SOLD
    assert await shop.standing() == 1


@pytest.mark.parametrize("is_heard", [False, True], ids=["not heard", "heard"])
async def test_at_the_commit(
    far: tuple[Shop, Wire], saga: str, is_heard: bool, caplog: pytest.LogCaptureFixture
) -> None:
    shop, wire = far
    caplog.set_level("INFO", "amends_participant")
    wire.cut_at, wire.pass_it_on = b"COMMIT", is_heard
    lost = "whether it was committed is not known; the same command tells"
    assert await sell(shop, saga) == Unknown(lost)
    assert endings(caplog, saga) == ["unknown OUTCOME_UNKNOWN"]
    wire.mend()
    assert await _when_it_is_back(shop, saga) == SOLD
    assert await shop.standing() == 1
    assert shop.ran == (["sell"] if is_heard else ["sell", "sell"])
    wire.cut_at, wire.pass_it_on = b"COMMIT", is_heard
    assert isinstance(await take_back(shop, saga), Unknown)
    wire.mend()
    await _when_it_is_back(shop, saga)
    assert (await take_back(shop, saga)) != NOTHING
    assert await shop.standing() == 0


async def _when_it_is_back(shop: Shop, saga: str) -> object:
    """A pool may need a try to find its connections lost."""
    answer = await sell(shop, saga)
    for _ in range(20):
        if not isinstance(answer, Transient):
            break
        answer = await sell(shop, saga)
    return answer


async def test_no_server_at_all(tmp_path: Path, saga: str) -> None:
    async with make("alchemy asyncpg", tmp_path, "amends@127.0.0.1:1/postgres") as stage:
        participant = Participant("Shop", stage.database, create_tables=True)

        @participant.action("Sell")
        async def sell(command: dict[str, Any]) -> None: ...

        answer = await participant.carry_out(command_body("Shop.Sell", {}, saga_id=saga))
        assert answer == Transient("DATABASE_UNAVAILABLE", "ConnectionRefusedError", SOON_S)


NOT_IN_TIME = Transient("DATABASE_UNAVAILABLE", "no connection became free in time", SOON_S)


@pytest.mark.parametrize("create_tables", [True, False], ids=["made here", "made by a migration"])
async def test_a_pool_that_waits_for_its_server_has_no_command_wait_as_long(
    create_tables: bool,
) -> None:
    """Nor do they wait one after the other, where the tables are still to be made."""
    pool: Any = AsyncConnectionPool("postgres://amends@127.0.0.1:1/x", open=False, timeout=3600)
    database = Postgres(pool)
    database.connection_wait_s = 0.2
    participant = Participant("Shop", database, create_tables=create_tables)

    @participant.action("Sell")
    async def sell(command: dict[str, Any]) -> None: ...

    def told() -> Any:
        return participant.carry_out(command_body("Shop.Sell", {}, saga_id=str(uuid.uuid4())))

    answers = await asyncio.wait_for(asyncio.gather(*[told() for _ in range(3)]), 60)
    assert [answer.code for answer in answers] == ["DATABASE_UNAVAILABLE"] * 3
    await pool.close()


async def test_all_connections_are_in_use(stage: Stage) -> None:
    """It is told as of a database that is away, and the connections are there when they are let
    go."""
    shop = await open_shop(stage)
    stage.database.connection_wait_s = 0.2
    held: list[Transaction] = []
    with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
        while len(held) < 100:
            held.append(await asyncio.wait_for(stage.database.begin(), 1))
    saga = str(uuid.uuid4())
    for _ in range(3):
        answer = await sell(shop, saga)
        assert answer == NOT_IN_TIME
    assert shop.ran == []
    for transaction in held:
        await transaction.rollback()
    stage.database.connection_wait_s = 60
    assert await sell(shop, saga) == SOLD


async def test_a_transaction_that_is_begun_too_late_is_given_back(
    tmp_path: Path, saga: str
) -> None:
    class Late(Sqlite):
        async def begin(self) -> SqliteTransaction:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
            return await super().begin()

    database = Late(tmp_path / "service.db")
    database.connection_wait_s = 0.01
    participant = Participant("Shop", database)

    @participant.action("Sell")
    async def sell(command: dict[str, Any]) -> None: ...

    await participant.open()
    body = command_body("Shop.Sell", {}, saga_id=saga)
    assert await participant.carry_out(body) == NOT_IN_TIME
    carried_out = asyncio.create_task(participant.carry_out(body))
    await asyncio.sleep(0)
    carried_out.cancel()
    with pytest.raises(asyncio.CancelledError):
        await carried_out
    await (await asyncio.wait_for(Sqlite.begin(database), 60)).rollback()
    await participant.close()


async def test_a_row_of_another_version_is_no_fault_of_a_handler(shop: Shop, saga: str) -> None:
    assert await sell(shop, saga) == SOLD
    await shop.stage.run(f"UPDATE amends_guard SET state = 'shelved' WHERE saga_id = '{saga}'")
    assert await sell(shop, saga) == Transient("DATABASE_UNAVAILABLE", "ForeignRow", SOON_S)
    await shop.stage.run(f"DELETE FROM amends_guard WHERE saga_id = '{saga}'")


async def test_a_file_that_cannot_be_opened_and_one_that_comes_later(
    tmp_path: Path, saga: str
) -> None:
    folder = tmp_path / "later"
    participant = Participant("Shop", Sqlite(folder / "service.db"), create_tables=True)

    @participant.action("Sell")
    async def sell(command: dict[str, Any]) -> str:
        return "sold"

    body = command_body("Shop.Sell", {}, saga_id=saga)
    async with client(participant) as http:
        answer = await http.post("/Sell", content=body)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, str(SOON_S))
    unavailable = Transient("DATABASE_UNAVAILABLE", "OperationalError", SOON_S)
    assert await participant.carry_out(body) == unavailable
    folder.mkdir()
    assert not isinstance(await participant.carry_out(body), Transient)
    await participant.close()


@pytest.mark.parametrize("kind", ["sqlite", *POSTGRES])
async def test_a_commit_that_the_database_refuses_has_changed_nothing(
    kind: str, tmp_path: Path, saga: str
) -> None:
    """A constraint that is looked at when all is done: of its error it is known that all was rolled
    back. MySQL and MariaDB have none."""
    async with make(kind, tmp_path) as stage:
        shop = await open_shop(stage)
        child, parent = f"{shop.table}_child", f"{shop.table}_parent"
        await stage.run(f"CREATE TABLE {parent} (id INTEGER PRIMARY KEY)")
        await stage.run(
            f"CREATE TABLE {child} (parent INTEGER REFERENCES {parent}"
            " DEFERRABLE INITIALLY DEFERRED)"
        )
        orphan = f"INSERT INTO {child} VALUES (7)"

        @shop.participant.action("Orphan")
        async def orphan_it(command: dict[str, Any], db: Any) -> None:
            await stage.write(db, orphan)

        @shop.participant.compensation("OrphanToo")
        async def orphan_too(command: dict[str, Any], db: Any) -> None:
            await stage.write(db, orphan)

        refused = Transient("HANDLER_FAILED", "the commit was refused")
        body = command_body("Shop.Orphan", {}, saga_id=saga)
        assert await shop.participant.carry_out(body) == refused
        assert await shop.guard(saga) == {}
        assert await sell(shop, saga) == SOLD
        undo = command_body("Shop.OrphanToo", {}, saga_id=saga, direction="compensation")
        assert await shop.participant.carry_out(undo) == refused
        assert await shop.guard(saga) == {"action": ("completed", 1)}
        assert await stage.rows(f"SELECT * FROM {child}") == []


SLEEPS = {"postgresql": "SELECT pg_sleep(30)", "mysql": "DO SLEEP(30)"}


async def test_a_handler_that_is_cancelled_has_done_nothing(
    far: tuple[Shop, Wire], saga: str
) -> None:
    """In the middle of a statement, as a server does it that is stopped."""
    shop, _ = far
    begun = asyncio.Event()

    @shop.participant.action("Sleep")
    async def sleep(command: dict[str, Any], db: Any) -> None:
        await shop.stage.write(db, f"INSERT INTO {shop.table} (saga_id) VALUES ('{saga}')")
        begun.set()
        await shop.stage.write(db, SLEEPS[shop.stage.database.dialect.name])

    body = command_body("Shop.Sleep", {}, saga_id=saga)
    task = asyncio.create_task(shop.participant.carry_out(body))
    await begun.wait()
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    other = str(uuid.uuid4())
    assert await _when_it_is_back(shop, other) == SOLD
    assert await shop.standing() == 1
