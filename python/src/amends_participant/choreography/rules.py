"""A saga without a coordinator: what one service knows of it, and what follows.

Every service reads everything that is said, in whatever order and however often it comes, and keeps
its own `Part`. `react` takes in one thing that happened and gives what is to be said about it;
`Part.owed` is what the service is to do next. One step decides how the saga ends, the arbiter: its
service runs it, or bars it for ever. The rules are those of docs/semantics.md, section 7, and the
same as the other kits'; testbed/choreography.json holds them together.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Union

from .plan import BEST_EFFORT, COMPENSATABLE, PIVOT, RETRIABLE, Plan

Steps = frozenset[int]


class Word(str, Enum):
    """What is said, of a step or of the saga."""

    STARTED = "started"
    """The saga is to be run."""
    COMPLETED = "completed"
    """The step is done."""
    SKIPPED = "skipped"
    """The step's condition does not hold."""
    NEVER_RAN = "never_ran"
    """The step did not run, and never will."""
    COMPENSATED = "compensated"
    """The step is undone."""
    FAILED = "failed"
    """The saga is to be undone."""

    @property
    def of_a_step(self) -> bool:
        """Is it said of a step?"""
        return self not in (Word.STARTED, Word.FAILED)


class Said(NamedTuple):
    """A word, and the step that it is about where it is one of a step."""

    word: Word
    step: int | None = None


class Outcome(Enum):
    """How an own step ended."""

    COMPLETED = "completed"
    SKIPPED = "skipped"
    REFUSED = "refused"


class Heard(NamedTuple):
    """This was read."""

    said: Said


class Begun(NamedTuple):
    """An attempt at an own step begins that may outlive the service's knowing of it."""

    step: int


class Ran(NamedTuple):
    """An own step was run."""

    step: int
    outcome: Outcome


class Undone(NamedTuple):
    """An own step was undone."""

    step: int


class Overdue(NamedTuple):
    """A step has not been done in its time."""

    step: int


Happened = Union[Heard, Begun, Ran, Undone, Overdue]


class NotTaken(Exception):
    """Something is not taken in; what is known is as it was."""


class Foreign(NotTaken):
    """It is of another saga, or goes by another definition of it."""

    def __init__(self) -> None:
        super().__init__("it is of another saga, or goes by another definition of it")


class NoStep(NotTaken):
    """The definition has no such step."""

    def __init__(self) -> None:
        super().__init__("the definition has no such step")


class Contradicts(NotTaken):
    """It contradicts what is known, or says of an own step what the service does not."""

    def __init__(self) -> None:
        super().__init__(
            "it contradicts what this service knows: two services may go by one name, or a database"
            " was restored from a backup"
        )


class NotOwed(NotTaken):
    """The service owes nothing of the kind (any more)."""

    def __init__(self) -> None:
        super().__init__("nothing of the kind is owed")


class TooLate(NotTaken):
    """The arbiter has run."""

    def __init__(self) -> None:
        super().__init__("the saga has passed its point of no return")


class Run(NamedTuple):
    """The step is to be done."""

    step: int


class Undo(NamedTuple):
    """It is to be undone."""

    step: int


Owed = Union[Run, Undo]


class End(Enum):
    """How a saga ended."""

    COMPLETED = "completed"
    FAILED = "failed"


@dataclass
class Part:
    """What a service knows of a saga. Of its own steps this is the guard's word; of the others' it
    is what they said. It only grows: the order in which things are heard does not matter."""

    started: bool = False
    failed: bool = False
    completed: set[int] = field(default_factory=set)
    skipped: set[int] = field(default_factory=set)
    never_ran: set[int] = field(default_factory=set)
    compensated: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)
    """Of these own steps an attempt has begun whose answer is not known."""
    waived: set[int] = field(default_factory=set)
    """For these best-effort steps it is waited no more."""

    def copy(self) -> Part:
        """Another one of the same."""
        return deepcopy(self)

    def owed(self, of: Plan, mine: Steps) -> Iterator[Owed]:
        """What is to be done now for these steps, which are the service's own."""
        for step in sorted(mine):
            if self._is_to_run(of, step):
                yield Run(step)
            elif self._is_to_undo(of, step):
                yield Undo(step)

    def awaited(self, of: Plan) -> Iterator[int]:
        """The steps that nothing stands before and of which it is not known what became, whoever's
        they are."""
        for step in range(len(of.steps)):
            before = of.ancestors[step]
            if self.started and not self.known(step) and all(self.done(of, b) for b in before):
                yield step

    def end(self, of: Plan) -> End | None:
        """How the saga ended, as far as this was heard."""
        steps = range(len(of.steps))
        if self.decided(of):
            return End.COMPLETED if all(self.done(of, step) for step in steps) else None
        fell = of.arbiter in self.never_ran
        if fell and all(not of.undoable(step) or self.settled(step) for step in steps):
            return End.FAILED
        return None

    def decided(self, of: Plan) -> bool:
        """Did the arbiter run, or was it passed over? Then the saga goes forward only."""
        return of.arbiter in self.completed or of.arbiter in self.skipped

    def known(self, step: int) -> bool:
        """Is it known what became of the step?"""
        return step in self.completed or step in self.skipped or step in self.never_ran

    def done(self, of: Plan, step: int) -> bool:
        """May what follows the step go on?"""
        given_up = step in self.never_ran or step in self.waived
        ran = step in self.completed or step in self.skipped
        return ran or (of.best_effort(step) and given_up)

    def settled(self, step: int) -> bool:
        """Is there nothing of the step, for good?"""
        return step in self.never_ran or step in self.skipped or step in self.compensated

    def holds(self, said: Said) -> bool:
        """Is this known already?"""
        if said.word is Word.STARTED:
            return self.started
        if said.word is Word.FAILED:
            return self.failed
        return said.step in self._of(said.word)

    def contradicts(self, of: Plan, said: Said) -> bool:
        """Does this contradict what is known? A step that was undone had run, whichever is heard
        first."""
        word, step = said
        if step is None:
            return False
        # Would the arbiter have run although a step is undone?
        too_late = step == of.arbiter and bool(self.compensated)
        if word is Word.COMPLETED:
            return step in self.skipped or step in self.never_ran or too_late
        if word is Word.SKIPPED:
            return step in self.completed | self.never_ran | self.compensated or too_late
        if word is Word.NEVER_RAN:
            stands = step in self.completed | self.skipped | self.compensated
            return stands or (of.behind(step) and not of.best_effort(step))
        return (
            not of.undoable(step)
            or step in self.skipped
            or step in self.never_ran
            or self.decided(of)
        )

    def note(self, said: Said) -> None:
        """From now on this is known."""
        if said.word is Word.STARTED:
            self.started = True
        elif said.word is Word.FAILED:
            self.failed = True
        elif said.step is not None:
            self._of(said.word).add(said.step)

    def _of(self, word: Word) -> set[int]:
        return {
            Word.COMPLETED: self.completed,
            Word.SKIPPED: self.skipped,
            Word.NEVER_RAN: self.never_ran,
            Word.COMPENSATED: self.compensated,
        }[word]

    def _is_to_run(self, of: Plan, step: int) -> bool:
        if not self.started or self.known(step):
            return False
        # What has begun is asked on until it answers: nothing else tells whether it ran.
        return step in self.begun or all(self.done(of, before) for before in of.ancestors[step])

    def _is_to_undo(self, of: Plan, step: int) -> bool:
        if not of.undoable(step) or step not in self.completed or step in self.compensated:
            return False
        dependents = of.descendants[step]
        return of.arbiter in self.never_ran and all(
            not of.undoable(after) or self.settled(after) for after in dependents
        )


