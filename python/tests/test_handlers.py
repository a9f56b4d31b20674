"""How handlers are recognised and what they are given."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import anyio
import pytest

from amends_participant import (
    About,
    Completed,
    Participant,
    Refused,
    RefusedWith,
    Sending,
    Sqlite,
    SqliteHandle,
    Transient,
    UndoAnswered,
    compensation,
    current,
)
from amends_participant.handlers import RESULT_BYTES_MAX, ResultTooLarge, command_name
from amends_participant.testing import command_body
from conftest import Shop


async def at_once(*works: Coroutine[Any, Any, None]) -> None:
    """In a group of tasks, which Python has from 3.11 on."""
    if sys.version_info >= (3, 11):
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    else:

        async def done(work: Coroutine[Any, Any, None]) -> None:
            await work

        async with anyio.create_task_group() as group:
            for work in works:
                group.start_soon(done, work)


class InsufficientInventoryError(Exception):
    pass


class InventoryService:
    """As the pattern is taught; what it published is what it now returns or raises."""

    def __init__(self) -> None:
        self.released: list[str] = []

    async def handle_reserve_items(self, command: dict[str, Any]) -> dict[str, Any]:
        try:
            reservation = await self.reserve(command["items"], command["order_id"])
        except InsufficientInventoryError as e:
            raise Refused("OUT_OF_STOCK", str(e)) from e
        return {"reservation_id": reservation}

    @compensation
    async def handle_release_reservation(self, command: dict[str, Any]) -> None:
        self.released.append(command["original_result"]["reservation_id"])

    async def handle_count(self, command: dict[str, Any]) -> int:
        return len(self.released)

    async def handle_uncount(self, command: dict[str, Any], result: int) -> None:
        self.released.append(f"count {result}")

    async def reserve(self, items: list[str], order_id: str) -> str:
        if "OUT_OF_STOCK" in items:
            raise InsufficientInventoryError("there is none")
        return f"reservation of {order_id}"


async def test_the_taught_style(small_shop: Shop, saga: str) -> None:
    service = InventoryService()
    participant = Participant.of(service, small_shop.stage.database)
    assert participant.name == "InventoryService"
    assert participant.commands == {"ReserveItems", "ReleaseReservation", "Count", "Uncount"}

    async def send(name: str, data: Any, **more: Any) -> Any:
        body = command_body(f"InventoryService.{name}", data, saga_id=saga, **more)
        return await participant.carry_out(body)

    data = {"items": ["kettle"], "order_id": "7"}
    reserved = Completed('{"reservation_id":"reservation of 7"}')
    assert await send("ReserveItems", data) == reserved
    undo = await send("ReleaseReservation", data, direction="compensation")
    assert undo == UndoAnswered(undone=True)
    assert service.released == ["reservation of 7"]
    refused = await send("ReserveItems", {**data, "items": ["OUT_OF_STOCK"]}, step="other")
    assert refused == RefusedWith.of("OUT_OF_STOCK", "there is none")
    await send("Count", {}, step="count")
    await send("Uncount", {}, step="count", direction="compensation")
    assert service.released[-1] == "count 1"


@dataclass
class Reserved:
    number: int


async def test_what_a_handler_asks_for_it_is_given(small_shop: Shop, saga: str) -> None:
    participant = Participant("Store", small_shop.stage.database)
    seen: list[Any] = []

    @participant.action("Reserve")
    async def reserve(data: dict[str, Any], about: About, db: SqliteHandle) -> Reserved:
        seen.extend((about, db))
        assert current() is not None and current() == about
        (row,) = await db.fetch("SELECT ? + 1", (41,))
        assert await db.run(lambda connection: connection.in_transaction)
        return Reserved(row[0])

    @participant.compensation("Release")
    async def release(data: list[int], result: Reserved) -> None:
        seen.append(result)

    deadline = datetime.now(timezone.utc) + timedelta(minutes=2)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    sending = Sending.of(
        {
            "amends-attempt": "3",
            "amends-deadline": deadline.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "traceparent": trace,
        }
    )
    body = command_body("Store.Reserve", [1, 2], saga_id=saga, round=2)
    assert await participant.carry_out(body, sending) == Completed('{"number":42}')
    about, db = seen
    assert (about.saga_id, about.saga_type, about.step) == (saga, "Trial", "step")
    assert (about.direction, about.round, about.attempt) == ("action", 2, 3)
    assert about.idempotency_key == f"{saga}/step/action/2"
    assert about.traceparent == trace and about.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert abs((about.deadline - deadline).total_seconds()) < 0.002
    assert 0 < about.remaining() <= 120
    assert isinstance(db, SqliteHandle) and current() is None
    body = command_body("Store.Release", [1, 2], saga_id=saga, direction="compensation")
    assert await participant.carry_out(body) == UndoAnswered(undone=True)
    assert seen[2] == Reserved(42)


@pytest.mark.parametrize(
    ("headers", "sending"),
    [
        ({}, Sending()),
        ({"amends-attempt": "x"}, Sending()),
        ({"amends-attempt": "-1"}, Sending()),
        ({"amends-deadline": "soon"}, Sending()),
        ({"traceparent": "00-xyz"}, Sending()),
        ({"traceparent": "a\nb"}, Sending()),
        (
            {"expirytime": "2026-01-01T00:00:00.000Z"},
            Sending(deadline=datetime(2026, 1, 1, tzinfo=timezone.utc)),
        ),
    ],
)
def test_headers_that_cannot_be_read_are_not_there(
    headers: dict[str, str], sending: Sending
) -> None:
    assert Sending.of(headers) == sending


def test_a_deadline_that_has_passed_leaves_no_time() -> None:
    about = About(
        "s", "", "step", "action", 1, "k", None, datetime(2020, 1, 1, tzinfo=timezone.utc), None
    )
    assert about.remaining() == 0
    assert About("s", "", "step", "action", 1, "k", None, None, None).remaining() is None


def test_a_handler_that_cannot_be_called_is_an_error_at_once() -> None:
    participant = Participant("Store", Sqlite(":memory:"))

    async def right(data: dict[str, Any]) -> None: ...
    async def nothing() -> None: ...
    async def no_data(db: Any) -> None: ...
    async def unknown(data: dict[str, Any], session: Any) -> None: ...
    async def early(data: dict[str, Any], result: Any) -> None: ...
    async def odd(data: set[str]) -> None: ...
    def plain(data: dict[str, Any]) -> None: ...

    participant.action("Right")(right)
    for function, words in [
        (nothing, "must take the command's data first"),
        (no_data, "must take the command's data first"),
        (unknown, "asks for session"),
        (early, "there is no result yet"),
        (odd, "cannot be read from JSON"),
        (plain, "async def"),
    ]:
        with pytest.raises(TypeError, match=words):
            participant.action("Wrong")(function)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="has a handler already"):
        participant.compensation("Right")(right)
    assert participant.commands == {"Right"}


def test_names() -> None:
    assert command_name("reserve_items") == "ReserveItems"
    assert command_name("ping") == "Ping"


async def test_every_line_of_a_handlers_time_says_whose_it_is(
    small_shop: Shop, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    participant = Participant("Store", small_shop.stage.database)
    elsewhere = logging.getLogger("a.library.of.somebody")

    @participant.action("Reserve")
    async def reserve(data: dict[str, Any], db: SqliteHandle) -> None:
        elsewhere.info("in the loop")
        await db.run(lambda _: elsewhere.info("in the thread"))

    caplog.set_level(logging.INFO)
    elsewhere.info("before")
    sending = Sending(
        attempt=2, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    )
    data = {"card": "4242 4242"}
    await participant.carry_out(command_body("Store.Reserve", data, saga_id=saga), sending)
    elsewhere.info("after")
    fields = [
        (r.getMessage(), r.saga_id, r.step_name, r.direction, r.attempt, r.trace_id)  # type: ignore[attr-defined]
        for r in caplog.records
    ]
    about = (saga, "step", "action", 2, "0af7651916cd43dd8448eb211c80319c")
    assert fields == [
        ("before", "-", "-", "-", "-", "-"),
        ("in the loop", *about),
        ("in the thread", *about),
        ("completed", *about),
        ("after", "-", "-", "-", "-", "-"),
    ]
    assert "4242" not in caplog.text


async def test_each_ending_is_logged_once(
    small_shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "amends_participant")
    one, other, third = (str(uuid.uuid4()) for _ in range(3))

    async def send(name: str, saga: str, direction: Any = "action", **data: Any) -> None:
        body = command_body(
            f"Shop.{name}", {"item": "cup", **data}, saga_id=saga, direction=direction
        )
        await small_shop.participant.carry_out(body)

    await send("Sell", one)
    await send("Sell", one)
    await send("Sell", one, more=1)
    await send("TakeBack", one, "compensation")
    await send("TakeBack", one, "compensation")
    await send("TakeBack", other, "compensation")
    await send("TakeBack", other, "compensation")
    await send("Sell", other)
    await send("Sell", third, refuse="NO")
    await send("Sell", third, refuse="NO")
    await send("Sell", str(uuid.uuid4()), fail="jammed")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "completed"),
        ("INFO", "completed (as answered before)"),
        ("WARNING", "contract breach KEY_REUSED"),
        ("INFO", "undone"),
        ("INFO", "undone (as answered before)"),
        ("INFO", "nothing to undo"),
        ("INFO", "nothing to undo (as answered before)"),
        ("INFO", "refused ALREADY_UNDONE"),
        ("INFO", "refused NO"),
        ("INFO", "refused NO (as answered before)"),
        ("WARNING", "transient HANDLER_FAILED: RuntimeError"),
    ]


async def test_an_undo_cannot_be_refused(small_shop: Shop, saga: str) -> None:
    participant = Participant("Store", small_shop.stage.database)

    @participant.action("Reserve")
    async def reserve(data: dict[str, Any]) -> None: ...

    @participant.compensation("Release")
    async def release(data: dict[str, Any]) -> None:
        raise Refused("TOO_LATE")

    await participant.carry_out(command_body("Store.Reserve", {}, saga_id=saga))
    undo = command_body("Store.Release", {}, saga_id=saga, direction="compensation")
    assert await participant.carry_out(undo) == Transient("HANDLER_FAILED", "Refused")
    assert await small_shop.guard(saga) == {"action": ("completed", 1)}


async def test_refusals_that_come_in_a_group_are_a_refusal_where_nothing_else_is_in_it(
    small_shop: Shop, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    participant = Participant("Store", small_shop.stage.database)

    async def ends(error: Exception) -> None:
        raise error

    @participant.action("Reserve")
    async def reserve(command: dict[str, Any], db: SqliteHandle) -> None:
        await db.execute(f"INSERT INTO {small_shop.table} (saga_id) VALUES ('{saga}')")
        no, never = Refused("NO", "not this one"), Refused("NEVER")
        last: Exception = RuntimeError("jammed") if command["jammed"] else never
        if command["nested"]:
            await at_once(at_once(ends(no), ends(last)))
        await at_once(ends(no), ends(last))

    refused = RefusedWith.of("NO", "not this one")
    for nested in (False, True):
        for jammed in (True, False):
            data = {"nested": nested, "jammed": jammed}
            body = command_body("Store.Reserve", data, saga_id=saga, step=f"nested {nested}")
            answer = await participant.carry_out(body)
            if jammed:
                # What was refused is not what it was jammed by, and is asked again.
                assert answer == Transient("HANDLER_FAILED", "ExceptionGroup")
                assert "jammed" in caplog.text
            else:
                assert answer == refused == await participant.carry_out(body)
    assert await small_shop.standing() == 0


async def test_a_refusal_is_json_whatever_its_words(small_shop: Shop, saga: str) -> None:
    participant = Participant("Store", small_shop.stage.database)

    @participant.action("Reserve")
    async def reserve(data: dict[str, Any]) -> None:
        raise Refused("NO")

    answer = await participant.carry_out(command_body("Store.Reserve", {}, saga_id=saga))
    assert isinstance(answer, RefusedWith)
    assert json.loads(answer.error) == {"code": "NO", "message": "NO"}


async def test_a_result_that_no_undo_could_bring_again_is_not_now(
    small_shop: Shop, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    participant = Participant("Store", small_shop.stage.database)

    @participant.action("Fill")
    async def fill(command: dict[str, Any]) -> str:
        return "x" * (int(command["size"]) - 2)  # with its quotes

    @participant.compensation("Empty")
    async def empty(data: dict[str, Any], result: str) -> None: ...

    body = command_body("Store.Fill", {"size": RESULT_BYTES_MAX + 1}, saga_id=saga)
    told = await participant.carry_out(body)
    assert told == Transient("HANDLER_FAILED", ResultTooLarge.__name__)
    assert await small_shop.guard(saga) == {}
    assert "return a reference to it" in caplog.text
    other = str(uuid.uuid4())
    body = command_body("Store.Fill", {"size": RESULT_BYTES_MAX}, saga_id=other)
    told = await participant.carry_out(body)
    assert isinstance(told, Completed) and len(told.result) == RESULT_BYTES_MAX
    # With the most data that an engine sends, which stands in a body twice.
    undo = command_body(
        "Store.Empty",
        {"more": "x" * 512 * 1024},
        saga_id=other,
        direction="compensation",
        original_result=json.loads(told.result),
    )
    assert await participant.carry_out(undo) == UndoAnswered(undone=True)
