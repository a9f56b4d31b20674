"""Carrying out an own step: its guard, its handler, its record and its events, in one
transaction."""

from __future__ import annotations

import logging
from collections import deque
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ..about import About
from ..answers import Answer, Breach, Completed, RefusedWith, Transient, UndoAnswered, from_json
from ..command import Sending
from ..database import Transaction
from ..guard.carry_out import Aside
from .event import Reason
from .record import Foreign, Record
from .rules import NotTaken
from .service import Completed as Done
from .service import InVain, RefusedFor, Service, UndoDone
from .tasks import Task, tasks
from .turn import Rows, Turned, What

if TYPE_CHECKING:
    from ..participant import Participant

UNASKED = frozenset(("BUSY", "CONFLICT", "DATABASE_UNAVAILABLE"))
"""The kit's own answers, of which the handler is not to blame: they use up no attempt."""

_log = logging.getLogger("amends_participant")


class Asking:
    """Asks a participant's handlers for what its sagas owe."""

    def __init__(self, participant: Participant, rows: Rows) -> None:
        self._participant, self._rows = participant, rows

    async def carry_out(self, service: Service, saga_id: str, turned: Turned) -> None:
        """Carries out what is asked, and what follows from that, until the service owes the saga
        nothing more for now."""
        asks, traceparent = deque(turned.asks), turned.traceparent
        while asks:
            task, body = asks.popleft()
            try:
                followed = await self._ask(service, saga_id, task, body, traceparent)
            except NotTaken:
                continue
            except Exception:
                # The row says when it is tried again.
                step = service.of.steps[task.step].name
                _log.error("what became of the step %s is not kept yet", step, exc_info=True)
                continue
            # What was asked already is among it, and nothing is done twice.
            asks.extend(ask for ask in followed.asks if ask not in asks)

    async def _ask(
        self, service: Service, saga_id: str, task: Task, body: bytes, traceparent: str | None
    ) -> Turned:
        sending = Sending(
            attempt=task.attempt,
            deadline=None if task.deadline is None else _instant(task.deadline),
            traceparent=Sending.of({"traceparent": traceparent or ""}).traceparent,
        )
        keeping = _Keeping(self._rows, service, saga_id, task)
        try:
            answer = await self._participant.carry_out_beside(
                body, sending, keeping.first, keeping.also
            )
        except Aside:
            if keeping.unreadable is not None:
                raise keeping.unreadable from None
            return Turned()
        if keeping.turned is not None and isinstance(answer, (Completed, UndoAnswered)):
            return keeping.turned
        return await self._rows.turn(service, saga_id, self._what(service, task, answer))

    def _what(self, service: Service, task: Task, answer: Answer) -> What:
        """What came of it where its own transaction has not kept it: a refusal, nothing, or what
        the guard had already and the record did not, as when a database was restored."""
        if isinstance(answer, Completed):
            done = Done(answer.result)
            return lambda s, record, at: s.answered(record, task.step, done, at)
        if isinstance(answer, UndoAnswered):
            return lambda s, record, at: s.answered(record, task.step, UndoDone(), at)
        if isinstance(answer, RefusedWith):
            error = from_json(answer.error)
            refused = RefusedFor(Reason.of(error["code"], error["message"]))
            return lambda s, record, at: s.answered(record, task.step, refused, at)
        why = Reason.of(answer.code, answer.message)
        if isinstance(answer, Transient):
            after_s = answer.retry_after_s
            not_before_ms = None if after_s is None else after_s * 1000
            in_vain = InVain(why, not_before_ms, asked=answer.code not in UNASKED)
        elif isinstance(answer, Breach):
            in_vain = InVain(why, is_known=False)
        else:
            # Whoever holds the saga's row sees what was committed.
            in_vain = InVain(why, is_known=not answer.lasts)
        self._rows.counts.in_vain += 1
        _log.warning(
            "attempt %d at %s of %s came to nothing; it is tried again: %s",
            task.attempt,
            task.direction,
            service.of.steps[task.step].name,
            why.code,
        )
        return lambda s, record, at: s.tried(record, task.step, in_vain, at)


class _Keeping:
    """What stands beside the command in its transaction: the saga's row, held from before the
    claim, so that whatever bars the step comes before or after it."""

    def __init__(self, rows: Rows, service: Service, saga_id: str, task: Task) -> None:
        self._rows, self._service, self._saga_id, self._task = rows, service, saga_id, task
        self._held: tuple[Transaction, Record] | None = None
        self.unreadable: Foreign | None = None
        self.turned: Turned | None = None

    async def first(self, transaction: Transaction) -> None:
        """Is it due still? What was asked before may have come to nothing meanwhile, and rests."""
        self._held = self.turned = None
        try:
            record = await self._rows.hold(transaction, self._service, self._saga_id)
        except Foreign as e:
            self.unreadable = e
            raise Aside from e
        asked = self._task.step, self._task.direction
        due = tasks(self._service, record, self._rows.moment().at)
        if asked not in ((task.step, task.direction) for task in due):
            raise Aside
        self._held = transaction, record

    async def also(self, transaction: Transaction, _about: About, answer: Answer) -> None:
        """It is done: that is kept, and said."""
        # What is said again, and a refusal, come in a transaction that does not hold the row.
        if self._held is None or transaction is not self._held[0]:
            return
        if isinstance(answer, Completed):
            done: Done | UndoDone = Done(answer.result)
        elif isinstance(answer, UndoAnswered):
            done = UndoDone()
        else:
            return
        record, at = self._held[1], self._rows.moment()
        events = self._service.answered(record, self._task.step, done, at)
        self.turned = await self._rows.keep(transaction, self._service, record, events, at)


def _instant(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, timezone.utc)
