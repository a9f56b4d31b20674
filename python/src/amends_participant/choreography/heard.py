"""Up to when what others said has been heard: before that nobody may be called late.

What a service has not read it cannot see. But what was said in time, and is unread when somebody is
late, is older than the grace by then. So a service has read all when its channel was asked for a
while, and brought nothing so old."""

from __future__ import annotations

import time

SETTLED_S = 15.0
"""How long nothing old may come, at most: longer than what was given back rests."""

FIRST_S = 60.0
"""The same of a channel that has brought nothing yet, at most: a group of consumers waits so long
for one that was killed."""

STOOD_STILL_S = 3.0
"""Two looks further apart than this, by either clock: the process stood still meanwhile, or the
clock was set. Or the channel was not asked for so long."""

LOOK_EVERY_S = 0.2


class Heard:
    """Of one channel, in one run."""

    def __init__(self, grace_ms: int, now: int) -> None:
        self._grace_ms = grace_ms
        self._since = self._asked = time.monotonic()
        """Since when nothing says that there is more to read; when it was asked last."""
        self._looked = (self._since, now)
        self._waits = self._has_begun = False
        self._in_hand = 0
        """What was brought and is not taken in yet."""
        self._until = 0

    def waits(self) -> None:
        """The channel is asked for the next message."""
        self._waits = True

    def received(self) -> None:
        """It has brought one."""
        self._waits, self._asked, self._has_begun = False, time.monotonic(), True
        self._in_hand += 1

    def brings_none(self) -> None:
        """It cannot say."""
        self._waits, self._asked = False, time.monotonic()
        self._is_behind()

    def took(self, at: int | None, now: int) -> None:
        """What it brought is taken in, or given back; it was said then, where that is known."""
        self._in_hand -= 1
        if at is None or at + self._grace_ms <= now:
            self._is_behind()

    def look(self, now: int) -> None:
        """Notes how things are; to be called every `LOOK_EVERY_S`."""
        at = time.monotonic()
        if self._waits:
            self._asked = at
        (looked, then), self._looked = self._looked, (at, now)
        if max(at - looked, abs(now - then) / 1000, at - self._asked) > STOOD_STILL_S:
            self._is_behind()
        grace_s = self._grace_ms / 1000
        settled_s = min(grace_s, SETTLED_S) if self._has_begun else min(grace_s * 2, FIRST_S)
        if at - self._since >= settled_s and not self._in_hand:
            self._until = now

    def until(self) -> int:
        """In Unix milliseconds; 0 where nothing is known yet."""
        return self._until

    def _is_behind(self) -> None:
        self._since = time.monotonic()
