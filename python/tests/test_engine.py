"""An engine, which is the program `amends`, and a service in Python meet at one place of each
broker: sagas complete, and are rolled back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from amends_participant import Participant, Refused, Sqlite
from brokers import RUN_WITH, WITHIN_S, Broker
from brokers.by_name import BROKERS

AMENDS = Path(__file__).resolve().parents[2] / "target" / "debug" / "amends"

WAIT = ["--wait", f"{WITHIN_S:.0f}s"]
COMPLETED, ROLLED_BACK = 0, 10

DEFINITION = """
saga: Letter
steps:
  - {{ name: write, action: Desk.Write, compensation: Desk.Tear, deadline: 1m }}
  - {{ name: post, action: Desk.Post, compensation: Desk.Fetch, deadline: 1m }}
services:
  Desk:
    fence: barrier
    {service}
"""

ENVIRONMENT = {n: v for n, v in os.environ.items() if not n.startswith("AMENDS_")}


@asynccontextmanager
async def engine(broker: Broker, place: Any, folder: Path) -> AsyncIterator[str]:
    """The URL of one that runs."""
    assert AMENDS.exists(), f"there is no {AMENDS}: run these tests with `{RUN_WITH}`"
    definition, log = folder / "letter.yaml", folder / "log"
    definition.write_text(DEFINITION.format(service=broker.described(place)))
    with log.open("w") as errors:
        server = await asyncio.create_subprocess_exec(
            *(str(AMENDS), "serve", "--listen", "127.0.0.1:0", "--data", str(folder / "data")),
            *("--definitions", str(definition), *broker.option),
            env={**ENVIRONMENT, **broker.environment},
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    assert server.stdout is not None
    line = (await asyncio.wait_for(server.stdout.readline(), WITHIN_S)).decode().strip()
    said, _, url = line.partition("amends listens on ")
    assert not said and url, f"{line}\n{log.read_text()}"
    yield url
    server.terminate()
    await asyncio.wait_for(server.communicate(), WITHIN_S)


async def start(url: str) -> tuple[int, str]:
    """Starts a saga and waits for its end: the exit code, and what was said."""
    asking = await asyncio.create_subprocess_exec(
        *(str(AMENDS), "start", "Letter", "--data", "{}", *WAIT, "--server", url),
        env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asking.communicate()
    return asking.returncode or 0, said.decode()


class Desk:
    """The service, and what stands of what it did."""

    def __init__(self, folder: Path) -> None:
        self.participant = Participant("Desk", Sqlite(folder / "desk.db"), create_tables=True)
        self.standing: list[str] = []
        self.refuses = False

        @self.participant.action("Write")
        async def write(command: dict[str, Any]) -> str:
            self.standing.append("write")
            return "a letter"

        @self.participant.compensation("Tear")
        async def tear(command: dict[str, Any], result: str) -> None:
            assert result == "a letter"
            self.standing.remove("write")

        @self.participant.action("Post")
        async def post(command: dict[str, Any]) -> str:
            if self.refuses:
                raise Refused("NO_STAMP", "none is left")
            self.standing.append("post")
            return "posted"

        @self.participant.compensation("Fetch")
        async def fetch(command: dict[str, Any]) -> None:
            raise AssertionError("nothing was posted that is to be undone")


@pytest.mark.parametrize("first", ["engine", "service"])
@pytest.mark.parametrize("name", BROKERS)
async def test_sagas_end_over_a_broker_with_a_service_in_python(
    name: str, first: str, tmp_path: Path
) -> None:
    """Whichever of the two makes the place."""
    broker, desk = BROKERS[name], Desk(tmp_path)
    place = broker.place()
    async with AsyncExitStack() as stack:
        if first == "service":
            channel = await stack.enter_async_context(broker.connect(place))
            url = await stack.enter_async_context(engine(broker, place, tmp_path))
        else:
            url = await stack.enter_async_context(engine(broker, place, tmp_path))
            channel = await stack.enter_async_context(broker.connect(place))
        serving = asyncio.create_task(desk.participant.serve(channel))
        code, said = await start(url)
        assert code == COMPLETED, f"{said}\n{(tmp_path / 'log').read_text()}"
        assert desk.standing == ["write", "post"]
        desk.refuses = True
        code, said = await start(url)
        assert code == ROLLED_BACK, f"{said}\n{(tmp_path / 'log').read_text()}"
        assert "NO_STAMP" in said and sorted(desk.standing) == ["post", "write"]
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    await desk.participant.close()
