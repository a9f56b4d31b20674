"""What a service has to have running beside its answers: the relay of its outbox, and pruning."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from .messages.channel import Channel
from .retention import Retention, prune

if TYPE_CHECKING:
    from .participant import Participant

PRUNE_EVERY_S = 3600.0
"""Often enough that each time has little to delete."""

_log = logging.getLogger("amends_participant")


class Upkeep:
    """Runs from when it is entered until it is left. It is called as an application's `lifespan`
    is, with the application or with nothing."""

    def __init__(
        self, participant: Participant, relay_to: Channel | None, prune_by: Retention | None
    ) -> None:
        self._participant, self._relay_to, self._prune_by = participant, relay_to, prune_by

    @asynccontextmanager
    async def __call__(self, _app: object = None) -> AsyncIterator[None]:
        running: list[asyncio.Task[None]] = []
        if self._relay_to is not None:
            running.append(asyncio.create_task(self._participant.relay(self._relay_to)))
        if self._prune_by is not None:
            running.append(asyncio.create_task(self._prune(self._prune_by)))
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _prune(self, retention: Retention) -> None:
        while True:
            try:
                await self._participant.open()
                gone = await prune(self._participant.database, retention)
                _log.info("pruned %d rows of the guard", gone)
            except Exception as e:
                _log.warning("the guard is not pruned: %s", type(e).__name__, exc_info=True)
            await asyncio.sleep(PRUNE_EVERY_S)
