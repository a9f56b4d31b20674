"""The way out: a connection of its own, and a message on each of its channels until the server has
given its word.

The server closes a channel for a message that it does not take. With one message at a time on a
channel its word is always about that one, and no other is held up or doubted. And a server that is
short of memory stops reading from whoever publishes, so what is settled goes over another
connection.
"""

from __future__ import annotations

import asyncio
import contextlib

from aiormq import spec
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPError, DeliveryError, PublishError

from ...apart import apart
from ..errors import ChannelError, ConnectError
from .server import PAUSE_S, PAUSE_S_MAX, Server, words

UNDER_WAY_MAX = 64
"""How many messages may be on their way at once: as many as are carried out. The next one waits its
turn."""

BLOCKED_S = 0.2
"""How long a server that takes no messages is waited for before it is told."""

CLOSED_WITHIN_S = 5.0
"""How long the server may take to say goodbye."""


class Publisher:
    """See the module. It connects again by itself."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection: AbstractConnection | None = None
        self._why = "not connected"
        self._idle: list[AbstractChannel] = []
        """Channels on which nothing is under way."""
        self._room = asyncio.Semaphore(UNDER_WAY_MAX)
        self._keeping: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Connects."""
        self._connection = await self._server.connect()
        self._keeping = asyncio.create_task(self._keep(self._connection))

    async def publish(
        self, route: tuple[str, str], properties: spec.Basic.Properties, body: bytes
    ) -> None:
        """Publishes, and has the server's word that a queue keeps it."""
        exchange, key = route
        async with self._room:
            channel = await self._channel()
            is_ours = False
            try:
                await channel.basic_publish(
                    body,
                    exchange=exchange,
                    routing_key=key,
                    properties=properties,
                    mandatory=True,
                )
                is_ours = True
            except PublishError as e:
                is_ours = True
                text = getattr(e.frame, "reply_text", "")
                raise ChannelError(f"no queue of RabbitMQ takes `{key}`: {text}") from e
            except DeliveryError as e:
                # A queue that is full, or one that broke down: then it may be kept all the same.
                is_ours = True
                why = "RabbitMQ would not confirm it (basic.nack): its queue is full or broke"
                raise ChannelError(why) from e
            except (AMQPError, OSError, RuntimeError) as e:
                raise ChannelError(f"RabbitMQ does not confirm it: {words(e)}") from e
            finally:
                # From when it has left, what the server might still say is about it alone.
                if is_ours and not channel.is_closed:
                    self._idle.append(channel)
                else:
                    self._leave(channel)

    async def close(self) -> None:
        """Leaves."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        connection, self._connection = self._connection, None
        self._why = "it is closed"
        if connection is not None:
            await close(connection)
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def _keep(self, connection: AbstractConnection) -> None:
        """Connects again, as often as it takes."""
        while True:
            await asyncio.wait([connection.closing])
            self._connection, self._why = None, "the connection was lost"
            self._idle.clear()
            pause_s = PAUSE_S
            while self._connection is None:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_S_MAX)
                try:
                    self._connection = connection = await self._server.connect()
                except ConnectError as e:
                    self._why = str(e)

    async def _channel(self) -> AbstractChannel:
        """One on which nothing is under way."""
        connection = self._connection
        if connection is None or connection.is_closed:
            raise ChannelError(f"RabbitMQ cannot be used: {self._why}")
        try:
            await asyncio.wait_for(connection.ready(), BLOCKED_S)
        except asyncio.TimeoutError:
            why = "it is short of memory or disk (connection.blocked)"
            raise ChannelError(f"RabbitMQ takes no message: {why}") from None
        while self._idle:
            channel = self._idle.pop()
            if not channel.is_closed:
                return channel
        try:
            return await connection.channel(publisher_confirms=True, on_return_raises=True)
        except (AMQPError, OSError, RuntimeError) as e:
            raise ChannelError(f"RabbitMQ cannot be used: {words(e)}") from e

    def _leave(self, channel: AbstractChannel) -> None:
        task = asyncio.create_task(close(channel))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


async def close(what: AbstractConnection | AbstractChannel) -> None:
    """Says goodbye. What the server was not told in time it notices by itself."""
    with contextlib.suppress(Exception):
        if not what.is_closed:
            await apart(_closed(what), CLOSED_WITHIN_S)


async def _closed(what: AbstractConnection | AbstractChannel) -> None:
    await what.close()
