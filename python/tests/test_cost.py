"""What the guard costs: two round trips to the database beyond the business's own, however a
handler ends. Each is counted on the wire, and printed as a row of the table in docs/guard.md."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from amends_participant import Refused, RefusedWith, Transient
from amends_participant.testing import command_body
from conftest import MARIADB, POSTGRES, Shop
from test_down import wired
from test_guard import ALREADY_UNDONE, NOTHING, SOLD, UNDONE, sell, take_back
from wire import Wire

COMMANDS = 12
"""Of a kind: what a driver does at the first times only, such as to prepare a statement, is not in
the median."""

NO = RefusedWith.of("NO", "as the data wants it")

Act = Callable[[], Awaitable[object]]


class Counted:
    def __init__(self, shop: Shop, wire: Wire) -> None:
        self.shop, self.wire = shop, wire
        write = shop.stage.write

        async def write_anew(db: Any, sql: str) -> None:
            # asyncpg prepares a text that it has not seen, which is one trip more: here always.
            await write(db, f"{sql} /* {uuid.uuid4()} */")

        shop.stage.write = write_anew

    async def cost(self, act: Act, expected: object = None) -> int:
        costs = []
        for _ in range(COMMANDS):
            before = self.wire.round_trips
            assert await act() == expected
            costs.append(self.wire.round_trips - before)
        return sorted(costs)[COMMANDS // 2]

    async def business(self, sql: str, commit: bool) -> None:
        """As it would be without a guard, by the same driver."""
        transaction = await self.shop.stage.database.begin()
        await self.shop.stage.write(transaction.handle, sql)
        await (transaction.commit() if commit else transaction.rollback())

    async def nothing(self) -> None:
        """Some drivers begin with the first statement, so there is one."""
        transaction = await self.shop.stage.database.begin()
        await transaction.statement("SELECT 1", {})
        await transaction.rollback()

    def print(self, what: str, cost: int) -> None:
        print(f"| {self.shop.stage.kind} | {what} | {cost} |")


@pytest.mark.parametrize("kind", [*POSTGRES, *MARIADB])
async def test_two_round_trips_a_command(kind: str, tmp_path: Path) -> None:
    async with wired(kind, tmp_path) as (shop, wire):
        counted = Counted(shop, wire)
        cost = counted.cost

        def saga() -> str:
            return str(uuid.uuid4())

        async def each(before: list[str], act: Callable[[str], Awaitable[object]]) -> object:
            return await act(before.pop())

        async def prepared(first: Callable[[str], Awaitable[object]]) -> list[str]:
            sagas = [saga() for _ in range(COMMANDS)]
            for one in sagas:
                await first(one)
            return sagas

        insert = f"INSERT INTO {shop.table} (saga_id) VALUES ('{saga()}')"
        delete = f"DELETE FROM {shop.table} WHERE saga_id = '{saga()}'"
        done = await cost(lambda: counted.business(insert, commit=True))
        undone = await cost(lambda: counted.business(delete, commit=True))
        failed = await cost(lambda: counted.business(insert, commit=False))
        nothing = await cost(counted.nothing) - 1

        async def check(what: str, more: int, act: Act, expected: object, without: int) -> None:
            beyond = await cost(act, expected) - without
            counted.print(what, beyond)
            assert beyond == more, what

        one = saga()
        await check("an action that completes", 2, lambda: sell(shop, saga()), SOLD, done)
        await sell(shop, one)
        await check("a duplicate", 1, lambda: sell(shop, one), SOLD, nothing)
        sagas = await prepared(lambda saga: sell(shop, saga))
        await check("an undo", 2, lambda: each(sagas, lambda s: take_back(shop, s)), UNDONE, undone)
        await take_back(shop, one)
        await check("a duplicate of an undo", 1, lambda: take_back(shop, one), UNDONE, nothing)
        await check("a tombstone", 2, lambda: take_back(shop, saga()), NOTHING, nothing)
        other = saga()
        await take_back(shop, other)
        await check(
            "an action after its undo", 1, lambda: sell(shop, other), ALREADY_UNDONE, nothing
        )

        def refuse(saga: str, round: int = 1) -> Awaitable[object]:
            return sell(shop, saga, refuse="NO", round=round)

        await check("a refusal", 2, lambda: refuse(saga()), NO, failed)
        one = saga()
        await refuse(one)
        await check("a duplicate of a refusal", 1, lambda: refuse(one), NO, nothing)
        jammed = Transient("HANDLER_FAILED", "RuntimeError")
        await check("a failure", 2, lambda: sell(shop, saga(), fail="jammed"), jammed, failed)

        async def fail_to_undo(saga: str) -> object:
            body = command_body(
                "Shop.TakeBack", {"item": "kettle", "fail": "x"}, saga_id=saga,
                direction="compensation",
            )  # fmt: skip
            return await shop.participant.carry_out(body)

        sagas = await prepared(lambda saga: sell(shop, saga))
        await check("an undo that fails", 2, lambda: each(sagas, fail_to_undo), jammed, failed)
        sagas = await prepared(refuse)
        await check(
            "a later round that completes", 2,
            lambda: each(sagas, lambda s: sell(shop, s, round=2)), SOLD, done,
        )  # fmt: skip
        sagas = await prepared(refuse)
        await check(
            "a later round that is refused", 2, lambda: each(sagas, lambda s: refuse(s, 2)), NO,
            failed,
        )  # fmt: skip

        async def come_to_light(saga: str) -> None:
            await take_back(shop, saga)
            await shop.come_to_light(saga)

        sagas = await prepared(come_to_light)
        await check(
            "a later round of an undo", 2,
            lambda: each(sagas, lambda s: take_back(shop, s, round=2)), UNDONE, undone,
        )  # fmt: skip


@pytest.mark.parametrize("kind", [*POSTGRES, *MARIADB])
async def test_round_trips_of_a_refusal_that_is_made_of_an_error(kind: str, tmp_path: Path) -> None:
    """PostgreSQL answers nothing more then but to a rollback, and asyncpg does not say that it is
    so."""
    async with wired(kind, tmp_path) as (shop, wire):
        counted = Counted(shop, wire)
        await shop.stage.run(f"CREATE UNIQUE INDEX {shop.table}_one ON {shop.table} (saga_id)")
        taken = str(uuid.uuid4())
        insert = f"INSERT INTO {shop.table} (saga_id) VALUES ('{taken}')"
        await shop.stage.run(insert)

        async def write_twice(command: dict[str, Any], db: Any) -> None:
            try:
                await shop.stage.write(db, insert)
            except Exception:
                raise Refused("TAKEN") from None

        shop.participant.action("WriteTwice")(write_twice)

        async def act() -> object:
            body = command_body("Shop.WriteTwice", {}, saga_id=str(uuid.uuid4()))
            return await shop.participant.carry_out(body)

        async def bare() -> None:
            transaction = await shop.stage.database.begin()
            with pytest.raises(Exception, match=taken):
                await shop.stage.write(transaction.handle, insert)
            await transaction.rollback()

        without = await counted.cost(bare)
        beyond = await counted.cost(act, RefusedWith.of("TAKEN", "TAKEN")) - without
        counted.print("a refusal made of a database's error", beyond)
        assert beyond == (3 if "asyncpg" in kind else 2)
