"""How a service that answers by message ends: with what is at work, or at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from amends_participant import MemoryChannel, Outgoing
from amends_participant.messages import outbox
from amends_participant.testing import command_body
from conftest import Shop
from test_relaying import put


async def test_who_is_cancelled_once_more_waits_for_no_handler(small_shop: Shop, saga: str) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    @small_shop.participant.action("Hang")
    async def hang(command: dict[str, Any], db: Any) -> None:
        await small_shop.stage.write(
            db, f"INSERT INTO {small_shop.table} (saga_id) VALUES ('{saga}')"
        )
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    channel, before = MemoryChannel(), asyncio.all_tasks()
    serving = asyncio.create_task(small_shop.participant.serve(channel))
    await channel.send(command_body("Shop.Hang", {}, saga_id=saga))
    await begun.wait()
    serving.cancel()
    await asyncio.sleep(0.05)
    assert not ended.is_set(), "what is at work is answered"
    serving.cancel()
    await asyncio.wait([serving], timeout=60)
    assert serving.cancelled() and ended.is_set()
    # No relay, and no handler, goes on behind one who thinks that all has ended.
    assert asyncio.all_tasks() == before
    assert await small_shop.standing() == 0
    assert await small_shop.guard(saga) == {}


class Slow(MemoryChannel):
    """It takes each message when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self.takes = asyncio.Semaphore(0)

    async def publish(self, outgoing: Outgoing) -> None:
        self.asked.put_nowait(outgoing.id)
        await self.takes.acquire()
        await super().publish(outgoing)


async def test_a_stop_comes_not_between_the_brokers_word_and_its_note(
    small_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be noted as gone out only after all the rest would go out twice."""
    stage = small_shop.stage
    await stage.run("DELETE FROM amends_outbox")
    for body in range(4):
        await put(stage, f"saga {body}", body)
    monkeypatch.setattr(outbox, "LAST_RELAYED_WITHIN_S", 0.2)
    channel = Slow()
    serving = asyncio.create_task(small_shop.participant.serve(channel))
    await asyncio.wait_for(channel.asked.get(), 60)
    channel.takes.release()
    await asyncio.wait_for(channel.asked.get(), 60)
    serving.cancel()
    await asyncio.sleep(0.05)
    channel.takes.release()
    # What is left begins in time, and the broker is slow.
    await asyncio.wait_for(channel.asked.get(), 60)
    assert len(await stage.rows("SELECT id FROM amends_outbox")) == 2
    await asyncio.sleep(0.3)
    channel.takes.release()
    await asyncio.wait([serving], timeout=60)
    assert serving.cancelled() and channel.asked.empty()
    assert await stage.rows("SELECT saga_id FROM amends_outbox") == [("saga 3",)]
    assert [json.loads(one.body) for one in channel.published] == [0, 1, 2]
