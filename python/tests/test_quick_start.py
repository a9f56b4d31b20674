"""The quick start of docs/participant-python.md and the sample of README.md are programs that do
what the pages say."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import textwrap
import types
import uuid
from pathlib import Path
from typing import Any

import pytest

from amends_participant import RefusedWith
from amends_participant.channels.nats import Place
from amends_participant.testing import Trial, command_body
from brokers import WITHIN_S
from brokers.by_name import BROKERS

CLONE = Path(__file__).parents[2]
PAGE = (CLONE / "docs" / "participant-python.md").read_text()
README = (CLONE / "python" / "README.md").read_text()


def program(page: str) -> str:
    """All that is indented, as it is written."""
    lines = page.splitlines()
    last = max(n for n, line in enumerate(lines) if line.startswith("    "))
    first = min(n for n, line in enumerate(lines) if line.startswith("    "))
    return textwrap.dedent("\n".join(lines[first : last + 1]))


BEHIND_A_BROKER = program(
    PAGE.split("## Behind a broker\n", 1)[1].split("\nfor a definition", 1)[0].split(" is\n", 1)[1]
)

PROGRAMS = {
    "the page": (
        program(PAGE.split("## Quick start\n", 1)[1].split("\n## ", 1)[0]),
        "ReleaseReservation",
    ),
    "README.md": (program(README), None),
}


@pytest.mark.parametrize("where", PROGRAMS)
async def test_it_runs_and_passes_every_trial(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text, compensation = PROGRAMS[where]
    assert len(text.splitlines()) <= 35
    shop: Any = types.ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", shop)
    exec(compile(text, "shop.py", "exec"), shop.__dict__)
    participant = shop.inventory
    await participant.open()

    async def rows(sql: str) -> list[Any]:
        transaction = await participant.database.begin()
        found = list((await transaction.statement(sql, {})).rows)
        await transaction.commit()
        return found

    await rows("INSERT INTO stock VALUES ('kettle', 1000)")

    async def reserved() -> int:
        ((available,),) = await rows("SELECT available FROM stock")
        return 1000 - int(available)

    await Trial(
        participant,
        action="ReserveItems",
        compensation=compensation,
        data={"sku": "kettle"},
        refusing={"sku": "sold out"},
        standing=reserved,
    ).every()
    # Nobody gets stock by ordering less than nothing.
    order = {"sku": "kettle", "quantity": -5}
    body = command_body("InventoryService.ReserveItems", order, saga_id=str(uuid.uuid4()))
    before, answer = await reserved(), await participant.carry_out(body)
    assert isinstance(answer, RefusedWith) and answer.code == "BAD_QUANTITY"
    assert await reserved() == before
    await participant.close()


async def test_the_service_behind_a_broker_answers_and_ends_in_order(tmp_path: Path) -> None:
    broker = BROKERS["nats"]
    place = Place("NOTIFY", "notify.commands", "notify.replies", "notify.events")
    program = BEHIND_A_BROKER.replace("nats://127.0.0.1:4222", broker.url)
    assert program != BEHIND_A_BROKER
    (tmp_path / "notifier.py").write_text(program)
    path = {**os.environ, "PYTHONPATH": str(CLONE / "python" / "src")}
    service = await asyncio.create_subprocess_exec(
        sys.executable, "notifier.py", cwd=tmp_path, env=path
    )
    saga = str(uuid.uuid4())
    body = command_body("NotificationService.Send", {"recipient": "Ada"}, saga_id=saga)
    async with broker.connect(place), broker.peer(place) as peer:
        pass  # it is there, whoever comes first
    async with broker.peer(place) as peer:
        await peer.send(body, {})
        reply = json.loads((await peer.reply()).body)
    assert (reply["type"], reply["saga_id"]) == ("SagaStepCompleted", saga)
    service.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(service.wait(), WITHIN_S) == 0
