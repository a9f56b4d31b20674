"""Sagas without a coordinator, on every database: services that share one, over a place of events
in memory. The same as the kit for Rust is held by."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amends_participant import (
    About,
    Cancelled,
    Choreographies,
    KeyReused,
    MemoryEvents,
    NoSuchType,
    Participant,
    Refused,
    Retention,
    State,
    UnfitData,
    Unfitting,
    Unheard,
)
from amends_participant.choreography import reacting, turn
from amends_participant.choreography import sql as saga_sql
from amends_participant.choreography.event import SagaEvent
from amends_participant.database import in_transaction
from amends_participant.guard.sql import MYSQL, POSTGRES, SQLITE, Dialect
from amends_participant.messages import outbox
from conftest import KINDS, Stage, make

SERVICES = ("InventoryService", "PaymentService", "ShippingService")
PAUSES = {"initial_ms": 10, "factor_percent": 200, "max_ms": 20, "jitter": "none"}


def order(*, deadline_ms: int = 60_000, kind: str = "pivot") -> dict[str, Any]:
    """Three steps, one after the other; the data says how each ends."""

    def step(name: str, service: str, undo: str | None, after: list[str], kind: str) -> Any:
        return {
            "name": name,
            "kind": kind,
            "service": service,
            "action": "Act",
            "compensation": undo,
            "after": after,
            "deadline_ms": deadline_ms if name == "charge" else 60_000,
            "retry": {"max_attempts": 3, "backoff": PAUSES},
            "undo": {"backoff": PAUSES},
            "when": None,
            "input": {"amount": len(after) + 1, "end": "${ data." + name + " }"},
            "flat": True,
        }

    return {
        "plan": 1,
        "saga_type": "Order",
        "version": 1,
        "definition_hash": f"{kind}{deadline_ms}".encode().hex().ljust(64, "0"),
        "deadline_ms": None,
        "arbiter": "ship",
        "data_schema": None,
        "steps": [
            step("reserve", SERVICES[0], "Undo", [], "compensatable"),
            step("charge", SERVICES[1], "Undo", ["reserve"], "compensatable"),
            step("ship", SERVICES[2], None, ["reserve", "charge"], kind),
        ],
    }


@dataclass
class Gate:
    """Where handlers stand, one by one, if it is shut."""

    is_shut: bool = False
    arrived: asyncio.Queue[None] = field(default_factory=asyncio.Queue)
    let_in: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def pass_through(self) -> None:
        if self.is_shut:
            self.arrived.put_nowait(None)
            await self.let_in.acquire()


@dataclass
class Shop:
    """All services of the order, on one database and one place."""

    stage: Stage
    table: str
    plan: dict[str, Any]
    place: MemoryEvents = field(default_factory=lambda: MemoryEvents(*SERVICES))
    gate: Gate = field(default_factory=Gate)
    services: list[Choreographies] = field(default_factory=list)
    at_work: list[Callable[[], Any]] = field(default_factory=list)

    def participant(self, name: str) -> Participant:
        participant = Participant(name, self.stage.database)
        stage, table, gate = self.stage, self.table, self.gate

        async def enter(db: Any, about: About, amount: int) -> None:
            await stage.write(
                db,
                f"INSERT INTO {table} (saga_id, direction, amount)"
                f" VALUES ('{about.saga_id}', '{about.direction}', {amount})",
            )
            await gate.pass_through()

        @participant.action("Act")
        async def act(command: dict[str, Any], db: Any, about: About) -> dict[str, Any]:
            data = command["data"]
            await enter(db, about, data["amount"])
            if data["end"] == "refuse" or (data["end"] == "refuse twice" and about.round < 3):
                raise Refused("NO", f"round {about.round}")
            if data["end"] == "fail":
                raise RuntimeError("as the data wants it")
            return {"amount": data["amount"], "attempt": about.attempt}

        @participant.compensation("Undo")
        async def undo(command: dict[str, Any], db: Any, about: About, result: Any) -> None:
            await enter(db, about, result["amount"])

        return participant

    def service(self, name: str) -> Choreographies:
        return self.participant(name).choreographies([self.plan])

    def serve(self, name: str, service: Choreographies | None = None) -> None:
        """Another copy of a service, until it is killed."""
        listener = self.place.listener(name)
        service = service or self.service(name)
        task = asyncio.create_task(service.react(listener, at_once=3))

        async def kill() -> None:
            task.cancel()
            await asyncio.sleep(0.05)
            # Who is cancelled again waits for no handler.
            task.cancel()
            await asyncio.wait([task])
            listener.leave()

        self.at_work.append(kill)

    def serve_all(self) -> None:
        for name in SERVICES:
            self.serve(name)

    async def kill_all(self) -> None:
        await asyncio.gather(*(kill() for kill in self.at_work))
        self.at_work.clear()

    async def start(self, **ends: str) -> str:
        """Steps that are not named end well."""
        return await self.services[0].start(
            "Order", {"reserve": "", "charge": "", "ship": "", **ends}
        )

    async def state(self, service: int, saga: str) -> State | None:
        try:
            return (await self.services[service].record(saga)).state
        except Unheard:
            return None

    async def end(self, saga: str) -> State:
        """How it ended, at all services alike."""
        async for _ in in_time():
            states = {await self.state(service, saga) for service in range(len(SERVICES))}
            if states == {State.COMPLETED} or states == {State.FAILED}:
                (state,) = states
                assert state is not None
                return state
        raise AssertionError(f"it does not end: {self.said(saga)}")

    async def has_said(self, saga: str, name: str) -> None:
        async for _ in in_time():
            if name in self.said(saga):
                return
        raise AssertionError(f"{name} is not said: {self.said(saga)}")

    def said(self, saga: str) -> list[str]:
        """In the order of its publishing."""
        return [one.name for one in self.place.said if one.saga_id == saga]

    async def ledger(self, saga: str) -> tuple[list[int], list[int]]:
        """The amounts of its actions, and of its undos."""
        rows = await self.stage.rows(
            f"SELECT direction, amount FROM {self.table} WHERE saga_id = '{saga}' ORDER BY amount"
        )
        return tuple([a for d, a in rows if d == of] for of in ("action", "compensation"))  # type: ignore[return-value]


async def in_time() -> AsyncIterator[None]:
    """For as long as a loaded machine may take."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        yield
        await asyncio.sleep(0.02)


