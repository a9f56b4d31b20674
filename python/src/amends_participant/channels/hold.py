"""What a channel holds: brought, and not settled. The same for every broker, whatever a broker
calls a delivery."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from ..messages.channel import Delivery
from .errors import ChannelError

UNSETTLED_MAX = 256
"""How many messages may be held that are not settled: a service that is slow must not gather a
queue in its memory, and one that dies must not have held up many."""

H = TypeVar("H")


class Hold(Generic[H]):
    """The messages of one channel, with the broker's own handle `H` of each. All is done in the
    event loop."""

    def __init__(self, freed: Callable[[], object] = lambda: None) -> None:
        """`freed` is called for each message whose room is free again."""
        self._held: dict[Delivery, H] = {}
        self._brought: asyncio.Queue[Delivery | ChannelError] = asyncio.Queue()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._freed = freed
        self._is_troubled = False
        self._has_ended = False

    async def room(self) -> int:
        """Waits until something more may be held: how many."""
        while self.room_left <= 0:
            self._has_room.clear()
            await self._has_room.wait()
        return self.room_left

    @property
    def room_left(self) -> int:
        """How many more may be held now."""
        return UNSETTLED_MAX - len(self._held)

    def bring(self, delivery: Delivery, handle: H) -> bool:
        """Holds a message and tells of it; `False` where there is no room for it, or the channel
        was left."""
        if not self.keep(delivery, handle):
            return False
        self.tell(delivery)
        return True

    def keep(self, delivery: Delivery, handle: H) -> bool:
        """Holds a message that is to be told of later."""
        if self._has_ended or self.room_left <= 0:
            return False
        self._held[delivery] = handle
        return True

    def tell(self, delivery: Delivery) -> None:
        """Tells of a message that is held."""
        self._brought.put_nowait(delivery)

    def set_aside(self, delivery: Delivery) -> tuple[Delivery, H] | None:
        """Goes on holding a message as another delivery, which nobody is told of yet: the one that
        it was settles nothing any more. `None` where it is not held."""
        handle = self._held.pop(delivery, None)
        if handle is None:
            return None
        again = Delivery(delivery.body, delivery.attributes)
        self._held[again] = handle
        return again, handle

    def trouble(self, why: str) -> None:
        """Tells that the broker cannot be read, where that has not been told and not yet heard."""
        if not self._is_troubled:
            self._is_troubled = True
            self._brought.put_nowait(ChannelError(f"the broker cannot be read: {why}"))

    async def next(self) -> Delivery:
        """The next message. What was lost or settled since it was brought is passed over."""
        while True:
            brought = await self._brought.get()
            if isinstance(brought, ChannelError):
                self._is_troubled = False
                raise brought
            if brought in self._held:
                return brought

    def peek(self, delivery: Delivery) -> H | None:
        """The handle of a message that is held, which it stays."""
        return self._held.get(delivery)

    def settle(self, delivery: Delivery) -> H | None:
        """Ends the hold on a message; `None` where it is not held any more, and then there is
        nothing to do."""
        handle = self._held.pop(delivery, None)
        if handle is not None:
            self._free()
        return handle

    @property
    def held(self) -> list[H]:
        """What is held."""
        return list(self._held.values())

    def lose(self, lost: Callable[[H], bool] = lambda _: True) -> list[H]:
        """Forgets what is held, or some of it: the broker will bring it again."""
        gone = [(delivery, handle) for delivery, handle in self._held.items() if lost(handle)]
        for delivery, _ in gone:
            del self._held[delivery]
            self._free()
        # What nobody was told of yet must not gather in memory beside what comes again.
        for brought in [self._brought.get_nowait() for _ in range(self._brought.qsize())]:
            if isinstance(brought, ChannelError) or brought in self._held:
                self._brought.put_nowait(brought)
        return [handle for _, handle in gone]

    def end(self) -> list[H]:
        """Holds nothing from now on. What was held is to be left to others."""
        self._has_ended = True
        return self.lose()

    def _free(self) -> None:
        self._has_room.set()
        self._freed()
