"""The relay goes on whatever its broker's client does, and keeps each saga's order."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from amends_participant import Delivery, MemoryChannel, Outgoing, Participant
from amends_participant.database.postgres import Postgres
from amends_participant.messages import outbox, serving
from amends_participant.messages.outbox import MESSAGES_AT_ONCE, Relay
from amends_participant.testing import command_body
from conftest import SQLITE, Shop, Stage, make, open_shop, server
from test_messages import Slow, in_outbox, replies, tell, with_events
from test_messages import serving as served

PUT = (
    "INSERT INTO amends_outbox (message_id, saga_id, kind, name, attributes, body, written_at)"
    " VALUES ('{}', '{}', 'event', 'E', '{{}}', '{}', CURRENT_TIMESTAMP)"
)


def new() -> str:
    return str(uuid.uuid4())


async def put(stage: Stage, saga_id: str, body: int) -> None:
    await stage.run(PUT.format(new(), saga_id, body))


@contextlib.asynccontextmanager
async def upkept(participant: Participant, channel: MemoryChannel, way: str) -> AsyncIterator[None]:
    if way == "upkeep":
        async with participant.upkeep(relay_to=channel)():
            yield
        return
    task = asyncio.create_task(getattr(participant, way)(channel))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("way", ["upkeep", "relay", "serve"])
async def test_a_service_relays_before_its_first_command(tmp_path: Path, way: str) -> None:
    """What it left behind when it went down, from a pool that nobody has opened yet."""
    async with make("psycopg pool", tmp_path) as stage:
        shop = await open_shop(stage)
        with_events(shop)
        await shop.participant.carry_out(tell(new()))
    at = f"postgres://{server('POSTGRES')}"
    pool: Any = AsyncConnectionPool(at, open=False, min_size=1, max_size=4, timeout=5)
    again = Participant("Shop", Postgres(pool), create_tables=True)
    channel = MemoryChannel()
    async with upkept(again, channel, way):
        await asyncio.wait_for(channel.has_published(1), 30)
    await pool.close()


@pytest.mark.parametrize("kind", SQLITE)
async def test_two_services_relay_one_file_one_at_a_time(kind: str, tmp_path: Path) -> None:
    async with make(kind, tmp_path) as stage, make(kind, tmp_path) as second:
        shop = await open_shop(stage)
        await second.database.open()
        with_events(shop)
        await shop.participant.carry_out(tell(str(uuid.uuid4())))
        slow, other = Slow(), MemoryChannel()
        relaying = asyncio.create_task(Relay(stage.database, slow).once())
        await slow.asked.wait()
        assert await Relay(second.database, other).once() == 0
        # Another in the same process has no turn either.
        assert await Relay(stage.database, other).once() == 0
        # Nobody who has something to put waits for the broker.
        await asyncio.wait_for(shop.participant.carry_out(tell(str(uuid.uuid4()))), 30)
        slow.go_on.set()
        assert await relaying == 1
        assert await Relay(second.database, other).once() == 1
        assert len(slow.published) == len(other.published) == 1
        assert await in_outbox(shop) == 0


class Broken(MemoryChannel):
    """Its client cancels what it is asked, once each."""

    def __init__(self) -> None:
        super().__init__()
        self.breaks = {"publish", "receive", "ack"}

    def _break(self, what: str) -> None:
        if what in self.breaks:
            self.breaks.remove(what)
            raise asyncio.CancelledError

    async def publish(self, outgoing: Outgoing) -> None:
        self._break("publish")
        await super().publish(outgoing)

    async def receive(self) -> Delivery:
        self._break("receive")
        return await super().receive()

    async def ack(self, delivery: Delivery) -> None:
        self._break("ack")
        await super().ack(delivery)


async def test_a_cancellation_by_a_brokers_client_ends_nothing(small_shop: Shop) -> None:
    channel = Broken()
    task = asyncio.create_task(small_shop.participant.serve(channel))
    await channel.send(command_body("Shop.Sell", {"item": "cup"}, saga_id=new()))
    await asyncio.wait_for(channel.has_published(2), 30)
    await asyncio.wait_for(channel.settled(), 30)
    assert channel.breaks == set() and not task.done()
    assert (channel.given_back, small_shop.ran) == (1, ["sell"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_handler_that_a_library_cancels_has_failed(small_shop: Shop) -> None:
    @small_shop.participant.action("Lose")
    async def lose(command: dict[str, Any]) -> None:
        raise asyncio.CancelledError

    async with served(small_shop) as channel:
        await channel.send(command_body("Shop.Lose", {}, saga_id=new()))
        await asyncio.wait_for(channel.settled(), 30)
    (reply,) = replies(channel)
    assert reply["error"] == {"code": "HANDLER_FAILED", "message": "CancelledWithin"}


async def test_a_handler_ends_before_its_transaction_when_all_is_cancelled(shop: Shop) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    @shop.participant.action("Wait")
    async def wait(command: dict[str, Any], db: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await shop.stage.write(db, f"INSERT INTO {shop.table} (saga_id) VALUES ('late')")
            ended.set()

    task = asyncio.create_task(
        shop.participant.carry_out(command_body("Shop.Wait", {}, saga_id=new()))
    )
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert await shop.standing() == 0


async def test_the_order_of_a_saga_holds_over_pages(tmp_path: Path) -> None:
    """Both of its messages are committed between the first page and the second, the first of them
    with an id of the first page."""
    async with make("psycopg pool", tmp_path) as stage:
        await open_shop(stage)
        slow = await psycopg.AsyncConnection.connect(f"postgres://{server('POSTGRES')}")
        saga, refused = new(), new()
        await slow.execute(PUT.format(new(), saga, 1).encode())
        await put(stage, refused, 0)
        for _ in range(MESSAGES_AT_ONCE - 1):
            await put(stage, new(), 7)

        class Committing(MemoryChannel):
            has_begun = False

            async def publish(self, outgoing: Outgoing) -> None:
                if outgoing.saga_id == refused:
                    raise ConnectionError
                if not self.has_begun:
                    self.has_begun = True
                    await slow.commit()
                    await put(stage, saga, 2)
                await super().publish(outgoing)

        channel = Committing()
        relay = Relay(stage.database, channel)
        for _ in range(2):
            with contextlib.suppress(ConnectionError):
                await relay.once()
        assert [m.body for m in channel.published if m.saga_id == saga] == [b"1", b"2"]
        await slow.close()
        await stage.run("DELETE FROM amends_outbox")


async def test_the_order_of_a_saga_that_is_forgotten_holds(
    small_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "REFUSED_MAX", 2)
    sagas = [new() for _ in range(3)]
    for saga in sagas:
        await put(small_shop.stage, saga, 1)
    await put(small_shop.stage, sagas[0], 2)

    class Picky(MemoryChannel):
        takes = False

        async def publish(self, outgoing: Outgoing) -> None:
            if not self.takes and outgoing.body == b"1":
                raise ConnectionError
            await super().publish(outgoing)

    channel = Picky()
    relay = Relay(small_shop.participant.database, channel)
    for channel.takes in (False, False, True, True):
        with contextlib.suppress(ConnectionError):
            await relay.once()
    assert [m.body for m in channel.published if m.saga_id == sagas[0]] == [b"1", b"2"]


async def test_a_dead_letter_that_is_not_taken_is_given_back_and_comes_again(
    small_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "SETTLED_WITHIN_S", 0.05)

    class Strict(MemoryChannel):
        tried = 0

        async def dead_letter(self, delivery: Delivery, reason: str) -> None:
            self.tried += 1
            if self.tried == 1:
                raise ConnectionError
            if self.tried == 2:
                await asyncio.Event().wait()
            await super().dead_letter(delivery, reason)

    channel = Strict()
    task = asyncio.create_task(small_shop.participant.serve(channel))
    for _ in range(2):
        await channel.send(b"{")
        await asyncio.wait_for(channel.settled(), 30)
    assert (len(channel.dead), channel.given_back) == (2, 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert channel.pauses_s == [0.2, 0.4]


async def test_the_attempt_stands_in_the_sendings_id(small_shop: Shop, saga: str) -> None:
    seen: list[Any] = []

    @small_shop.participant.action("See")
    async def see(command: dict[str, Any]) -> None: ...

    key = f"{saga}/step/action"
    async with served(small_shop) as channel:
        for id_ in (f"{key}:3", f"{key}/2:4", f"{key}:x", "other:3"):
            await channel.send(command_body("Shop.See", {}, saga_id=saga), {"id": id_})
            await channel.settled()
            seen.append(id_)
        await channel.has_published(len(seen))
    assert [reply.get("attempt") for reply in replies(channel)] == [3, 4, None, None]


async def test_a_service_is_opened_again_in_another_event_loop(tmp_path: Path) -> None:
    async with make("sqlite", tmp_path) as stage:
        shop = await open_shop(stage)

        async def life() -> None:
            sold = await asyncio.gather(
                *(
                    shop.participant.carry_out(
                        command_body("Shop.Sell", {"item": "cup"}, saga_id=new())
                    )
                    for _ in range(4)
                )
            )
            assert all(getattr(one, "result", "") for one in sold), sold
            await shop.participant.close()

        await life()
        await asyncio.to_thread(lambda: asyncio.run(life()))
        assert await in_outbox(shop) == 0 and await shop.standing() == 8
