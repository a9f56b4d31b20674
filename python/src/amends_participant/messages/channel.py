"""What a participant needs of a broker, and a broker in memory for tests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Outgoing:
    """A message on its way out: a reply by name, or an event. What belongs to one saga is to be
    kept in order: `saga_id` is the key by which a broker does that."""

    id: str
    saga_id: str
    kind: str
    name: str
    attributes: Mapping[str, str]
    """The CloudEvents attributes by their bare names, and what was added to them."""
    body: bytes


@dataclass(frozen=True, eq=False)
class Delivery:
    """A message that came in, and is held until it is settled."""

    body: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name; the CloudEvents ones by their bare names."""


class Channel(Protocol):
    """One service's place at a broker. Each delivery is settled once; one that the broker did
    not settle, or not in time, is given back."""

    async def receive(self) -> Delivery:
        """Waits for the next command."""

    async def ack(self, delivery: Delivery) -> None:
        """It is dealt with."""

    async def give_back(self, delivery: Delivery, after_s: float = 0.0) -> None:
        """It is to be delivered again, no sooner than after this time, which is not waited for."""

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        """It goes to the dead-letter place, with the reason."""

    async def publish(self, outgoing: Outgoing) -> None:
        """Returns when the broker has confirmed it."""


class MemoryChannel:
    """A broker in memory, which delivers what is given back at once."""

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()
        self._changed = asyncio.Condition()
        self._held: set[Delivery] = set()
        self.published: list[Outgoing] = []
        self.dead: list[tuple[Delivery, str]] = []
        self.given_back = 0
        self.pauses_s: list[float] = []
        """After which time each was to come again, which it does at once."""
        self.is_down = False
        """Whether it takes nothing."""

    async def send(self, body: bytes, attributes: Mapping[str, str] | None = None) -> None:
        """Puts a command in its queue."""
        await self._put(Delivery(body, attributes or {}))

    async def settled(self) -> None:
        """Waits until every command is settled."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting and not self._held)

    async def has_published(self, many: int) -> list[Outgoing]:
        """Waits until so many messages have gone out: all of them."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.published) >= many)
        return self.published

    async def was_given_back(self, times: int) -> None:
        """Waits until deliveries have been given back so often."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.given_back >= times)

    async def receive(self) -> Delivery:
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting)
            delivery = self._waiting.popleft()
            self._held.add(delivery)
            return delivery

    async def ack(self, delivery: Delivery) -> None:
        async with self._changed:
            self._held.remove(delivery)
            self._changed.notify_all()

    async def give_back(self, delivery: Delivery, after_s: float = 0.0) -> None:
        self.given_back += 1
        self.pauses_s.append(after_s)
        await self.ack(delivery)
        await self._put(delivery)

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        self.dead.append((delivery, reason))
        await self.ack(delivery)

    async def publish(self, outgoing: Outgoing) -> None:
        if self.is_down:
            raise ConnectionError("the broker is down")
        async with self._changed:
            self.published.append(outgoing)
            self._changed.notify_all()

    async def _put(self, delivery: Delivery) -> None:
        async with self._changed:
            self._waiting.append(delivery)
            self._changed.notify_all()


class MemoryEvents:
    """A place of events in memory: whoever listens hears all that is said there, and those who
    listen under one name share it."""

    def __init__(self, *listeners: str) -> None:
        """These are known to listen: what is said waits for them."""
        self.said: list[Outgoing] = []
        """All of it, in the order of its publishing."""
        self.dead: list[tuple[Delivery, str]] = []
        self._waiting: dict[str, asyncio.Queue[Delivery]] = {n: asyncio.Queue() for n in listeners}

    def listener(self, name: str) -> MemoryListener:
        """An end that listens."""
        return MemoryListener(self, self.waiting(name))

    def waiting(self, name: str) -> asyncio.Queue[Delivery]:
        """What waits for a listener."""
        return self._waiting.setdefault(name, asyncio.Queue())

    def publish(self, outgoing: Outgoing) -> None:
        """For all who listen."""
        self.said.append(outgoing)
        for waiting in self._waiting.values():
            waiting.put_nowait(Delivery(outgoing.body, outgoing.attributes))


class MemoryListener:
    """A channel that listens to the events of a place."""

    def __init__(self, place: MemoryEvents, waiting: asyncio.Queue[Delivery]) -> None:
        self._place, self._waiting = place, waiting
        self._held: set[Delivery] = set()

    def leave(self) -> None:
        """What is held is for the others of this name."""
        while self._held:
            self._waiting.put_nowait(self._held.pop())

    async def receive(self) -> Delivery:
        delivery = await self._waiting.get()
        self._held.add(delivery)
        return delivery

    async def ack(self, delivery: Delivery) -> None:
        self._held.discard(delivery)

    async def give_back(self, delivery: Delivery, after_s: float = 0.0) -> None:
        self._held.discard(delivery)
        asyncio.get_running_loop().call_later(after_s, self._waiting.put_nowait, delivery)

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        self._place.dead.append((delivery, reason))
        self._held.discard(delivery)

    async def publish(self, outgoing: Outgoing) -> None:
        self._place.publish(outgoing)
