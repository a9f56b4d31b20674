"""What follows by itself: lateness, conditions, and what is to be asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .event import Reason, SagaEvent
from .plan import RETRIABLE
from .record import Clock, Record
from .rules import NotTaken, Overdue, Word
from .service import InVain, Moment, OnOverdue, RefusedFor, Service, Skipped, Why
from .tasks import Task, Unprepared, prepare, tasks

LOOK_AGAIN_MS = 5_000
"""How often it is looked whether what is late by the clock was only unread."""


@dataclass
class Advance:
    """What follows by itself."""

    events: list[SagaEvent] = field(default_factory=list)
    """What is to be published."""
    asks: list[tuple[Task, bytes]] = field(default_factory=list)
    """What is to be asked of the service's handlers now, each with the command's body."""
    late: list[int] = field(default_factory=list)
    """The steps, the service's own or those that it waits for, that are late; each is said once."""


def advance(service: Service, record: Record, now: Moment) -> Advance:
    """Moves on what moves by itself, now that something was taken in or time has passed: says what
    is late, passes over steps whose condition does not hold, and prepares what is to be asked."""
    followed = Advance()
    followed.late, followed.events = late(service, record, now)
    # Each pass settles a step for good, or puts it off.
    for _ in range(len(service.of.steps) + 1):
        followed.asks = []
        has_moved = False
        for task in list(tasks(service, record, now.at)):
            try:
                try:
                    body = prepare(service, record, task.step, task.direction)
                except Unprepared as e:
                    followed.events += _unprepared(service, record, task, e.reason, now)
                else:
                    if body is not None:
                        followed.asks.append((task, body))
                        continue
                    followed.events += service.answered(record, task.step, Skipped(), now)
            except NotTaken:
                pass
            has_moved = True
        if not has_moved:
            break
    return followed


def late(service: Service, record: Record, moment: Moment) -> tuple[list[int], list[SagaEvent]]:
    """Takes in that time has passed; gives the steps that are late by now, each said once, and what
    is to be published about it. What depends on others is late only as far as they were heard:
    their word may be there, unread."""
    events: list[SagaEvent] = []
    mine, now, heard = service.mine, moment.at, min(moment.at, moment.heard)
    deadlines = _deadlines(service, record)
    steps = [step for step, at in deadlines if at <= (now if step in mine else heard)]
    for step in steps:
        record.clock(step).overdue = True
        if service.when_overdue.get(step) is OnOverdue.WAIT_ON:
            continue
        of_step = service.of.steps[step]
        what = f"the step {of_step.name} was not done within {_duration(of_step.deadline_ms)}"
        reason = Reason.of("DEADLINE", what)
        says = service.react(record, Overdue(step))
        if any(said.word is Word.FAILED for said in says):
            record.note_failure(step, reason)
        events += service.events(record, says, Why(step, reason), None, now)
    at = _saga_deadline(service, record)
    if at is not None and at <= heard:
        reason = Reason.of("DEADLINE", "the saga was not done within its deadline")
        events += service.fail(record, None, reason, now)
    service.look(record, now)
    return steps, events


def wakes_at(service: Service, record: Record, now: int, left_for_ms: int) -> int | None:
    """When there is something to do by itself: a task, or a deadline. What is due now is left for
    a moment to whoever has just advanced this. `None`: only when something is heard."""
    late = [at for _, at in _deadlines(service, record)]
    times = []
    if record.data is not None:
        for owed in record.part.owed(service.of, service.mine):
            clock = record.clocks.get(owed.step, Clock())
            ready_at = 0 if clock.ready_at is None else clock.ready_at
            at = ready_at if clock.again_at is None else clock.again_at
            times.append(now + left_for_ms if at <= now else at)
    of_saga = _saga_deadline(service, record)
    if of_saga is not None:
        late.append(of_saga)
    times += [now + LOOK_AGAIN_MS if at <= now else at for at in late]
    return min(times, default=None)


def _unprepared(
    service: Service, record: Record, task: Task, why: Reason, now: Moment
) -> list[SagaEvent]:
    """What cannot be asked is refused; or waits for whoever mends it, where the step must not be
    given up."""
    if (
        task.direction == "action"
        and service.of.steps[task.step].kind != RETRIABLE
        and task.step not in record.part.begun
    ):
        return service.answered(record, task.step, RefusedFor(why), now)
    return service.tried(record, task.step, InVain(why), now)


def _deadlines(service: Service, record: Record) -> Iterator[tuple[int, int]]:
    """Of the steps that are ready and neither known nor said to be late: the own ones, and those
    that an own one waits for."""
    mine = service.mine
    for step in record.part.awaited(service.of):
        clock = record.clocks.get(step)
        if clock is None or clock.overdue or clock.ready_at is None:
            continue
        grace_ms = 0 if step in mine else service.grace_ms
        if step in mine or any(step in service.of.ancestors[own] for own in mine):
            yield step, clock.ready_at + service.of.steps[step].deadline_ms + grace_ms


def _saga_deadline(service: Service, record: Record) -> int | None:
    """That of the saga, while it may still be undone and is not."""
    of = service.of
    if record.part.failed or record.part.decided(of):
        return None
    if record.started_at is None or of.deadline_ms is None:
        return None
    grace_ms = 0 if of.arbiter in service.mine else service.grace_ms
    return record.started_at + of.deadline_ms + grace_ms


def _duration(ms: int) -> str:
    """In the largest unit that it is a whole number of, as the other kits say it."""
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")):
        if ms >= size and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"
