"""Every line that is logged of what comes names its saga and its trace, as far as these can be
read: of what is no command, too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import uuid

import pytest

from amends_participant.messages.channel import MemoryChannel
from amends_participant.testing import command_body
from conftest import Shop
from test_bad_input import client

SECRET = "whsec_c2VjcmV0"
TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    """Of each the saga, the trace, and what comes before the colon."""
    found = [
        (r.__dict__["saga_id"], r.__dict__["trace_id"], r.getMessage().partition(":")[0])
        for r in caplog.records
        if r.name == "amends_participant"
    ]
    caplog.clear()
    return found


def bodies(saga: str) -> dict[str, bytes]:
    good = json.loads(command_body("Shop.Sell", {"item": "kettle"}, saga_id=saga))
    return {
        "FOREIGN_COMMAND": json.dumps({**good, "command": "Till.Sell"}).encode(),
        "WRONG_PATH": json.dumps({**good, "command": "Shop.Buy"}).encode(),
        "BAD_KEY": json.dumps({**good, "idempotency_key": "x"}).encode(),
        "MISSING_FIELD": json.dumps({k: v for k, v in good.items() if k != "data"}).encode(),
    }


async def test_of_a_request_that_is_no_command(
    small_shop: Shop, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with client(small_shop.participant) as http:
        for code, content in bodies(saga).items():
            await http.post("/Sell", content=content, headers=HEADERS)
            assert lines(caplog) == [(saga, TRACE, f"contract breach {code}")]
        # Whose it is, only a header says.
        named = {**HEADERS, "ce-correlationid": saga}
        await http.post("/Sell", content=b"{no", headers=named)
        assert lines(caplog) == [(saga, TRACE, "contract breach NOT_JSON")]
        await http.post("/Sell", content=b" " * (1 << 20) + b"{}", headers=named)
        assert lines(caplog) == [(saga, TRACE, "contract breach TOO_LARGE")]
        await http.post("/Sel%0Al", content=b"{}", headers=named)
        assert lines(caplog) == [(saga, TRACE, 'Shop has no command "Sel\\nl"')]
        await http.post("/Sell", content=b"[]", headers={"ce-correlationid": "a\tb"})
        assert lines(caplog) == [("-", "-", "contract breach NOT_JSON")]


async def test_of_a_request_that_is_not_signed(
    small_shop: Shop, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(small_shop.participant, secrets=[SECRET]) as http:
        await http.post("/Sell", content=bodies(saga)["BAD_KEY"], headers=HEADERS)
    assert lines(caplog) == [(saga, TRACE, "contract breach NOT_SIGNED")]


async def test_of_a_message_that_is_no_command(
    small_shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """A secret is asked for, and none is signed."""
    channel = MemoryChannel()
    saga = str(uuid.uuid4())
    await channel.send(bodies(saga)["BAD_KEY"], HEADERS)
    serving = asyncio.create_task(small_shop.participant.serve(channel, secrets=[SECRET]))
    await channel.settled()
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    assert lines(caplog) == [(saga, TRACE, "contract breach NOT_SIGNED")]
