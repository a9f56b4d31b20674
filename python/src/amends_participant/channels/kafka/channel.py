"""A service's end of a place: an intake and an outlet."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

from ...messages.channel import Delivery, Outgoing
from ..envelope import REASON, header_name
from ..errors import ChannelError
from .intake import Intake, headers_of
from .outlet import Outlet, TooLarge
from .place import AnyPlace, Server
from .topology import prepare

_log = logging.getLogger("amends_participant")


@contextlib.asynccontextmanager
async def connect(
    server: Server, place: AnyPlace, *, create: bool = True
) -> AsyncIterator[KafkaChannel]:
    """A channel to a place, where what is missing is made, or, without `create`, is an error."""
    topology, sizes = await prepare(server, place, create)
    topology.say(f"Kafka {server.shown}")
    outlet = Outlet(server, sizes)
    try:
        channel = KafkaChannel(place, Intake(server, place), outlet)
        async with channel.at_work():
            yield channel
    finally:
        await outlet.close()


class KafkaChannel:
    """See the module. It connects again by itself."""

    def __init__(self, place: AnyPlace, intake: Intake, outlet: Outlet) -> None:
        self._place, self._intake, self._outlet = place, intake, outlet

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Reads, and leaves to others in the end what it holds and has not settled."""
        self._intake.start()
        try:
            yield
        finally:
            await self._intake.close()

    async def receive(self) -> Delivery:
        return await self._intake.hold.next()

    async def ack(self, delivery: Delivery) -> None:
        self._intake.settle(delivery)

    async def give_back(self, delivery: Delivery, after_s: float = 0.0) -> None:
        self._intake.give_back(delivery, after_s)

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        record = self._intake.hold.peek(delivery)
        if record is None:
            return
        message = record.message
        headers, body = headers_of(message), message.value() or b""
        at = self._place.dead_letters
        with_reason = [*headers, (REASON, reason)]
        # As large as the topic takes before anything was said of it, or larger, and compressed by
        # whoever published it: it must not come for ever.
        try:
            await self._outlet.publish(at, message.key(), with_reason, body)
        except TooLarge:
            try:
                await self._outlet.pressing.publish(at, message.key(), with_reason, body)
            except TooLarge:
                _log.warning("a dead letter has no room for its reason: %s", reason)
                await self._outlet.pressing.publish(at, message.key(), headers, body)
        self._intake.settle(delivery)

    async def publish(self, outgoing: Outgoing) -> None:
        topic = self._place.topic(outgoing.kind)
        if topic is None:
            why = "nothing says where events are published: give the place `events`"
            raise ChannelError(f"{outgoing.name} is not published: {why}")
        headers = [(header_name("ce_", name), of) for name, of in outgoing.attributes.items()]
        await self._outlet.publish(topic, outgoing.saga_id.encode(), headers, outgoing.body)
