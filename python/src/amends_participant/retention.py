"""How long the guard's rows are kept, and their going."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from .database import Database, in_transaction
from .messages import sql as messages

STEPS_MAX = 500
"""Steps that go in one transaction, two rows each: a command that waits for one waits no longer
than that takes."""


MESSAGES_MAX = 1000
"""Rows of the inbox that go in one transaction."""

LATE_WINDOW = timedelta(hours=24)
"""How long after a saga's end its last commands may still arrive, unless the engine says longer."""


@dataclass(frozen=True)
class Retention:
    """A row may go when no command of its saga can come any more. The guard cannot know when a saga
    is closed, so it goes by age: the sum of the three."""

    longest: timedelta
    """The longest that a saga may take from this service's action to its compensation: its
    deadline, or the sum of its steps' deadlines, with the waiting for people in it. There is no
    default, so that nobody prunes what a saga of three weeks still needs."""
    late_window: timedelta = LATE_WINDOW
    """The engine's, where it is longer than a day. A shorter one changes nothing."""
    broker_retention: timedelta = timedelta(0)
    """How long the broker may keep a command; none over HTTP."""

    def __post_init__(self) -> None:
        for name in ("longest", "late_window", "broker_retention"):
            if getattr(self, name) < timedelta(0):
                raise ValueError(f"{name} is below zero")

    @property
    def age(self) -> timedelta:
        """How old a step's younger row must be."""
        return max(self.late_window, LATE_WINDOW) + self.longest + self.broker_retention


async def prune(database: Database, retention: Retention) -> int:
    """Deletes what is old, some hundred steps at a time: how many rows of the guard. What the
    inbox remembers goes by the same age."""
    inbox = {"messages": MESSAGES_MAX}
    while await _delete(database, messages.of(database.dialect).prune_inbox, retention, inbox):
        pass
    gone = 0
    while deleted := await _delete(
        database, database.dialect.prune, retention, {"steps": STEPS_MAX}
    ):
        gone += deleted
    return gone


async def _delete(
    database: Database, sql: str, retention: Retention, at_most: dict[str, int]
) -> int:
    parameters = {"age_s": retention.age.total_seconds(), **at_most}
    returned = await in_transaction(database, lambda t: t.statement(sql, parameters))
    return returned.changed
