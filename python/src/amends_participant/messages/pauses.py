"""How long a message waits before it is given back: longer each time that it comes again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

FIRST_S = 0.2
"""A connection that was lost is made anew within that."""

LONGEST_S = 10.0
"""Brokers commonly wait 30 s for a word on a message before they give it to another: it is given
back well before."""

REMEMBERED_MAX = 1024
"""As many messages as are at work at a time, sixteen times over. One that is forgotten begins anew,
which costs a few attempts."""


class Pauses:
    """The pauses of those messages that come again."""

    def __init__(self) -> None:
        self._next_s: OrderedDict[bytes, float] = OrderedDict()

    def next_s(self, message: bytes) -> float:
        """How long this message waits now, by what is the same of it each time."""
        pause_s = self._next_s.pop(message, FIRST_S)
        self._next_s[message] = min(2 * pause_s, LONGEST_S)
        if len(self._next_s) > REMEMBERED_MAX:
            self._next_s.popitem(last=False)
        return pause_s

    def over(self, message: bytes) -> None:
        """It does not come again."""
        self._next_s.pop(message, None)


async def wait_for(event: asyncio.Event, at_most_s: float) -> None:
    """Waits until it is set, but only so long. Not by `asyncio.wait_for`, which before Python 3.12
    may lose a cancellation."""
    it = asyncio.create_task(event.wait())
    try:
        await asyncio.wait([it], timeout=at_most_s)
    finally:
        it.cancel()