@pytest.fixture(params=[kind for kind in KINDS if kind != "alchemy aiosqlite"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """Not a file with connections of its own for each of three services: each would wait for the
    others' locks for seconds, as no service does that has a file to itself."""
    async with make(request.param, tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """One copy is not told of what another has written, and what one that was killed has left is
    taken up by the next."""
    monkeypatch.setattr(turn, "LEFT_FOR_MS", 200)
    monkeypatch.setattr(outbox, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(reacting, "LOOK_EVERY_S", 0.02)


async def opened(stage: Stage, plan: dict[str, Any]) -> Shop:
    shop = Shop(stage, f"ledger_{uuid.uuid4().hex[:12]}", plan)
    for name in SERVICES:
        service = shop.service(name)
        await service.create_tables()
        shop.services.append(service)
    for left_by_others in ("amends_outbox", "amends_saga"):
        await stage.run(f"DELETE FROM {left_by_others}")
    await stage.run(
        f"CREATE TABLE {shop.table} (saga_id varchar(36) NOT NULL, direction varchar(12) NOT NULL,"
        " amount bigint NOT NULL)"
    )
    return shop


@pytest.fixture
async def closing(stage: Stage) -> AsyncIterator[contextlib.AsyncExitStack]:
    """Ends what was begun, and takes the table away: what lists the kit's own has none of it."""
    async with contextlib.AsyncExitStack() as stack:
        yield stack
    await stage.run("DROP TABLE IF EXISTS amends_saga")


Open = Callable[..., Any]


@pytest.fixture
def open_shop(stage: Stage, closing: contextlib.AsyncExitStack) -> Open:
    async def open_it(**plan: Any) -> Shop:
        shop = await opened(stage, order(**plan))
        closing.push_async_callback(shop.kill_all)
        return shop

    return open_it


@pytest.fixture
async def shop(open_shop: Open) -> Shop:
    made: Shop = await open_shop()
    made.serve_all()
    return made


async def test_a_saga_runs_from_service_to_service(shop: Shop) -> None:
    saga = await shop.start()
    assert await shop.end(saga) is State.COMPLETED
    assert await shop.ledger(saga) == ([1, 2, 3], [])
    assert shop.said(saga) == [
        "OrderStarted",
        "ReserveCompleted",
        "ChargeCompleted",
        "ShipCompleted",
    ]
    body = json.loads(shop.place.said[-1].body)
    assert body["context"] == {
        "saga_id": saga,
        "step": 3,
        "data": {"reserve": "", "charge": "", "ship": ""},
        "completed_steps": ["reserve", "charge", "ship"],
    }
    assert body["result"] == {"amount": 3, "attempt": 1}


async def test_a_refusal_undoes_what_was_done_in_reverse_order(shop: Shop) -> None:
    saga = await shop.start(ship="refuse")
    assert await shop.end(saga) is State.FAILED
    assert await shop.ledger(saga) == ([1, 2], [1, 2])
    said = shop.said(saga)
    assert said.index("SagaFailed") < said.index("ChargeCompensated"), said
    assert said.index("ChargeCompensated") < said.index("ReserveCompensated"), said
    failure = (await shop.services[0].record(saga)).failure
    assert failure is not None
    step, why = failure
    assert (step, why.code, why.message) == ("ship", "NO", "round 1")


async def test_what_never_works_is_given_up_and_undone(shop: Shop) -> None:
    saga = await shop.start(charge="fail")
    assert await shop.end(saga) is State.FAILED
    assert await shop.ledger(saga) == ([1], [1])
    failure = (await shop.services[2].record(saga)).failure
    assert failure is not None and failure[1].code == "HANDLER_FAILED"


async def test_what_must_be_done_is_asked_anew_until_it_is(open_shop: Open) -> None:
    """A refusal is stored, so each attempt is a new round."""
    shop: Shop = await open_shop(kind="retriable")
    shop.serve_all()
    saga = await shop.start(ship="refuse twice")
    assert await shop.end(saga) is State.COMPLETED
    assert await shop.ledger(saga) == ([1, 2, 3], [])


async def test_a_start_that_is_rolled_back_starts_nothing(shop: Shop) -> None:
    started: list[str] = []

    async def place(transaction: Any) -> None:
        data = {"reserve": "", "charge": "", "ship": ""}
        started.append(await shop.services[0].start("Order", data, within=transaction))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await in_transaction(shop.stage.database, place)
    assert await shop.end(await shop.start()) is State.COMPLETED
    assert shop.said(started[0]) == []
    assert await shop.state(0, started[0]) is None


async def test_the_same_key_is_the_same_saga_and_no_other(shop: Shop) -> None:
    inventory, data = shop.services[0], {"reserve": "", "charge": "", "ship": ""}
    key = uuid.uuid4().hex

    async def noted() -> list[str]:
        rows = await shop.stage.rows(f"SELECT source FROM amends_inbox WHERE id = '{key}'")
        return sorted(row[0] for row in rows)

    saga = await inventory.start_once("Order", key, data)
    digest = hashlib.sha256(f"InventoryService\nOrder\n{key}".encode()).digest()[:16]
    assert uuid.UUID(saga).version == 8
    assert uuid.UUID(saga).bytes[:6] == digest[:6] and uuid.UUID(saga).bytes[9:] == digest[9:]
    assert await inventory.start_once("Order", key, data) == saga
    assert await shop.end(saga) is State.COMPLETED
    assert shop.said(saga).count("OrderStarted") == 1
    of_data = hashlib.sha256(b'{"charge":"","reserve":"","ship":""}').hexdigest()[:32]
    source = "start InventoryService Order"
    both = [source, f"{source} {of_data}"]
    assert await noted() == both
    in_another_order = {"ship": "", "charge": "", "reserve": ""}
    assert await inventory.start_once("Order", key, in_another_order) == saga
    other = {**data, "ship": "refuse"}
    with pytest.raises(KeyReused):
        await inventory.start_once("Order", key, other)

    async def in_ones_own(transaction: Any) -> None:
        with pytest.raises(KeyReused):
            await inventory.start_once("Order", key, other, within=transaction)

    await in_transaction(shop.stage.database, in_ones_own)
    assert await noted() == both, "nothing is left, though the caller has committed"
    assert await inventory.start_once("Order", key, data) == saga
    assert shop.said(saga).count("OrderStarted") == 1
    for none in ("", " x", "x" * 201, "a\0b"):
        with pytest.raises(ValueError, match="a key has"):
            await inventory.start_once("Order", none, data)


async def test_a_key_whose_start_is_rolled_back_is_free(shop: Shop) -> None:
    inventory, key = shop.services[0], uuid.uuid4().hex

    async def place(transaction: Any) -> None:
        data = {"reserve": "refuse", "charge": "", "ship": ""}
        await inventory.start_once("Order", key, data, within=transaction)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await in_transaction(shop.stage.database, place)
    data = {"reserve": "", "charge": "", "ship": ""}
    saga = await inventory.start_once("Order", key, data)
    assert await shop.end(saga) is State.COMPLETED


async def test_what_fits_no_definition_starts_nothing(open_shop: Open) -> None:
    shop: Shop = await open_shop()
    with pytest.raises(NoSuchType):
        await shop.services[0].start("Orders", {})
    for data in ([1], "text", None, float("nan")):
        with pytest.raises(UnfitData):
            await shop.services[0].start("Order", data)
    assert await shop.stage.rows("SELECT 1 FROM amends_outbox") == []


async def test_a_saga_is_cancelled_until_its_arbiter_has_run(open_shop: Open) -> None:
    shop: Shop = await open_shop()
    # Nobody ships yet.
    shop.serve(SERVICES[0])
    shop.serve(SERVICES[1])
    saga = await shop.start()
    await shop.has_said(saga, "ChargeCompleted")
    assert await shop.services[0].cancel(saga, "the customer rang") is Cancelled.ASKED
    await shop.has_said(saga, "SagaFailed")
    # What asks for the end is heard first: whoever ships before that has decided otherwise.
    waiting = shop.place.waiting(SERVICES[2])
    for one in [waiting.get_nowait() for _ in range(waiting.qsize())][::-1]:
        waiting.put_nowait(one)
    shop.serve(SERVICES[2])
    assert await shop.end(saga) is State.FAILED
    assert await shop.ledger(saga) == ([1, 2], [1, 2])
    done = await shop.start()
    assert await shop.end(done) is State.COMPLETED
    assert await shop.services[2].cancel(done, "the customer rang") is Cancelled.TOO_LATE
    with pytest.raises(Unheard):
        await shop.services[0].cancel(str(uuid.uuid4()), "x")


async def test_services_that_are_killed_go_on_where_they_were(open_shop: Open) -> None:
    """Killed with a handler halfway, again and again."""
    shop: Shop = await open_shop()
    shop.gate.is_shut = True
    saga = await shop.start(ship="refuse")
    # Two done, one refused, two undone: each is killed at the gate once.
    for passes in range(5):
        shop.serve_all()
        await asyncio.wait_for(shop.gate.arrived.get(), 60)
        await shop.kill_all()
        shop.serve_all()
        await asyncio.wait_for(shop.gate.arrived.get(), 60)
        shop.gate.let_in.release()
        # The next one stands at the gate, or all is over.
        if passes < 4:
            await asyncio.wait_for(shop.gate.arrived.get(), 60)
        else:
            assert await shop.end(saga) is State.FAILED
        await shop.kill_all()
    assert await shop.ledger(saga) == ([1, 2], [1, 2])


async def test_copies_share_the_work_and_do_nothing_twice(shop: Shop) -> None:
    shop.serve_all()
    sagas = []
    for n in range(9):
        step, end = ("reserve", "charge", "ship")[n // 3], ("", "refuse", "fail")[n % 3]
        sagas.append((await shop.start(**{step: end}), step, end))
    for saga, step, end in sagas:
        done = {"": [1, 2, 3], "reserve": [], "charge": [1], "ship": [1, 2]}[step if end else ""]
        state = State.FAILED if end else State.COMPLETED
        assert await shop.end(saga) is state, (step, end)
        assert await shop.ledger(saga) == (done, done if end else []), (step, end)


async def test_a_service_that_never_comes_is_waited_for_only_so_long(open_shop: Open) -> None:
    shop: Shop = await open_shop(deadline_ms=100)
    shop.serve(SERVICES[0])
    shipping = shop.service(SERVICES[2]).with_grace(timedelta(milliseconds=100))
    shop.serve(SERVICES[2], shipping)
    saga = await shop.start()
    async for _ in in_time():
        if await shop.state(0, saga) is State.COMPENSATING:
            break
    failure = (await shop.services[0].record(saga)).failure
    assert failure is not None
    assert (failure[0], failure[1].code) == ("charge", "DEADLINE")
    assert shipping.counts.late == 1
    assert await shop.ledger(saga) == ([1], []), "it may have been charged"
    # When it comes at last it does nothing, or undoes what it does before it has heard that.
    shop.serve(SERVICES[1])
    assert await shop.end(saga) is State.FAILED
    done, undone = await shop.ledger(saga)
    assert done == undone


async def test_what_is_damaged_or_unknown_or_contradicts_changes_nothing(open_shop: Open) -> None:
    shop: Shop = await open_shop()
    inventory = shop.service(SERVICES[0])
    shop.serve(SERVICES[0], inventory)
    saga = await shop.start()
    await shop.has_said(saga, "ReserveCompleted")
    before = (await inventory.record(saga)).to_json()
    event = shop.place.said[-1]
    body = json.loads(event.body)
    listener = shop.place.listener(SERVICES[0])

    async def say(text: str, **attributes: Any) -> None:
        of = {**event.attributes, **attributes}
        of = {name: value for name, value in of.items() if value is not None}
        await listener.publish(replaced(event, of, text.encode()))

    context = {"saga_id": saga, "step": 1, "data": 5, "completed_steps": []}
    changed: list[dict[str, Any]] = [
        {"context": context},
        {"saga_id": "no uuid"},
        {"said": "undone"},
        {"said": "never_ran"},
        {"step_name": "pack"},
        {"definition_hash": "0" * 64, "at": "2020-01-01T00:00:00.000Z"},
        # It is put off: somebody will deploy it.
        {"definition_hash": "0" * 64},
        {"format": 2, "said": "something new"},
        # And this is nobody's business here, as is what has no mark.
        {"saga_type": "Transfer"},
    ]
    for changes in changed:
        await say(json.dumps({**body, **changes}))
    await say("{")
    await say('{"sku":"A-1"}', **{"amends-said": None})
    wanted = {"damaged": 4, "contradicted": 3, "others": 2}
    async for _ in in_time():
        counts = inventory.counts
        if {name: getattr(counts, name) for name in wanted} == wanted and counts.put_off >= 2:
            break
    counts = inventory.counts
    assert {name: getattr(counts, name) for name in wanted} == wanted, counts
    assert counts.put_off >= 2, counts
    codes = Counter(reason.partition(":")[0] for _, reason in shop.place.dead)
    assert codes == {
        "DAMAGED_EVENT": 4,
        "CONTRADICTS": 1,
        "UNKNOWN_STEP": 1,
        "UNKNOWN_DEFINITION": 1,
    }
    assert (await inventory.record(saga)).to_json() == before
    # The others, which listen to all of that only now, go their way.
    again = await shop.start()
    shop.serve(SERVICES[1])
    shop.serve(SERVICES[2])
    assert await shop.end(again) is State.COMPLETED


def replaced(event: Any, attributes: dict[str, str], body: bytes) -> Any:
    return type(event)(event.id, event.saga_id, event.kind, event.name, attributes, body)


async def test_what_is_not_signed_is_not_heard(open_shop: Open) -> None:
    shop: Shop = await open_shop()
    listener = shop.place.listener(SERVICES[0])
    inventory = shop.service(SERVICES[0])
    task = asyncio.create_task(inventory.react(listener, secrets=["shared by all"]))
    saga = await shop.start()
    await shop.has_said(saga, "ReserveCompleted")
    heard = inventory.counts.heard
    unsigned = SagaEvent.read(shop.place.said[-1].attributes, shop.place.said[-1].body)
    await shop.place.listener(SERVICES[1]).publish(unsigned.message())
    async for _ in in_time():
        if shop.place.dead:
            break
    ((_, reason),) = shop.place.dead
    assert reason.startswith("NOT_SIGNED: ")
    assert inventory.counts.heard <= heard + 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_a_service_has_no_handler_for_is_said_before_it_serves(stage: Stage) -> None:
    with pytest.raises(Unfitting) as error:
        Participant("PaymentService", stage.database).choreographies([order()])
    assert error.value.missing == ["the action Act", "the compensation Undo"]


async def test_sagas_that_are_old_are_pruned(shop: Shop) -> None:
    saga = await shop.start()
    assert await shop.end(saga) is State.COMPLETED
    retention = Retention(longest=timedelta(days=1_000))
    assert await shop.services[0].prune(retention) == 0
    assert await shop.end(saga) is State.COMPLETED
    aged = f"UPDATE amends_saga SET written_at = '1970-01-01' WHERE saga_id = '{saga}'"
    await shop.stage.run(aged)
    assert await shop.services[0].prune(retention) == 3
    assert await shop.state(0, saga) is None


@pytest.mark.parametrize("dialect", [POSTGRES, MYSQL, SQLITE], ids=lambda each: each.name)
def test_the_table_is_the_other_kits(dialect: Dialect) -> None:
    """Column by column, as their own statement makes it."""
    folder = Path(__file__).parents[2] / "crates" / "participant" / "src" / "database"
    theirs = (folder / dialect.name.replace("postgresql", "postgres") / "saga.sql").read_text()
    ours = [one for one in saga_sql.of(dialect).create if "amends_saga" in one]
    assert set(lines(theirs)) == set(lines("; ".join(ours)))


def lines(sql: str) -> list[str]:
    """What stands in statements, without how they are laid out."""
    flat = re.sub(r"\s+", " ", sql.lower()).replace("( ", "(").replace(" (", "(").replace(" )", ")")
    parts = re.split(r"; ?|, (?![a-z_]+\))|(?<=amends_saga)\((?=saga_id (?:text|char))", flat)
    return [part.strip(" );") for part in parts if part.strip(" );")]


__all__ = ["Shop", "order"]
