"""What would begin a transaction within another one: refused at once, where it would be waited for,
or kept when that is rolled back."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest

from amends_participant import Transient
from amends_participant.testing import command_body
from conftest import KINDS, make, open_shop


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_received_is_not_taken_in_within_a_handler(
    kind: str, tmp_path: Path, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It would wait for the handler's own transaction, or be kept where that is rolled back."""
    async with make(kind, tmp_path) as stage:
        shop = await open_shop(stage)
        later: list[asyncio.Task[bool]] = []
        over = asyncio.Event()

        async def nothing(db: Any) -> None: ...

        async def when_it_is_over() -> bool:
            await over.wait()
            return await shop.participant.once(saga, "2", nothing)

        @shop.participant.action("TakeIn")
        async def take_in(command: dict[str, Any]) -> None:
            later.append(asyncio.create_task(when_it_is_over()))
            await shop.participant.once(saga, "1", nothing)

        body = command_body("Shop.TakeIn", {}, saga_id=saga)
        answer = await asyncio.wait_for(shop.participant.carry_out(body), 30)
        assert answer == Transient("HANDLER_FAILED", "WithinAnother")
        assert "take it in outside of handlers" in caplog.text
        over.set()
        assert await asyncio.wait_for(later[0], 30)

        async def again(db: Any) -> None:
            await shop.participant.once(saga, "4", nothing)

        with pytest.raises(RuntimeError):
            await asyncio.wait_for(shop.participant.once(saga, "3", again), 30)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_command_within_a_handler_is_refused(
    kind: str, tmp_path: Path, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It would wait for a second connection while the first is held, as all others may at that
    moment, and stand where the handler's own transaction is rolled back."""
    async with make(kind, tmp_path) as stage:
        shop = await open_shop(stage)
        answers = []

        @shop.participant.action("Nest")
        async def nest(command: dict[str, Any]) -> None:
            body = command_body("Shop.Sell", {"item": "cup"}, saga_id=str(uuid.uuid4()))
            answers.append(await shop.participant.carry_out(body))

        body = command_body("Shop.Nest", {}, saga_id=saga)
        await asyncio.wait_for(shop.participant.carry_out(body), 30)
        assert answers == [Transient("HANDLER_FAILED", "WithinAnother")]
        assert "nothing else of the kit is begun within it" in caplog.text
