"""What a service keeps of one saga: all that it has heard, and how far its own steps are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from . import raw
from .event import Reader, Reason
from .plan import Plan
from .rules import End, Part

RECORD_FORMAT = 1
"""The form of a stored record. A higher one is not read."""

_SETS = ("skipped", "never_ran", "compensated", "begun", "waived")
_T = TypeVar("_T")


class Foreign(Exception):
    """A stored record cannot be read here: a later version wrote it, it is damaged, or it goes by a
    definition that is not there."""


@dataclass
class Clock:
    """The times of one step, as a service sees them, in Unix milliseconds."""

    ready_at: int | None = None
    """Since when nothing stands before it."""
    tries: int = 0
    """How often it, or its undo, was tried in vain since then."""
    unasked: int = 0
    """How many of the tries never came to the handler: too much was at work, or the database away.
    They make pauses longer, and use up no attempt."""
    refusals: int = 0
    """How often it was refused although it must be done: each time it is asked anew."""
    again_at: int | None = None
    """When it is tried again."""
    overdue: bool = False
    """Whether it was said to be overdue."""
    open: bool = False
    """Whether an attempt has left for another process, and its answer is not there: a sidecar's."""
    doubtful: bool = False
    """Whether there was an attempt of which it is not known what became of it."""


class State(str, Enum):
    """How far a saga is, as far as a service knows."""

    RUNNING = "running"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass
class Record:
    """What a service keeps of a saga. Texts of JSON are kept as they were written."""

    of: Plan
    saga_id: str
    part: Part = field(default_factory=Part)
    data: str | None = field(default=None, repr=False)
    """What the saga was started with, once that is known."""
    results: dict[int, str] = field(default_factory=dict, repr=False)
    asked: dict[int, str] = field(default_factory=dict, repr=False)
    """What own steps were asked with, fixed when it was first intended."""
    failure: tuple[str | None, Reason] | None = None
    """Why it is undone, by the first failure that was heard, and which step it began with."""
    order: list[int] = field(default_factory=list)
    """The steps that were done, in the order heard, none before one it waits for."""
    started_at: int | None = None
    clocks: dict[int, Clock] = field(default_factory=dict)
    traceparent: str | None = None

    @property
    def state(self) -> State:
        """How far it is."""
        end = self.part.end(self.of)
        if end is not None:
            return State.COMPLETED if end is End.COMPLETED else State.FAILED
        is_undone = self.part.failed and not self.part.decided(self.of)
        return State.COMPENSATING if is_undone else State.RUNNING

    @property
    def completed_steps(self) -> tuple[str, ...]:
        """Done and not undone, by name, in the order heard, none before one it waits for."""
        stands = (step for step in self.order if step not in self.part.compensated)
        return tuple(self.of.steps[step].name for step in stands)

    def result(self, step: str) -> str | None:
        """The result of a step that is done, JSON."""
        place = self.of.named(step)
        return None if place is None else self.results.get(place)

    def to_json(self) -> str:
        """As it is stored: steps by their names, and the same whichever kit has written it."""
        return _written(self)

    @classmethod
    def from_json(cls, saga_id: str, text: str, definition: Callable[[str], Plan | None]) -> Record:
        """Reads it back. `definition` finds the one with a hash. Raises `Foreign`."""
        return _read_stored(saga_id, text, definition)

    def clock(self, step: int) -> Clock:
        """The times of a step."""
        return self.clocks.setdefault(step, Clock())

    def note_done(self, step: int, result: str) -> None:
        """The step is done, with this result."""
        if step not in self.order:
            # What waited for it may have been heard first: of two topics either can be ahead.
            later = self.of.descendants[step]
            places = (n for n, heard in enumerate(self.order) if heard in later)
            self.order.insert(next(places, len(self.order)), step)
        self.results.setdefault(step, result)
        # What is timed from now on is its undo.
        self.clocks[step] = Clock()

    def note_failure(self, step: int | None, reason: Reason) -> None:
        """This is why, unless that is known."""
        name = None if step is None else self.of.steps[step].name
        self.failure = self.failure or (name, reason)


