"""How a service that answers by message ends: with what is at work, or at once."""

from __future__ import annotations

import asyncio
from typing import Any

from amends_participant import MemoryChannel
from amends_participant.testing import command_body
from conftest import Shop


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
