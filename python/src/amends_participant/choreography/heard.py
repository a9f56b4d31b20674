"""Up to when what others said has been heard. A service that was away has their words yet to read,
and must not take for late what is only unread."""

from __future__ import annotations

import time

QUIET_S = 1.0
"""A channel that brought nothing for so long has nothing to bring."""


class Heard:
    """Of one channel, in one run."""

    def __init__(self, grace_ms: int) -> None:
        self._until = 0
        self._joined_at = time.monotonic() + grace_ms / 1000
        """A channel that is silent by then is one where nothing is said: to become one of several
        listeners may take seconds."""
        self._waits_since: float | None = None

    def waits(self) -> None:
        """The channel is asked for the next message."""
        self._waits_since = time.monotonic()

    def received(self) -> None:
        """It has brought one."""
        self._waits_since, self._joined_at = None, 0.0

    def brings_none(self) -> None:
        """It is not asked any more, or cannot say."""
        self._waits_since = None

    def took_in(self, at: int, now: int) -> None:
        """What was said then is taken in. Another one's clock may be ahead."""
        self._until = max(self._until, min(at, now))

    def until(self, now: int) -> int:
        """In Unix milliseconds; 0 where nothing is known yet."""
        at = time.monotonic()
        if (
            self._waits_since is not None
            and at - self._waits_since >= QUIET_S
            and at >= self._joined_at
        ):
            self._until = max(self._until, now)
        return self._until
