"""A service's end of a place: what the server brings is held as long as there is room, and settled
one by one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from aiormq.channel import Channel as AmqpChannel
from aiormq.exceptions import AMQPError

from ...apart import apart
from ...messages.channel import Delivery, Outgoing
from ..errors import ChannelError, ConnectError
from ..hold import UNSETTLED_MAX, Hold
from . import letter
from .place import Place
from .publisher import Publisher, close
from .server import PAUSE_S, PAUSE_S_MAX, Server, words
from .topology import prepare

WAITING_MAX = UNSETTLED_MAX
"""How many messages that were given back may wait here, beside those that are held: the server
knows no pause, so they stay ours until it is over. With more, what comes later waits for them."""

WAIT_S_MAX = 15 * 60.0
"""How long one may wait: half of the time after which the server takes back by force what was not
settled (`consumer_timeout`, 30 minutes), and every other message with it."""


LOOK_EVERY_S = 1.0
"""How long it may go unnoticed that a queue is gone."""


@contextlib.asynccontextmanager
async def connect(
    server: Server, place: Place, *, create: bool = True
) -> AsyncIterator[RabbitChannel]:
    """A channel to a place, where what is missing is made, or, without `create`, is an error."""
    channel = RabbitChannel(server, place)
    try:
        await channel.open(create)
        yield channel
    finally:
        await channel.close()


@dataclass(frozen=True, eq=False)
class Held:
    """A message that was brought, as it came, and what it came over."""

    message: DeliveredMessage
    over: AbstractChannel

    async def ack(self) -> None:
        await self.over.basic_ack(self.message.delivery_tag or 0)

    async def give_back(self) -> None:
        # Where its connection is gone it comes anyway.
        with contextlib.suppress(Exception):
            await self.over.basic_nack(self.message.delivery_tag or 0, requeue=True)


class RabbitChannel:
    """See the module. It connects again by itself, and what it held then comes again, to it or to
    another copy."""

    def __init__(self, server: Server, place: Place) -> None:
        self._server, self._place = server, place
        self._hold: Hold[Held] = Hold()
        self._publisher = Publisher(server)
        self._connection: AbstractConnection | None = None
        self._came: asyncio.Queue[Held | str] = asyncio.Queue()
        """What the server has brought, or why it brings no more."""
        self._taking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._waiting: set[asyncio.Task[None]] = set()
        """Given back, each until its pause is over."""

    async def open(self, create: bool) -> None:
        """Connects."""
        self._connection = await self._server.connect()
        try:
            topology = await apart(prepare(self._connection, self._place, create))
        except ConnectError:
            raise
        except Exception as e:
            # A connection that is lost meanwhile may raise anything, see `Server.connect`.
            what = f"the place at RabbitMQ {self._server.shown}"
            raise ConnectError(f"{what} cannot be had: {words(e)}") from e
        topology.say(f"RabbitMQ {self._server.shown}")
        await self._consume(self._connection)
        await self._publisher.open()
        self._taking = asyncio.create_task(self._take())

    async def receive(self) -> Delivery:
        return await self._hold.next()

    async def ack(self, delivery: Delivery) -> None:
        held = self._hold.settle(delivery)
        if held is None:
            return
        try:
            await held.ack()
        except (AMQPError, OSError, RuntimeError) as e:
            raise ChannelError(f"RabbitMQ cannot be told: {words(e)}") from e

    async def give_back(self, delivery: Delivery, after_s: float = 0.0) -> None:
        held = self._hold.settle(delivery)
        if held is None:
            return

        async def wait() -> None:
            await asyncio.sleep(min(after_s, WAIT_S_MAX))
            await held.give_back()

        task = asyncio.create_task(wait())
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        held = self._hold.peek(delivery)
        if held is None:
            return
        properties = letter.put_aside(held.message, reason)
        route = ("", self._place.dead_letters)
        await self._publisher.publish(route, properties, held.message.body)
        await self.ack(delivery)

    async def publish(self, outgoing: Outgoing) -> None:
        route = self._place.route(outgoing.kind, outgoing.name)
        if route is None:
            why = "nothing says where events are published: give the place `events`"
            raise ChannelError(f"{outgoing.name} is not published: {why}")
        await self._publisher.publish(route, *letter.outgoing(outgoing))

    async def close(self) -> None:
        """Leaves: takes nothing more, and leaves to others what it holds and has not settled."""
        # What waits comes to others at once: whom it waited for is gone.
        tasks = [*self._waiting, *filter(None, (self._taking, self._watching))]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._hold.end()
        if self._connection is not None:
            await close(self._connection)
        await self._publisher.close()

    async def _take(self) -> None:
        """Brings what the server has, over one connection after the other."""
        while True:
            await self._hold.room()
            came = await self._came.get()
            if isinstance(came, str):
                self._hold.lose()
                self._hold.trouble(came)
                await self._again()
            elif not self._hold.bring(letter.incoming(came.message), came):
                await came.give_back()

    async def _again(self) -> None:
        if self._connection is not None:
            await close(self._connection)
        pause_s = PAUSE_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_S_MAX)
            # What is left of the connection before is somebody else's.
            self._came = asyncio.Queue()
            try:
                self._connection = await self._server.connect()
                return await self._consume(self._connection)
            except ConnectError as e:
                self._hold.trouble(str(e))

    async def _consume(self, connection: AbstractConnection) -> None:
        came, queue = self._came, self._place.commands

        async def consume() -> tuple[AbstractChannel, str]:
            channel = await connection.channel(publisher_confirms=False)

            async def bring(message: DeliveredMessage) -> None:
                came.put_nowait(Held(message, channel))

            channel.closing.add_done_callback(lambda closed: came.put_nowait(_why(closed)))
            await channel.basic_qos(prefetch_count=UNSETTLED_MAX + WAITING_MAX)
            told = await channel.basic_consume(queue, bring)
            return channel, told.consumer_tag or ""

        try:
            channel, tag = await apart(consume())
        except Exception as e:
            await close(connection)
            raise ConnectError(f"queue {queue} of RabbitMQ cannot be had: {words(e)}") from e
        if self._watching is not None:
            self._watching.cancel()
        self._watching = asyncio.create_task(_watch(channel, tag, came))


async def _watch(channel: AbstractChannel, tag: str, came: asyncio.Queue[Held | str]) -> None:
    """Where a queue goes, the client forgets whoever read from it; not every version tells."""
    assert isinstance(channel, AmqpChannel)
    while not channel.is_closed:
        await asyncio.sleep(LOOK_EVERY_S)
        if tag not in channel.consumers:
            return came.put_nowait("the server brings no more of the queue: is it there?")


def _why(closed: asyncio.Future[object]) -> str:
    error = None if closed.cancelled() else closed.exception()
    return "the connection was closed" if error is None else words(error)
