"""Pruning: by age, both rows of a step together, and never sooner than everything that may still
send a command."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from amends_participant import Retention
from amends_participant.retention import STEPS_MAX
from conftest import Shop
from test_guard import SOLD, UNDONE, sell, take_back

AGED = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-{} seconds')",
    "postgresql": "now() - interval '{} seconds'",
    "mariadb": "utc_timestamp(6) - interval {} second",
    "mysql": "utc_timestamp(6) - interval {} second",
}

HOUR = timedelta(hours=1)
RETENTION = Retention(longest=HOUR, late_window=HOUR, broker_retention=HOUR)


async def age(shop: Shop, saga: str, seconds: int, direction: str = "%") -> None:
    written_at = AGED[shop.stage.database.dialect.name].format(seconds)
    await shop.stage.run(
        f"UPDATE amends_guard SET written_at = {written_at}"
        f" WHERE saga_id = '{saga}' AND direction LIKE '{direction}'"
    )


@pytest.fixture(autouse=True)
async def empty(shop: Shop) -> None:
    await shop.stage.run("DELETE FROM amends_guard")


async def test_what_is_younger_than_the_three_together_stays(shop: Shop) -> None:
    old, young = str(uuid.uuid4()), str(uuid.uuid4())
    for saga, seconds in ((old, 3 * 3600 + 30), (young, 3 * 3600 - 30)):
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
    await age(shop, saga, 4 * 3600, old)
    assert await shop.participant.prune(RETENTION) == 0
    assert len(await shop.guard(saga)) == 2
    await age(shop, saga, 4 * 3600)
    assert await shop.participant.prune(RETENTION) == 2
    assert await shop.guard(saga) == {}


async def test_many_go_in_several_transactions(shop: Shop) -> None:
    """More than go at once."""
    many = STEPS_MAX + 20
    rows = [(str(uuid.UUID(int=n)), way) for n in range(many) for way in ("action", "compensation")]
    written_at = AGED[shop.stage.database.dialect.name].format(4 * 3600)
    values = ", ".join(
        f"('{saga}', 'step', '{way}', 1, 'x', 'completed', '1', {written_at})" for saga, way in rows
    )
    await shop.stage.run(
        "INSERT INTO amends_guard (saga_id, step, direction, round, body_sha256, state, reply,"
        f" written_at) VALUES {values}"
    )
    assert await shop.participant.prune(RETENTION) == 2 * many
    assert await shop.stage.rows("SELECT * FROM amends_guard") == []


async def test_an_undo_after_pruning_still_undoes_what_the_command_knows(
    shop: Shop, saga: str
) -> None:
    assert await sell(shop, saga) == SOLD
    await age(shop, saga, 4 * 3600)
    await shop.participant.prune(RETENTION)
    undo = await take_back(shop, saga, outcome="completed", original_result={"sold": "kettle"})
    assert undo == UNDONE
    assert await shop.standing() == 0


def test_there_is_no_default_for_the_longest() -> None:
    with pytest.raises(TypeError):
        Retention()  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="below zero"):
        Retention(longest=-HOUR)
    assert Retention(longest=HOUR).age == timedelta(hours=25)