def _written(record: Record) -> str:
    of, part = record.of, record.part
    # In the order in which they were heard; a step that is undone had run, whoever says so first.
    rest = sorted(part.completed.difference(record.order))
    texts = {
        "format": raw.plain(RECORD_FORMAT),
        "saga_type": raw.plain(of.saga_type),
        "version": raw.plain(of.version),
        "definition_hash": raw.plain(of.definition_hash),
        "started_at": raw.plain(record.started_at),
        "failed": raw.plain(part.failed),
        "completed": _names(of, [*record.order, *rest]),
    }
    for name in _SETS:
        steps = getattr(part, name)
        if steps:
            texts[name] = _names(of, sorted(steps))
    if record.failure is not None:
        step, reason = record.failure
        failure = {"step": raw.plain(step), "reason": reason.to_json()}
        texts["failure"] = raw.object_of(failure)
    if record.clocks:
        clocks = {step: _clock_written(clock) for step, clock in record.clocks.items()}
        texts["clocks"] = _by_name(of, clocks)
    if record.traceparent is not None:
        texts["traceparent"] = raw.plain(record.traceparent)
    texts["data"] = "null" if record.data is None else record.data
    if record.results:
        texts["results"] = _by_name(of, record.results)
    if record.asked:
        texts["asked"] = _by_name(of, record.asked)
    return raw.object_of(texts)


def _read_stored(saga_id: str, text: str, definition: Callable[[str], Plan | None]) -> Record:
    try:
        fields = raw.members(text)
        head = Reader(fields)
        form = head.number("format")
        if form > RECORD_FORMAT:
            raise Foreign(
                f"it is of format {form}, and this version reads {RECORD_FORMAT}: run the version"
                " that wrote it"
            )
        of = definition(head.text("definition_hash"))
        if of is None:
            raise Foreign(
                f"it goes by the definition {head.text('definition_hash')}, version"
                f" {head.number('version')} of {head.text('saga_type')}, which this service does"
                " not have"
            )
        return _read(saga_id, of, fields)
    except raw.NotJson as e:
        raise Foreign(f"it is damaged: {e}") from None


def _read(saga_id: str, of: Plan, fields: Mapping[str, str]) -> Record:
    read = Reader(fields)
    started_at = read.number_or_none("started_at")
    order = [_named(of, name) for name in read.texts("completed")]
    sets = {
        name: {_named(of, each) for each in read.texts(name)} for name in _SETS if name in fields
    }
    failure = None
    if not read.is_null("failure"):
        inner = Reader(raw.members(read.text_of("failure")))
        reason = inner.reason("reason")
        if reason is None:
            raise raw.NotJson("missing field `reason`")
        failure = (inner.text_or_none("step"), reason)
    return Record(
        of=of,
        saga_id=saga_id,
        part=Part(
            started=started_at is not None,
            failed=read.truth("failed"),
            completed=set(order),
            **sets,
        ),
        data=None if read.is_null("data") else read.text_of("data"),
        results=_by_place(of, fields, "results", lambda text: text),
        asked=_by_place(of, fields, "asked", lambda text: text),
        failure=failure,
        order=order,
        started_at=started_at,
        clocks=_by_place(of, fields, "clocks", _clock_read),
        traceparent=read.text_or_none("traceparent"),
    )


def _names(of: Plan, steps: Iterable[int]) -> str:
    return raw.plain([of.steps[step].name for step in steps])


def _by_name(of: Plan, texts: Mapping[int, str]) -> str:
    return raw.object_of(dict(sorted((of.steps[step].name, text) for step, text in texts.items())))


def _by_place(
    of: Plan, fields: Mapping[str, str], name: str, made: Callable[[str], _T]
) -> dict[int, _T]:
    texts = raw.members(fields[name]) if name in fields else {}
    return {_named(of, step): made(text) for step, text in texts.items()}


def _named(of: Plan, name: str) -> int:
    step = of.named(name)
    if step is None:
        raise raw.NotJson("it has a step that the definition does not have")
    return step


def _clock_written(clock: Clock) -> str:
    said: dict[str, Any] = {"ready_at": clock.ready_at}
    for name in ("tries", "unasked", "refusals"):
        if getattr(clock, name):
            said[name] = getattr(clock, name)
    if clock.again_at is not None:
        said["again_at"] = clock.again_at
    if clock.overdue:
        said["overdue"] = True
    if clock.open:
        said["open"] = True
    if clock.doubtful:
        said["doubtful"] = True
    return raw.plain(said)


def _clock_read(text: str) -> Clock:
    fields = raw.members(text)
    read = Reader(fields)
    return Clock(
        ready_at=read.number_or_none("ready_at"),
        tries=read.number("tries") if "tries" in fields else 0,
        unasked=read.number("unasked") if "unasked" in fields else 0,
        refusals=read.number("refusals") if "refusals" in fields else 0,
        again_at=read.number_or_none("again_at"),
        overdue="overdue" in fields and read.truth("overdue"),
        open="open" in fields and read.truth("open"),
        doubtful="doubtful" in fields and read.truth("doubtful"),
    )
