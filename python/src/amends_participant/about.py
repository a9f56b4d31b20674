"""What a handler may know of the command that it carries out, besides its data; and how every log
line of that time comes to say the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .command import Command, Direction, Sending, saga_of


@dataclass(frozen=True)
class About:
    """The command at work."""

    saga_id: str
    saga_type: str
    step: str
    direction: Direction
    round: int
    idempotency_key: str
    attempt: int | None
    """Which sending of the command this is, where the sender says so."""
    deadline: datetime | None
    """When the step's time is up, in UTC, where the sender says so. What is done later will most
    likely be undone."""
    traceparent: str | None

    @classmethod
    def of(cls, command: Command, sending: Sending) -> About:
        """From the two parts that came in."""
        return cls(
            saga_id=command.saga_id,
            saga_type=command.saga_type,
            step=command.step,
            direction=command.direction,
            round=command.round,
            idempotency_key=command.key,
            attempt=sending.attempt,
            deadline=sending.deadline,
            traceparent=sending.traceparent,
        )

    def remaining(self) -> float | None:
        """Seconds until the deadline, never below 0; `None` where there is none."""
        if self.deadline is None:
            return None
        return max(0.0, (self.deadline - datetime.now(timezone.utc)).total_seconds())

    @property
    def trace_id(self) -> str | None:
        """The trace's part of `traceparent`."""
        return trace_id(self.traceparent)


def trace_id(traceparent: str | None) -> str | None:
    """Of a `traceparent` that is one."""
    return traceparent.split("-")[1] if traceparent else None


@dataclass(frozen=True)
class NoCommand:
    """What came and is none, as far as it can be read whose it would be."""

    saga_id: str | None
    trace_id: str | None
    step = direction = attempt = None


_current: ContextVar[About | NoCommand | None] = ContextVar(
    "amends_participant_about", default=None
)


def current() -> About | None:
    """The command at work in this task, if there is one."""
    about = _current.get()
    return about if isinstance(about, About) else None


@contextmanager
def at_none(raw: bytes, sending: Sending) -> Iterator[None]:
    """All that is logged in here is said to be about this, which is no command."""
    with at_work(NoCommand(saga_of(raw) or sending.saga_id, trace_id(sending.traceparent))):
        yield


@contextmanager
def at_work(about: About | NoCommand) -> Iterator[None]:
    """All that is logged in here is said to be about this command."""
    before = _current.set(about)
    try:
        yield
    finally:
        _current.reset(before)


LOG_FIELDS = ("saga_id", "step_name", "direction", "attempt", "trace_id")
"""What every record carries, outside of a command as `-`."""


def carry_in_log_records() -> None:
    """From now on each log record of this program, whoever logs, carries `LOG_FIELDS`. A format
    that names them shows them, and a formatter that writes all extra fields as JSON has them."""
    factory = logging.getLogRecordFactory()
    if getattr(factory, "carries_amends", False):
        return

    def make(*arguments: Any, **named: Any) -> logging.LogRecord:
        record = factory(*arguments, **named)
        about = _current.get()
        record.saga_id = (about.saga_id if about else None) or "-"
        record.step_name = (about.step if about else None) or "-"
        record.direction = (about.direction if about else None) or "-"
        record.attempt = (about.attempt if about else None) or "-"
        record.trace_id = (about.trace_id if about else None) or "-"
        return record

    make.carries_amends = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make)
