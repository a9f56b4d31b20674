"""One service of a choreography: what follows from what it hears, and from what became of its
steps. No input or output, no clock, no chance: whoever runs it brings them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Union

from ..command import Direction
from .event import Context, Reason, SagaEvent
from .plan import BEST_EFFORT, RETRIABLE, Plan
from .record import Clock, Record
from .rules import (
    Begun,
    Foreign,
    Happened,
    Heard,
    NoStep,
    NotOwed,
    Outcome,
    Ran,
    Said,
    Steps,
    TooLate,
    Undo,
    Undone,
    Word,
    react,
)

GRACE_MS = 30_000
"""How much longer a service waits for a step of another one than the step may take: for the event's
own way, and because the other one says by itself that it is late. Unless said otherwise."""


class OnOverdue(Enum):
    """What a service does about a step that it waits for and that has not come in its time."""

    BY_KIND = "by kind"
    """What the step's kind asks for: without a best effort the saga goes on; a step before the
    point of no return fails it; for one at or behind that it is waited."""
    WAIT_ON = "wait on"
    """It waits on. Others may ask for the end."""


@dataclass(frozen=True)
class Completed:
    """The action is done; its result, JSON."""

    result: str


@dataclass(frozen=True)
class Skipped:
    """Its condition does not hold."""


@dataclass(frozen=True)
class RefusedFor:
    """The action is refused, and had no effect."""

    reason: Reason


@dataclass(frozen=True)
class UndoDone:
    """The compensation is done, or there was nothing to undo."""


Answered = Union[Completed, Skipped, RefusedFor, UndoDone]
"""What became of an own step."""


@dataclass(frozen=True)
class InVain:
    """An attempt that came to nothing."""

    why: Reason
    not_before_ms: int | None = None
    """When the next one is of use at the soonest, where the handler says so."""
    is_known: bool = True
    """Whether it is known that nothing was done. What is not known is never given up."""
    asked: bool = True
    """Whether the handler was asked at all. What was not uses up none of the step's attempts."""


@dataclass(frozen=True)
class Moment:
    """The time in Unix milliseconds, and chance: a random number of 32 bits."""

    at: int
    jitter: int
    heard: int = 0
    """Up to when what others said has been heard: of what was due by then it is known that it is
    late."""


@dataclass(frozen=True)
class Why:
    """Of a failure that begins here."""

    step: int | None
    reason: Reason


