"""Trials for a service's own tests: what a network, a crash and an engine do to a participant.

    async def test_reserving(participant):
        trial = Trial(
            participant, action="ReserveItems", compensation="ReleaseReservation",
            data={"items": [{"sku": "kettle"}]}, refusing={"items": [{"sku": "OUT_OF_STOCK"}]},
            standing=count_reservations)
        await trial.every()

Each trial raises `AssertionError` that names the rule which the participant breaks. Nobody else may
be at work in its database meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Union

from .answers import Answer, Completed, RefusedWith, Transient, UndoAnswered, Unknown
from .command import Direction
from .database import Database, Returned, Transaction
from .participant import Participant

Number = Union[int, float]


def command_body(
    command: str,
    data: Any,
    *,
    saga_id: str,
    step: str = "step",
    direction: Direction = "action",
    round: int = 1,
    outcome: str = "unknown",
    original_result: Any = None,
) -> bytes:
    """A command's body as the engine sends it; `command` is `<Service>.<Command>`."""
    action_key = f"{saga_id}/{step}/action"
    key = action_key if direction == "action" else f"{saga_id}/{step}/compensation"
    body = {
        "saga_id": saga_id,
        "saga_type": "Trial",
        "step_name": step,
        "direction": direction,
        "command": command,
        "idempotency_key": key if round == 1 else f"{key}/{round}",
        "data": data,
    }
    if direction == "compensation":
        body |= {"action_key": action_key, "outcome": outcome, "original_result": original_result}
    flat = data if isinstance(data, dict) else {}
    return json.dumps({**flat, **body}).encode()


class Trial:
    """Tries one step's two commands against a participant and its real database."""

    def __init__(
        self,
        participant: Participant,
        *,
        action: str,
        compensation: str | None,
        data: Any,
        standing: Callable[[], Awaitable[Number]],
        refusing: Any = None,
    ) -> None:
        """`standing` counts in the service's own tables how much of what the action does stands at
        the moment: reservations that are held, say. `refusing` is data that the action refuses.
        A step that is never undone has no `compensation`."""
        self._participant = participant
        self._action, self._compensation = action, compensation
        self._data, self._refusing = data, refusing
        self._standing = standing

    async def every(self) -> None:
        """All trials that fit the step."""
        await self.deliver_twice()
        await self.two_at_once()
        await self.crash_before_commit()
        await self.crash_after_commit()
        if self._refusing is not None:
            await self.refuse_twice()
        if self._compensation is not None:
            await self.undo_twice()
            await self.compensate_first()
            await self.undo_and_action_at_once()
            await self.undo_and_crash_after_commit()
            if self._refusing is not None:
                await self.undo_a_refused_action()

    async def deliver_twice(self) -> None:
        """The same command again is told the first answer, and does nothing."""
        saga = _Saga(self)
        first = await saga.act()
        _is(isinstance(first, Completed), f"the data of a trial completes, not {first}")
        once = await saga.effect()
        _is(once != 0, "an action has an effect that `standing` sees")
        _is(await saga.act() == first, "a repeated action is told its first answer")
        _is(await saga.act(round=2) == first, "so is a later round of it")
        _is(await saga.effect() == once, "a repeated action does nothing")

    async def two_at_once(self) -> None:
        """Two copies at the same moment run once, and are told the same."""
        once = await self._effect_of_one()
        saga = _Saga(self)
        one, other = await asyncio.gather(saga.patient(saga.act), saga.patient(saga.act))
        _is(one == other, f"two copies at once are told the same, not {one} and {other}")
        _is(isinstance(one, Completed), f"one of two copies at once completes, not {one}")
        _is(await saga.effect() == once, "two copies at once run once")

    async def crash_before_commit(self) -> None:
        """What has died before its commit has done nothing, and is done when it comes again."""
        once = await self._effect_of_one()
        saga = _Saga(self)
        await saga.measure()
        with losing_commits(self._participant, hold=False):
            lost = await saga.act()
        _is(isinstance(lost, Unknown), f"a lost commit is told as unknown, not as {lost}")
        _is(await saga.effect() == 0, "what was not committed has no effect")
        _is(isinstance(await saga.act(), Completed), "it completes when it comes again")
        _is(await saga.effect() == once, "it is done once")

    async def crash_after_commit(self) -> None:
        """What has died after its commit, before its answer, is not done again."""
        once = await self._effect_of_one()
        saga = _Saga(self)
        await saga.measure()
        with losing_commits(self._participant, hold=True):
            lost = await saga.act()
        _is(isinstance(lost, Unknown), f"a lost commit is told as unknown, not as {lost}")
        _is(isinstance(await saga.act(), Completed), "it is told completed when it comes again")
        _is(await saga.effect() == once, "it is not done a second time")

    async def refuse_twice(self) -> None:
        """A refusal has no effect and is said again; so also of two copies at once."""
        saga = _Saga(self, self._refusing)
        first = await saga.act()
        _is(isinstance(first, RefusedWith), f"the refusing data is refused, not {first}")
        _is(await saga.act() == first, "a repeated action is told its refusal again")
        _is(await saga.effect() == 0, "a refusal has no effect")
        saga = _Saga(self, self._refusing)
        one, other = await asyncio.gather(saga.patient(saga.act), saga.patient(saga.act))
        _is(one == other, f"two copies at once are told the same, not {one} and {other}")
        _is(await saga.effect() == 0, "a refusal has no effect")

    async def undo_a_refused_action(self) -> None:
        """There is nothing to undo."""
        saga = _Saga(self, self._refusing)
        await saga.act()
        _is(await saga.undo() == UndoAnswered(False), "a refused action has nothing to undo")
        _is(await saga.effect() == 0, "to undo a refused action changes nothing")

    async def undo_twice(self) -> None:
        """An undo is done once, and no later round, repeat or late action changes that."""
        saga = _Saga(self)
        first = await saga.act()
        for what in ("an undo", "a repeated undo"):
            _is(await saga.undo() == UndoAnswered(True), f"{what} is told `undone: true`")
            _is(await saga.effect() == 0, f"after {what} nothing of the action stands")
        _is(await saga.undo(round=2) == UndoAnswered(True), "so is a later round of it")
        _is(await saga.act() == first, "a late copy of the action is told its first answer")
        _is(await saga.effect() == 0, "a late copy of the action does nothing")

    async def compensate_first(self) -> None:
        """An undo before its action leaves a tombstone, and the late action is refused."""
        saga = _Saga(self)
        _is(await saga.undo() == UndoAnswered(False), "there is nothing to undo, and that is said")
        for round in (1, 2):
            late = await saga.act(round=round)
            refused = isinstance(late, RefusedWith) and late.code == "ALREADY_UNDONE"
            _is(refused, f"a late action is refused, in round {round} too, not told {late}")
        _is(await saga.undo(round=2) == UndoAnswered(False), "there is still nothing to undo")
        _is(await saga.effect() == 0, "an undo that came first leaves nothing behind")

    async def undo_and_action_at_once(self) -> None:
        """Whichever comes first: nothing stands in the end."""
        saga = _Saga(self)
        await asyncio.gather(saga.patient(saga.act), saga.patient(saga.undo))
        _is(await saga.effect() == 0, "of an action and its undo at once nothing stands")

    async def undo_and_crash_after_commit(self) -> None:
        """An undo whose answer was lost is not done again."""
        saga = _Saga(self)
        await saga.act()
        with losing_commits(self._participant, hold=True):
            lost = await saga.undo()
        _is(isinstance(lost, Unknown), f"a lost commit is told as unknown, not as {lost}")
        _is(await saga.undo() == UndoAnswered(True), "it is undone when it comes again")
        _is(await saga.effect() == 0, "an undo is not done a second time")

    async def _effect_of_one(self) -> Number:
        saga = _Saga(self)
        await saga.act()
        return await saga.effect()


