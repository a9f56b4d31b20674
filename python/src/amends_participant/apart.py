"""Code of somebody else's in a task of its own, so that a cancellation that comes out of it is told
from one of ours: client libraries raise one where they lose a connection, and what is taken for
ours ends the service."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class CancelledWithin(Exception):
    """It was cancelled, and not by us."""


class TookTooLong(Exception):
    """It had no end in the time that it was given."""


async def apart(work: Coroutine[Any, Any, _T], at_most_s: float | None = None) -> _T:
    """Does some work, as `await` does. When this is cancelled, or the time is over, the work is
    cancelled, and has ended before anything comes out of here."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=at_most_s)
    except asyncio.CancelledError:
        await ended(task)
        raise
    if not task.done():
        await ended(task)
        raise TookTooLong(f"no end within {at_most_s} s")
    if task.cancelled():
        raise CancelledWithin("cancelled by its own library")
    return task.result()


async def ended(task: asyncio.Future[Any]) -> None:
    """Cancels it, and comes back when it has ended, also where this is cancelled meanwhile."""
    while not task.done():
        task.cancel()
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            continue  # it is on its way already
    if not task.cancelled():
        task.exception()  # is nobody's any more