def react(of: Plan, mine: Steps, part: Part, happened: Happened) -> list[Said]:
    """Takes in what happened at the service whose steps are `mine`; gives what it is to say, which
    is published in the transaction that keeps the part. Raises `NotTaken`."""
    says: list[Said] = []
    if isinstance(happened, Heard):
        _hear(of, mine, part, happened.said)
    elif isinstance(happened, Begun):
        _owes(of, mine, part, Run(happened.step))
        part.begun.add(happened.step)
    elif isinstance(happened, Ran):
        _owes(of, mine, part, Run(happened.step))
        _ran(of, part, happened, says)
    elif isinstance(happened, Undone):
        _owes(of, mine, part, Undo(happened.step))
        _say(part, Said(Word.COMPENSATED, happened.step), says)
    else:
        _overdue(of, mine, part, happened.step, says)
    _settle(of, mine, part, says)
    return says


def _say(part: Part, said: Said, says: list[Said]) -> None:
    part.note(said)
    says.append(said)


def _owes(of: Plan, mine: Steps, part: Part, owed: Owed) -> None:
    # A tuple is equal to any other with the same in it.
    if not any(type(one) is type(owed) and one == owed for one in part.owed(of, mine)):
        raise NotOwed


def _hear(of: Plan, mine: Steps, part: Part, said: Said) -> None:
    if part.holds(said):
        return
    # Of its own steps a service knows itself what became of them.
    if said.step in mine or part.contradicts(of, said):
        raise Contradicts
    part.note(said)
    if said.step is None:
        return
    if said.word is Word.NEVER_RAN:
        # Nothing but a failure bars a step, even where that is heard later.
        part.failed |= not of.best_effort(said.step)
    elif said.word is Word.COMPENSATED:
        part.failed = True


def _ran(of: Plan, part: Part, ran: Ran, says: list[Said]) -> None:
    step, outcome = ran
    kind = of.steps[step].kind
    if outcome is Outcome.COMPLETED:
        _say(part, Said(Word.COMPLETED, step), says)
    elif outcome is Outcome.SKIPPED:
        _say(part, Said(Word.SKIPPED, step), says)
    # After the decision it is tried until it succeeds, or a person resolves it.
    elif kind != RETRIABLE:
        if kind != BEST_EFFORT:
            _say(part, Said(Word.FAILED), says)
        _say(part, Said(Word.NEVER_RAN, step), says)
    part.begun.discard(step)


def _overdue(of: Plan, mine: Steps, part: Part, step: int, says: list[Said]) -> None:
    if part.known(step) or part.failed:
        return
    kind = of.steps[step].kind
    if kind == BEST_EFFORT:
        # Nobody waits for ever for what the saga can do without.
        if step not in mine:
            part.waived.add(step)
        elif step not in part.begun:
            _say(part, Said(Word.NEVER_RAN, step), says)
    elif kind in (COMPENSATABLE, PIVOT) and not part.decided(of):
        _say(part, Said(Word.FAILED), says)


def _settle(of: Plan, mine: Steps, part: Part, says: list[Said]) -> None:
    """Once the saga is to be undone, each own step that has not begun is barred for ever."""
    if not part.failed or part.decided(of):
        return
    for step in sorted(mine):
        if not part.known(step) and not of.behind(step) and step not in part.begun:
            _say(part, Said(Word.NEVER_RAN, step), says)
