"""One thing that happened, taken in within one transaction: the saga's row is held, its record
moves on, and what there is to say goes into the outbox."""

from __future__ import annotations

import logging
import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ..answers import to_json
from ..database import Database, Transaction
from ..database.errors import InTheWay, in_the_way
from ..database.within import within
from ..guard.carry_out import TRIES_MAX, begin_in_time
from ..guard.claim import speaking
from ..messages import sql as messages
from . import sql
from .advance import advance, wakes_at
from .counts import Counts
from .event import SagaEvent
from .heard import Heard
from .plan import Plan
from .record import Record
from .service import Moment, Service
from .tasks import Task

LEFT_FOR_MS = 2_000
"""How long others leave a saga to whoever is about to carry out its steps, who may have died. A
handler may take longer: it holds the row meanwhile."""

_log = logging.getLogger("amends_participant")

What = Callable[[Service, Record, Moment], "list[SagaEvent]"]
"""What happened: takes it in, and gives what is to be published about it."""


@dataclass
class Turned:
    """What there is to do after a turn."""

    asks: list[tuple[Task, bytes]] = field(default_factory=list)
    """What is to be asked of the handlers, each with the command's body."""
    traceparent: str | None = None


def now() -> int:
    """In Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Rows:
    """The rows of a service's sagas."""

    def __init__(
        self, database: Database, name: str, definition: Callable[[str], Plan | None]
    ) -> None:
        self._database, self._name, self._definition = database, name, definition
        self._sql = sql.of(database.dialect)
        self.counts = Counts()
        self.heard: list[Heard] = []
        """Of each channel that is listened at."""

    def moment(self) -> Moment:
        """The time, chance, and up to when all channels are heard."""
        at = now()
        heard = min((channel.until() for channel in self.heard), default=0)
        return Moment(at, secrets.randbits(32), heard)

    async def turn(self, service: Service, saga_id: str, what: What) -> Turned:
        """Takes it in. Raises `NotTaken`, `Foreign`, or the database's error."""
        tried = 0
        while True:
            tried += 1
            try:
                return await self._try_turn(service, saga_id, what)
            except Exception as e:
                # Who has waited as long as may be does not begin again at once.
                if tried == TRIES_MAX or in_the_way(e) is not InTheWay.LOST:
                    raise

    async def hold(self, transaction: Transaction, service: Service, saga_id: str) -> Record:
        """Holds a saga's row until the transaction ends. Raises `Foreign`."""
        parameters = {
            "saga_id": saga_id,
            "service": self._name,
            "saga_type": service.of.saga_type,
        }
        with speaking():
            for statement in self._sql.hold:
                row = await transaction.statement(statement, _those_in(statement, parameters))
        ((text,),) = row.rows
        return (
            Record.from_json(saga_id, text, self._definition)
            if text
            else Record(service.of, saga_id)
        )

    async def keep(
        self,
        transaction: Transaction,
        service: Service,
        record: Record,
        events: Iterable[SagaEvent],
        at: Moment,
    ) -> Turned:
        """Moves the record on by what follows by itself, writes it, and publishes what there is to
        say."""
        followed = advance(service, record, at)
        for step in followed.late:
            self.counts.late += 1
            _log.warning("the step %s was not done in its time", service.of.steps[step].name)
        due_at = wakes_at(service, record, at.at, LEFT_FOR_MS)
        with speaking():
            await publish(self._database, transaction, [*events, *followed.events])
            await transaction.statement(
                self._sql.keep,
                {
                    "state": record.state.value,
                    "due_at": due_at,
                    "record": record.to_json(),
                    "saga_id": record.saga_id,
                    "service": self._name,
                },
            )
        return Turned(followed.asks, record.traceparent)

    async def look_up(self, saga_id: str) -> Record | None:
        """What is known of a saga. Raises `Foreign`."""
        of_one = {"saga_id": saga_id, "service": self._name}
        transaction = await begin_in_time(self._database)
        try:
            rows = (await transaction.statement(self._sql.look_up, of_one)).rows
        finally:
            await transaction.rollback()
        text = rows[0][0] if rows else ""
        return Record.from_json(saga_id, text, self._definition) if text else None

    async def due(self, sagas_max: int) -> list[str]:
        """Sagas in which there is something to do by itself, each left to us for a while."""
        at = now()
        asked = {"service": self._name, "by": at, "sagas": sagas_max}
        transaction = await begin_in_time(self._database)
        try:
            due = [row[0] for row in (await transaction.statement(self._sql.due, asked)).rows]
            for saga_id in due:
                left = {"later": at + LEFT_FOR_MS, "saga_id": saga_id, "service": self._name}
                await transaction.statement(self._sql.put_off, left)
        except BaseException:
            await transaction.rollback()
            raise
        await (transaction.commit() if due else transaction.rollback())
        return due

    async def _try_turn(self, service: Service, saga_id: str, what: What) -> Turned:
        transaction = await begin_in_time(self._database)
        try:
            with within(self._database):
                record = await self.hold(transaction, service, saga_id)
                was, at = record.state, self.moment()
                events = what(service, record, at)
                turned = await self.keep(transaction, service, record, events, at)
        except BaseException:
            await transaction.rollback()
            raise
        await transaction.commit()
        if was is not record.state:
            _log.info("the saga was %s and is %s", was.value, record.state.value)
        return turned


async def publish(
    database: Database, transaction: Transaction, events: Sequence[SagaEvent]
) -> None:
    """Writes events into the outbox."""
    for event in events:
        # A row has an id of its own; the event's stands among its attributes, and is longer.
        message = replace(event.message(), id=str(uuid.uuid4()))
        await transaction.statement(
            messages.of(database.dialect).put,
            {
                "message_id": message.id,
                "saga_id": message.saga_id,
                "kind": message.kind,
                "name": message.name,
                "attributes": to_json(message.attributes),
                "body": message.body.decode(),
            },
        )


def _those_in(statement: str, parameters: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if f":{name}" in statement}
