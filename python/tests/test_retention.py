"""Pruning: by age, both rows of a step together, and never sooner than everything that may still
send a command."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool

from amends_participant import Participant, Retention
from amends_participant.database.postgres import Postgres
from amends_participant.retention import STEPS_MAX
from conftest import POSTGRES, Shop, Stage, make, open_shop, server
from test_guard import SOLD, UNDONE, sell, take_back

AGED = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-{} seconds')",
    "postgresql": "now() - interval '{} seconds'",
    "mariadb": "utc_timestamp(6) - interval {} second",
    "mysql": "utc_timestamp(6) - interval {} second",
}

HOUR = timedelta(hours=1)
RETENTION = Retention(longest=HOUR, late_window=26 * HOUR, broker_retention=HOUR)
AGE_S, OLD_S = 28 * 3600, 29 * 3600


async def age(shop: Shop, saga: str, seconds: int, direction: str = "%") -> None:
    written_at = AGED[shop.stage.database.dialect.name].format(seconds)
    await shop.stage.run(
        f"UPDATE amends_guard SET written_at = {written_at}"
        f" WHERE saga_id = '{saga}' AND direction LIKE '{direction}'"
    )


@pytest.fixture
async def shop(stage: Stage) -> Shop:
    return await opened(stage)


async def opened(stage: Stage) -> Shop:
    shop = await open_shop(stage)
    await shop.stage.run("DELETE FROM amends_guard")
    return shop


async def test_what_is_younger_than_the_three_together_stays(shop: Shop) -> None:
    old, young = str(uuid.uuid4()), str(uuid.uuid4())
    for saga, seconds in ((old, AGE_S + 30), (young, AGE_S - 30)):
        await sell(shop, saga)
        await age(shop, saga, seconds)
    assert await shop.participant.prune(RETENTION) == 1
    assert await shop.guard(old) == {}
    assert await shop.guard(young) == {"action": ("completed", 1)}
    assert await shop.participant.prune(RETENTION) == 0


@pytest.mark.parametrize("old", ["action", "compensation"])
async def test_both_rows_go_together_counted_from_the_younger(
    shop: Shop, saga: str, old: str
) -> None:
    await sell(shop, saga)
    await take_back(shop, saga)
    await age(shop, saga, OLD_S, old)
    assert await shop.participant.prune(RETENTION) == 0
    assert len(await shop.guard(saga)) == 2
    await age(shop, saga, OLD_S)
    assert await shop.participant.prune(RETENTION) == 2
    assert await shop.guard(saga) == {}


async def test_many_go_in_several_transactions(shop: Shop) -> None:
    """More than go at once."""
    many = STEPS_MAX + 20
    rows = [(str(uuid.UUID(int=n)), way) for n in range(many) for way in ("action", "compensation")]
    written_at = AGED[shop.stage.database.dialect.name].format(OLD_S)
    values = ", ".join(
        f"('{saga}', 'step', '{way}', 1, 'x', 'completed', '1', {written_at})" for saga, way in rows
    )
    await shop.stage.run(
        "INSERT INTO amends_guard (saga_id, step, direction, round, body_sha256, state, reply,"
        f" written_at) VALUES {values}"
    )
    assert await shop.participant.prune(RETENTION) == 2 * many
    assert await shop.stage.rows("SELECT * FROM amends_guard") == []


@pytest.mark.parametrize("kind", [kind for kind in POSTGRES if kind != "psycopg connection"])
async def test_a_step_that_is_undone_while_it_is_pruned_keeps_both_rows(
    kind: str, tmp_path: Path, saga: str
) -> None:
    """The undo comes when the pruning has seen the action, and no undo of it yet."""
    async with make(kind, tmp_path) as stage:
        shop = await opened(stage)
        await sell(shop, saga)
        await age(shop, saga, OLD_S)
        holder = await stage.database.begin()
        await holder.statement("SELECT pg_advisory_xact_lock(77)", {})
        dialect = stage.database.dialect
        # As long as the lock is held the pruning stands where it has begun to look.
        stands = "CAST(pg_advisory_xact_lock(77) AS text) IS NOT NULL AND old.written_at <"
        slow = dialect.prune.replace("old.written_at <", stands, 1)
        stage.database.dialect = replace(dialect, prune=slow)
        pruning = asyncio.create_task(shop.participant.prune(RETENTION))
        standing = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not await stage.rows(standing):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the database tells it in no other way
        stage.database.dialect = dialect
        assert await take_back(shop, saga) == UNDONE
        await holder.rollback()
        assert await pruning == 0
        rows = {"action": ("completed", 1), "compensation": ("undone", 1)}
        assert await shop.guard(saga) == rows


async def test_an_undo_makes_its_action_as_young_as_itself(shop: Shop, saga: str) -> None:
    """So that whoever looks at one of the two rows alone sees the younger's age."""
    ages = f"SELECT count(DISTINCT written_at) FROM amends_guard WHERE saga_id = '{saga}'"
    await sell(shop, saga, refuse="NO")
    for round in (1, 2, 3):
        await age(shop, saga, 60)
        await take_back(shop, saga, round)
        assert await shop.stage.rows(ages) == [(1,)]
    other = str(uuid.uuid4())
    await sell(shop, other)
    await age(shop, other, 60)
    assert await take_back(shop, other) == UNDONE
    assert await shop.stage.rows(ages.replace(saga, other)) == [(1,)]


async def test_an_undo_after_pruning_still_undoes_what_the_command_knows(
    shop: Shop, saga: str
) -> None:
    assert await sell(shop, saga) == SOLD
    await age(shop, saga, OLD_S)
    await shop.participant.prune(RETENTION)
    undo = await take_back(shop, saga, outcome="completed", original_result={"sold": "kettle"})
    assert undo == UNDONE
    assert await shop.standing() == 0


async def gone(shop: Shop, saga: str) -> None:
    while await shop.guard(saga):  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # the table tells it in no other way


async def test_the_upkeep_prunes_before_the_first_command(tmp_path: Path, saga: str) -> None:
    """From a pool that nobody has opened yet."""
    async with make("psycopg pool", tmp_path) as stage:
        shop = await opened(stage)
        await sell(shop, saga)
        await age(shop, saga, OLD_S)
        at = f"postgres://{server('POSTGRES')}"
        pool: Any = AsyncConnectionPool(at, open=False, min_size=1, max_size=4, timeout=5)
        again = Participant("Shop", Postgres(pool), create_tables=True)
        async with again.upkeep(prune_by=RETENTION)():
            await asyncio.wait_for(gone(shop, saga), 30)
        await pool.close()


def test_there_is_no_default_for_the_longest() -> None:
    with pytest.raises(TypeError):
        Retention()  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="below zero"):
        Retention(longest=-HOUR)
    assert Retention(longest=HOUR).age == timedelta(hours=25)


def test_a_late_window_below_a_day_changes_nothing() -> None:
    ages = [Retention(HOUR, late_window=hours * HOUR).age for hours in (0, 1, 24, 25)]
    assert ages == [25 * HOUR, 25 * HOUR, 25 * HOUR, 26 * HOUR]