@dataclass(frozen=True)
class Service:
    """A service in a choreography. One that has no step in it only listens, and may start and
    cancel."""

    of: Plan
    name: str
    grace_ms: int = GRACE_MS
    when_overdue: Mapping[int, OnOverdue] = field(default_factory=dict)

    @property
    def mine(self) -> Steps:
        """Its own steps."""
        return self.of.steps_of(self.name)

    def start(self, saga_id: str, data: str, now: int) -> SagaEvent:
        """What starts a saga, with data that was looked at."""
        return self._say(saga_id, Said(Word.STARTED), Context(saga_id, 0, data, ()), now)

    def hear(self, record: Record, event: SagaEvent, now: int) -> list[SagaEvent]:
        """Takes in an event; gives what is to be published about it. A second time it is nothing
        new. Raises `NotTaken`, and the record is as it was."""
        if event.saga_id != record.saga_id or event.definition_hash != record.of.definition_hash:
            raise Foreign
        step = None if event.step_name is None else self.of.named(event.step_name)
        if event.step_name is not None and step is None:
            raise NoStep
        before = record.part
        about = step if event.said.of_a_step else None
        if about is None and event.said.of_a_step:
            raise NoStep
        says = self.react(record, Heard(Said(event.said, about)))
        # Whichever of them is heard first says why.
        is_why = event.said is Word.FAILED or (
            event.said is Word.NEVER_RAN
            and step is not None
            and self.of.steps[step].kind != BEST_EFFORT
        )
        if is_why and event.reason is not None:
            record.note_failure(step, event.reason)
        if record.part == before:
            return []
        if event.said is Word.STARTED:
            if record.data is None:
                record.data = event.context.data
            if record.started_at is None:
                record.started_at = now
        elif event.said is Word.COMPLETED and step is not None and event.result is not None:
            record.note_done(step, event.result)
        record.traceparent = record.traceparent or event.traceparent
        events = self.events(record, says, None, event.id, now)
        self.look(record, now)
        return events

    def begin(self, record: Record, step: int, direction: Direction, until: int) -> None:
        """Notes that an attempt at an own step, or at its undo, begins that may outlive the
        service's knowing of it: of a service whose handler is another process. Nobody tries again
        before its answer must be there. Raises `NotTaken`: it is not owed any more."""
        if direction == "action":
            self.react(record, Begun(step))
        clock = record.clock(step)
        if direction == "action":
            # Whoever sent it has died, or has stopped waiting.
            clock.doubtful = clock.doubtful or clock.open
            clock.open = True
        clock.again_at = until

    def answered(
        self, record: Record, step: int, answered: Answered, now: Moment
    ) -> list[SagaEvent]:
        """Takes in what became of an own step; gives what is to be published about it. A refusal
        of a step that must be done is an attempt in vain, and the next one asks anew. Raises
        `NotTaken`: it is not owed, since meanwhile it was barred."""
        why: Why | None = None
        if isinstance(answered, Completed):
            says = self.react(record, Ran(step, Outcome.COMPLETED))
            record.note_done(step, answered.result)
        elif isinstance(answered, Skipped):
            says = self.react(record, Ran(step, Outcome.SKIPPED))
        elif isinstance(answered, UndoDone):
            says = self.react(record, Undone(step))
        else:
            says = self.react(record, Ran(step, Outcome.REFUSED))
            # An arbiter that had begun before a failure was heard is barred now.
            if self.of.steps[step].kind == RETRIABLE and not says:
                record.clock(step).refusals += 1
                return self.tried(record, step, InVain(answered.reason), now)
            why = Why(step, answered.reason)
            if record.part.failed:
                record.note_failure(step, answered.reason)
        events = self.events(record, says, why, None, now.at)
        self.look(record, now.at)
        return events

    def tried(self, record: Record, step: int, in_vain: InVain, now: Moment) -> list[SagaEvent]:
        """Takes in that an attempt at an own step, or at its undo, came to nothing this time. It is
        tried again after the definition's pause; when its attempts are over, it counts as refused.
        An undo, and a step that must not be given up, is tried for ever. Raises `NotTaken`."""
        owed = next((o for o in record.part.owed(self.of, self.mine) if o.step == step), None)
        if owed is None:
            raise NotOwed
        is_undo, of_step = isinstance(owed, Undo), self.of.steps[step]
        if not is_undo and not in_vain.is_known:
            # It may have been done: nothing bars it before it has answered.
            self.react(record, Begun(step))
        # What has begun is owed still after a failure, or past its time, and is given up as soon as
        # it is known that nothing of it was done.
        is_unwanted = record.part.failed and not record.part.decided(self.of)
        clock = record.clock(step)
        clock.open = False
        clock.doubtful = clock.doubtful or not in_vain.is_known
        tries = clock.tries + 1
        unasked = clock.unasked + (0 if in_vain.asked else 1)
        attempts = of_step.max_attempts
        are_over = attempts is not None and tries - unasked >= attempts
        if (
            not is_undo
            and not clock.doubtful
            and (is_unwanted or (of_step.kind != RETRIABLE and (are_over or clock.overdue)))
        ):
            return self.answered(record, step, RefusedFor(in_vain.why), now)
        backoff = of_step.undo_backoff if is_undo else of_step.backoff
        pause_ms = max(backoff.pause_ms(tries, now.jitter), in_vain.not_before_ms or 0)
        clock.tries, clock.unasked, clock.again_at = tries, unasked, now.at + pause_ms
        return []

    def cancel(self, record: Record, reason: Reason, now: int) -> list[SagaEvent]:
        """Asks for the end of the saga: a person cancels. Raises `TooLate` where its arbiter has
        run, as far as this service knows."""
        if record.part.decided(self.of):
            raise TooLate
        return self.fail(record, None, reason, now)

    def fail(self, record: Record, step: int | None, reason: Reason, now: int) -> list[SagaEvent]:
        """Says that the saga is to be undone, and bars what of it is this service's."""
        if record.part.failed:
            return []
        says = [Said(Word.FAILED), *self.react(record, Heard(Said(Word.FAILED)))]
        record.note_failure(step, reason)
        events = self.events(record, says, Why(step, reason), None, now)
        self.look(record, now)
        return events

    def react(self, record: Record, happened: Happened) -> list[Said]:
        """What the rules say; the record changes only if it is taken."""
        part = record.part.copy()
        says = react(self.of, self.mine, part, happened)
        record.part = part
        return says

    def events(
        self, record: Record, says: Sequence[Said], why: Why | None, cause: str | None, now: int
    ) -> list[SagaEvent]:
        """What is said, with all that travels."""
        return [self._event(record, said, why, cause, now) for said in says]

    def look(self, record: Record, now: int) -> None:
        """Notes since when steps are ready, and forgets the times of those that are over."""
        live = set(record.part.awaited(self.of))
        live.update(owed.step for owed in record.part.owed(self.of, self.mine))
        record.clocks = {step: record.clocks.get(step, Clock()) for step in sorted(live)}
        for clock in record.clocks.values():
            if clock.ready_at is None:
                clock.ready_at = now

    def _event(
        self, record: Record, said: Said, why: Why | None, cause: str | None, now: int
    ) -> SagaEvent:
        reason = None
        if why is not None:
            if said.word is Word.FAILED:
                said, reason = Said(said.word, why.step), why.reason
            elif said.word is Word.NEVER_RAN and said.step == why.step:
                reason = why.reason
        place = 0 if said.step is None else said.step + 1
        data = record.data or "{}"
        context = Context(record.saga_id, place, data, record.completed_steps)
        is_done = said.word is Word.COMPLETED and said.step is not None
        return replace(
            self._say(record.saga_id, said, context, now),
            result=record.results.get(said.step) if is_done else None,  # type: ignore[arg-type]
            reason=reason,
            cause=cause,
            traceparent=record.traceparent,
        )

    def _say(self, saga_id: str, said: Said, context: Context, now: int) -> SagaEvent:
        return SagaEvent(
            saga_id=saga_id,
            saga_type=self.of.saga_type,
            version=self.of.version,
            definition_hash=self.of.definition_hash,
            said=said.word,
            step_name=None if said.step is None else self.of.steps[said.step].name,
            context=context,
            by=self.name,
            at=now,
        )
