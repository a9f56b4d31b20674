"""The brokers that the tests run on, real servers each, and the other end of a service's place, as
an engine and people have it. It is made of the broker's client alone, and nothing of the kit's
channels."""

from __future__ import annotations

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, NamedTuple, TypeVar

import pytest

from amends_participant import Channel

RUN_WITH = "cargo xtask test python"

WITHIN_S = 90.0
"""However busy the machine: what has not come by then never will."""

LOOK_EVERY_S = 0.05

T = TypeVar("T")


class Said(NamedTuple):
    """A message as it lies there: headers and attributes by their names at this broker, or in the
    envelope."""

    attributes: dict[str, str]
    body: bytes


class Peer(ABC):
    """The other end."""

    @abstractmethod
    async def send(self, body: bytes, attributes: Mapping[str, str]) -> None:
        """A command."""

    @abstractmethod
    async def look(self, at: str) -> Said | None:
        """The next message at `replies`, `dead_letters` or `events`, if it is there by now."""

    async def next(self, at: str) -> Said:
        """Waits for it."""
        return await eventually(lambda: self.look(at), f"nothing comes at {at}")

    async def reply(self) -> Said:
        return await self.next("replies")


class Broker(ABC):
    """One kind of broker."""

    name: str
    kept_after_s = 0.0
    """How long a queue must be there before the broker finds it again after a loss of power."""
    keeps_pauses = False
    """Whether a message that was given back waits at the broker, which nobody shortens."""

    environment: ClassVar[Mapping[str, str]] = {}
    """What `amends serve` finds its login in."""

    @property
    def url(self) -> str:
        url = os.environ.get(f"AMENDS_TEST_{self.name.upper()}_URL")
        if not url:
            pytest.fail(f"there is no {self.name}: run these tests with `{RUN_WITH}`")
        return url

    @abstractmethod
    def place(self) -> Any:
        """One of its own."""

    def place_of(self, named: dict[str, Any]) -> Any:
        """The place of these names, as `dataclasses.asdict` tells them."""
        return type(self.place())(**named)

    @abstractmethod
    def connect(self, place: Any, *, create: bool = True) -> AbstractAsyncContextManager[Channel]:
        """The kit's channel."""

    @abstractmethod
    def peer(self, place: Any) -> AbstractAsyncContextManager[Peer]:
        """What is at the place is there already."""

    @abstractmethod
    def described(self, place: Any) -> str:
        """As a definition has it."""

    @property
    def option(self) -> list[str]:
        """How `amends serve` is told where it is."""
        return [f"--{self.name}", self.url]

    async def kill(self) -> None:
        await asyncio.sleep(self.kept_after_s)
        await self._control("kill")

    async def start(self) -> None:
        await self._control("start")

    async def _control(self, what: str) -> None:
        host, _, port = os.environ["AMENDS_TEST_CONTROL"].partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{what} {self.name}\n".encode())
        answer = (await reader.readline()).decode().strip()
        writer.close()
        await writer.wait_closed()
        assert answer == "done", answer


async def eventually(look: Callable[[], Awaitable[T | None]], why: str) -> T:
    """Looks until there is something."""
    until = time.monotonic() + WITHIN_S
    while True:
        try:
            found = await look()
            why_not: object = None
        except (OSError, RuntimeError, asyncio.TimeoutError) as e:
            found, why_not = None, e
        if found is not None:
            return found
        assert time.monotonic() < until, f"{why}: {why_not}"
        await asyncio.sleep(LOOK_EVERY_S)
