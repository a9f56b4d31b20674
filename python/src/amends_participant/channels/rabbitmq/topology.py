"""The exchange and the queues of a place: looked at, and made where that is wanted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPError, ChannelAccessRefused, ChannelNotFoundEntity

from ..errors import ConnectError
from ..topology import Topology
from .place import Place
from .publisher import close
from .server import PAUSE_S, words
from .settings import weaknesses
from .thing import Thing, things

UP_WITHIN_S = 20.0
"""How long a queue may take to be up in a server that has just started: it lets us in before."""


async def prepare(connection: AbstractConnection, place: Place, create: bool) -> Topology:
    """All that a place needs. What is missing is made with `create`, and is an error where a
    service cannot do without it."""
    look = _Look(connection, create)
    needed = []
    for thing in things(place):
        try:
            is_there = await look.at(thing)
        except AMQPError as e:
            raise ConnectError(f"{thing.what} of RabbitMQ cannot be had: {words(e)}") from e
        if thing.is_needed and not is_there:
            needed.append(thing.what)
    if needed:
        what = ", no ".join(needed)
        way = "make it, or allow it to be made"
        if look.refused:
            way = f"this user may not make it: have it made ({look.refused})"
        raise ConnectError(f"RabbitMQ has no {what}: {way}")
    return look.topology


class _Look:
    """A look at the things of a place, and what came of it so far."""

    def __init__(self, connection: AbstractConnection, create: bool) -> None:
        self._connection, self._create = connection, create
        self.topology = Topology()
        self.refused = ""
        """Why something was not made, where that was tried."""

    async def at(self, thing: Thing) -> bool:
        """Is it there?"""
        try:
            await self._look_for(thing)
        except ChannelNotFoundEntity as e:
            if is_down(e):
                raise
            if not self._create:
                self.topology.missing.append(thing.what)
                return False
            try:
                await self._declare(thing, passive=False)
            except ChannelAccessRefused as e:
                self.topology.missing.append(thing.what)
                self.refused = self.refused or words(e)
                return False
            self.topology.created.append(thing.what)
        else:
            self.topology.weak += await weaknesses(self._connection, thing)
            self.topology.there.append(thing.what)
        if self._create:
            await self._bind(thing)
        return True

    async def _look_for(self, thing: Thing) -> None:
        """Waits for one that is not up yet."""
        until = time.monotonic() + UP_WITHIN_S
        while True:
            try:
                return await self._declare(thing, passive=True)
            except ChannelNotFoundEntity as e:
                if not is_down(e) or time.monotonic() >= until:
                    raise
                await asyncio.sleep(PAUSE_S)

    async def _declare(self, thing: Thing, *, passive: bool) -> None:
        async with asking(self._connection) as channel:
            await declare(channel, thing, thing.arguments, passive=passive)

    async def _bind(self, thing: Thing) -> None:
        """It is made wherever it may be: the server does not tell whether it is there."""
        if thing.binding is None:
            return
        exchange, key = thing.binding
        try:
            async with asking(self._connection) as channel:
                await channel.queue_bind(thing.name, exchange, key)
        except (ChannelAccessRefused, ChannelNotFoundEntity) as e:
            # Not there, or already bound by whoever may. What no queue takes comes back, and says
            # so.
            self.topology.weak.append(
                f"{thing.what}: it could not be bound to exchange {exchange} by {key}"
                f" ({words(e)}); unless it is, nothing comes to it"
            )


@asynccontextmanager
async def asking(connection: AbstractConnection) -> AsyncIterator[AbstractChannel]:
    """The server closes a channel after a no, so each question has one of its own."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        yield channel
    finally:
        await close(channel)


async def declare(
    channel: AbstractChannel, thing: Thing, arguments: dict[str, Any], *, passive: bool
) -> None:
    """With `passive` it is only looked for."""
    if thing.exchange_type is not None:
        await channel.exchange_declare(
            thing.name, exchange_type=thing.exchange_type, passive=passive, durable=True
        )
    else:
        await channel.queue_declare(thing.name, passive=passive, durable=True, arguments=arguments)


def is_down(error: AMQPError) -> bool:
    """Whether the server knows it, and cannot reach it: it says so as of one that is not there."""
    return "is down or inaccessible" in words(error)