class _Saga:
    """One saga of a trial, and what it has changed."""

    def __init__(self, trial: Trial, data: Any = None) -> None:
        self._trial = trial
        self._data = trial._data if data is None else data
        self._id = str(uuid.uuid4())
        self._before: Number | None = None
        self._measuring = asyncio.Lock()

    async def act(self, round: int = 1) -> Answer:
        return await self._send(self._trial._action, "action", round)

    async def undo(self, round: int = 1) -> Answer:
        return await self._send(self._trial._compensation or "", "compensation", round)

    async def patient(self, send: Callable[[], Awaitable[Answer]]) -> Answer:
        """As the engine does it: what is told to come again comes again."""
        answer = await send()
        for _ in range(_TRIES_MAX):
            if not isinstance(answer, Transient):
                break
            answer = await send()
        return answer

    async def effect(self) -> Number:
        """What stands now and did not stand before."""
        if self._before is None:
            raise AssertionError("a trial measures after it has sent something")
        return await self._trial._standing() - self._before

    async def measure(self) -> None:
        """What stands before it begins; not where commits are lost, which `standing` may do too."""
        async with self._measuring:
            if self._before is None:
                await self._trial._participant.open()
                self._before = await self._trial._standing()

    async def _send(self, command: str, direction: Direction, round: int) -> Answer:
        await self.measure()
        participant = self._trial._participant
        body = command_body(
            f"{participant.name}.{command}",
            self._data,
            saga_id=self._id,
            direction=direction,
            round=round,
        )
        return await participant.carry_out(body, path=command)


_TRIES_MAX = 20
"""Two at once may be told of a deadlock, one at a time."""


def _is(holds: bool, rule: str) -> None:
    if not holds:
        raise AssertionError(rule)


@contextmanager
def losing_commits(
    participant: Participant, *, hold: bool, times: int | None = None
) -> Iterator[None]:
    """In here the answers of commits are lost, of the first `times` or of all; `hold` says whether
    they are carried out."""
    database = participant.database
    participant.database = _LosesCommits(database, hold, times)
    try:
        yield
    finally:
        participant.database = database


class _LosesCommits(Database):
    def __init__(self, database: Database, hold: bool, times: int | None) -> None:
        self._database, self._hold, self._times = database, hold, times
        self.dialect = database.dialect

    async def begin(self) -> Transaction:
        transaction = await self._database.begin()
        if self._times is not None:
            if self._times == 0:
                return transaction
            self._times -= 1
        return _LosesCommit(transaction, self._hold)


class _LosesCommit(Transaction):
    def __init__(self, transaction: Transaction, hold: bool) -> None:
        self._transaction, self._hold = transaction, hold

    @property
    def handle(self) -> Any:
        return self._transaction.handle

    async def statement(self, sql: str, parameters: Any) -> Returned:
        return await self._transaction.statement(sql, parameters)

    async def at_once(self, statements: Any, parameters: Any) -> Returned:
        return await self._transaction.at_once(statements, parameters)

    async def settle(self) -> None:
        await self._transaction.settle()

    @property
    def was_rolled_back(self) -> bool:
        return self._transaction.was_rolled_back

    @property
    def is_aborted(self) -> bool:
        return self._transaction.is_aborted

    async def begin_again(self) -> None:
        await self._transaction.begin_again()

    def when_ended(self, sql: str) -> None:
        self._transaction.when_ended(sql)

    async def commit(self) -> None:
        await (self._transaction.commit() if self._hold else self._transaction.rollback())
        raise ConnectionResetError("the trial has lost the commit's answer")

    async def rollback(self) -> None:
        await self._transaction.rollback()
