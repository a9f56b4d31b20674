"""Where a transaction is open already: what would begin another one within it waits for itself, or
is kept where the first one is rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class _Open:
    database: object
    is_over: bool = False
    """A task that was begun in it may go on after it."""


_open: ContextVar[tuple[_Open, ...]] = ContextVar("amends_participant_open", default=())


class WithinAnother(RuntimeError):
    """A transaction of the same database is open in this task."""

    def __init__(self) -> None:
        super().__init__(
            "a handler's own transaction, or a received message's, is open here, and nothing else"
            " of the kit is begun within it: a command is done once by itself; of a message that"
            " is none, take it in outside of handlers"
        )


@contextmanager
def within(database: object) -> Iterator[None]:
    """A transaction of this database is open meanwhile."""
    opened = _Open(database)
    token = _open.set((*_open.get(), opened))
    try:
        yield
    finally:
        opened.is_over = True
        _open.reset(token)


def refuse_within(database: object) -> None:
    """Raises where one is open."""
    if any(each.database is database and not each.is_over for each in _open.get()):
        raise WithinAnother
