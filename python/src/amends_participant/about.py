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

from .command import Command, Direction, Sending


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
        return self.traceparent.split("-")[1] if self.traceparent else None


_current: ContextVar[About | None] = ContextVar("amends_participant_about", default=None)


def current() -> About | None:
    """The command at work in this task, if there is one."""
    return _current.get()


@contextmanager
def at_work(about: About) -> Iterator[None]:
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
        record.saga_id = about.saga_id if about else "-"
        record.step_name = about.step if about else "-"
        record.direction = about.direction if about else "-"
        record.attempt = (about.attempt if about else None) or "-"
        record.trace_id = (about.trace_id if about else None) or "-"
        return record

    make.carries_amends = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make)
