"""A participant's side of sagas without a coordinator.

One row a saga, `amends_saga`, holds all that was heard of it. Whatever happens is taken in within
one transaction, together with the events that say so, and a step's handler, guard and word are one,
too. So a service may die at any moment: what it owes is in its database.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Union

from ..database import Transaction, in_transaction
from ..messages import inbox
from ..messages.channel import Channel
from ..messages.outbox import Outbox
from ..retention import Retention
from ..typed import written
from . import raw, sql
from .counts import Counts
from .event import Reason
from .expressions import INPUT_BYTES_MAX
from .plan import Plan
from .reacting import AT_ONCE, Reacting
from .record import Record
from .rules import TooLate
from .schema import violations
from .service import OnOverdue, Service
from .turn import Rows, now, publish

if TYPE_CHECKING:
    from ..participant import Participant

SAGAS_MAX = 500
"""Rows that go in one transaction when they are pruned."""

GivenPlan = Union[Plan, Mapping[str, Any], str, bytes]
"""What `amends plan` prints, as it is or read already."""

_log = logging.getLogger("amends_participant")


class Unfitting(ValueError):
    """The participant cannot do what the definition asks of it."""

    def __init__(self, service: str, saga_type: str, missing: Sequence[str]) -> None:
        super().__init__(
            f"{service} has no handler for what {saga_type} asks of it: {', '.join(missing)};"
            " register each with `action` or `compensation` before `choreographies`"
        )
        self.missing = missing


class NoSuchType(LookupError):
    """This service does not know such a saga type. Nothing was written."""


class UnfitData(ValueError):
    """The data does not fit the definition. Nothing was written."""


class KeyReused(ValueError):
    """A saga of this type was started with the same key and other data. Nothing was written."""


class Unheard(LookupError):
    """This service has heard nothing of the saga."""


class Cancelled(Enum):
    """What became of a cancel."""

    ASKED = "asked"
    """The saga is to be undone, if its arbiter has not run before it hears of that."""
    TOO_LATE = "too late"
    """Its arbiter has run: it goes forward only."""


class Choreographies:
    """What a participant does in sagas without a coordinator."""

    def __init__(self, participant: Participant, plans: Iterable[GivenPlan]) -> None:
        self._participant = participant
        self._services: dict[str, Service] = {}
        for given in plans:
            service = self._fit(Service(_plan(given), participant.name))
            self._services[service.of.definition_hash] = service
        self._rows = Rows(participant.database, participant.name, self._definition)
        self._reacting: list[Reacting] = []

    def with_grace(self, grace: timedelta) -> Choreographies:
        """Waits so much longer for the steps of other services than the definition gives them; 30 s
        when not said."""
        ms = int(grace.total_seconds() * 1000)
        self._services = {
            known: replace(service, grace_ms=ms) for known, service in self._services.items()
        }
        return self

    def when_overdue(self, step: str, what: OnOverdue) -> Choreographies:
        """Says what this service does when the step of another one that it waits for does not come
        in its time. A name that no definition has changes nothing."""
        for known, service in self._services.items():
            place = service.of.named(step)
            if place is not None:
                when_overdue = {**service.when_overdue, place: what}
                self._services[known] = replace(service, when_overdue=when_overdue)
        return self

    @property
    def tables(self) -> Sequence[str]:
        """The statements that create the table of sagas where it is not there, for a migration; the
        other tables are `database.tables`."""
        return sql.of(self._participant.database.dialect).create

    async def create_tables(self) -> None:
        """Creates the kit's tables where they are not there, `amends_saga` among them."""
        database = self._participant.database
        await self._participant.open()
        await database.create_tables()

        async def create(transaction: Transaction) -> None:
            for statement in self.tables:
                await transaction.statement(statement, {})

        await in_transaction(database, create)

    async def start(
        self, saga_type: str, data: Any, *, within: Transaction | Outbox | None = None
    ) -> str:
        """Starts a saga: its id, which is new, and is what all its events and log lines name. With
        `within`, a handler's outbox or a transaction that is open, it is started if that is
        committed. Raises `NoSuchType` or `UnfitData`."""
        service, text = self._startable(saga_type, data)
        saga_id = _new_id()

        async def leave(transaction: Transaction) -> bool:
            await self._say_started(transaction, service, saga_id, text)
            return True

        return await self._start(leave, within, saga_type, saga_id)

    async def start_once(
        self, saga_type: str, key: str, data: Any, *, within: Transaction | Outbox | None = None
    ) -> str:
        """The same for who may ask twice, as when an answer was lost: with the same key it is the
        same saga, for as long as the inbox remembers. Raises `KeyReused` where the key came with
        other data before, and `ValueError` where it is no key."""
        if not inbox.fits(key):
            raise ValueError(
                f"a key has 1 to {inbox.CHARS_MAX} characters, and no space at its ends"
            )
        service, text = self._startable(saga_type, data)
        saga_id = _id_of(self._participant.name, saga_type, key)
        # Services may share a database, and fields come in any order.
        database, source = self._participant.database, f"start {self._participant.name} {saga_type}"
        same = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
        of_data = f"{source} {hashlib.sha256(same.encode()).hexdigest()[:32]}"

        async def leave(transaction: Transaction) -> bool:
            is_first = await inbox.note(database, transaction, source, key)
            is_new = await inbox.note(database, transaction, of_data, key)
            if is_new and not is_first:
                # The transaction may be the caller's, who may commit it all the same.
                await inbox.forget(database, transaction, of_data, key)
                raise KeyReused(
                    f"a saga of the type {saga_type} was started with this key and other data: a"
                    " key is for one saga, and whoever asks again sends the same"
                )
            if is_first:
                await self._say_started(transaction, service, saga_id, text)
            return is_first

        return await self._start(leave, within, saga_type, saga_id)

    def _startable(self, saga_type: str, data: Any) -> tuple[Service, str]:
        # The definition that was given last is the current one.
        of_type = [s for s in self._services.values() if s.of.saga_type == saga_type]
        if not of_type:
            raise NoSuchType(f"{saga_type} is none of this service's choreographies")
        return of_type[-1], _data(of_type[-1].of, data)

    async def _say_started(
        self, transaction: Transaction, service: Service, saga_id: str, text: str
    ) -> None:
        started = service.start(saga_id, text, now())
        await publish(self._participant.database, transaction, [started])

    async def _start(
        self,
        leave: Callable[[Transaction], Awaitable[bool]],
        within: Transaction | Outbox | None,
        saga_type: str,
        saga_id: str,
    ) -> str:
        if within is None:
            await self._participant.open()
            is_new = await in_transaction(self._participant.database, leave)
        else:
            is_new = await leave(within.transaction if isinstance(within, Outbox) else within)
        if is_new:
            self._nudge()
            _log.info("%s, a saga without a coordinator, is to start: %s", saga_type, saga_id)
        return saga_id

    async def cancel(self, saga_id: str, reason: str) -> Cancelled:
        """Asks for the end of a saga that this service has heard of: all that was done is undone,
        unless its arbiter has run. Raises `Unheard`."""
        record = await self.record(saga_id)
        service = self._services[record.of.definition_hash]
        why = Reason.of("CANCELLED", reason)
        try:
            await self._rows.turn(
                service, saga_id, lambda s, record, at: s.cancel(record, why, at.at)
            )
        except TooLate:
            return Cancelled.TOO_LATE
        self._nudge()
        return Cancelled.ASKED

    async def record(self, saga_id: str) -> Record:
        """What this service knows of a saga. Raises `Unheard`, or `Foreign` where it cannot be
        read."""
        await self._participant.open()
        record = await self._rows.look_up(saga_id)
        if record is None:
            raise Unheard(f"this service has heard nothing of the saga {saga_id}")
        return record

    @property
    def counts(self) -> Counts:
        """How much was heard and what came of it, since this was made."""
        return replace(self._rows.counts)

    async def prune(self, retention: Retention) -> int:
        """Deletes the rows of sagas of which nothing was written for so long: how many. The guard's
        own rows go by `Participant.prune`."""
        await self._participant.open()
        database = self._participant.database
        parameters = {"age_s": retention.age.total_seconds(), "sagas": SAGAS_MAX}
        statement, gone = sql.of(database.dialect).prune, 0
        while True:
            pruned = await in_transaction(database, lambda t: t.statement(statement, parameters))
            if pruned.changed == 0:
                return gone
            gone += pruned.changed

    async def react(
        self, channel: Channel, *, at_once: int = AT_ONCE, secrets: Sequence[str] = ()
    ) -> None:
        """Hears what is said at this channel, which listens under the service's name, acts on it,
        and says there what it has to say, until it is cancelled. `at_once` sagas are at work at
        once. With secrets, which all services of the choreography share, it hears only what is
        signed with one of them, and signs what it says."""
        reacting = Reacting(
            self._participant, self._rows, self._services, channel, at_once, secrets
        )
        self._reacting.append(reacting)
        try:
            await reacting.run()
        finally:
            self._reacting.remove(reacting)

    def _nudge(self) -> None:
        for reacting in self._reacting:
            reacting.relay.nudge()

    def _definition(self, known: str) -> Plan | None:
        service = self._services.get(known)
        return None if service is None else service.of

    def _fit(self, service: Service) -> Service:
        missing = []
        for step in sorted(service.mine):
            of_step = service.of.steps[step]
            if not self._participant.has_handler(of_step.action, "action"):
                missing.append(f"the action {of_step.action}")
            undo = of_step.compensation
            if undo is not None and not self._participant.has_handler(undo, "compensation"):
                missing.append(f"the compensation {undo}")
        if missing:
            raise Unfitting(service.name, service.of.saga_type, missing)
        return service


def _plan(given: GivenPlan) -> Plan:
    if isinstance(given, Plan):
        return given
    return Plan.read(given) if isinstance(given, (str, bytes)) else Plan.of(given)


def _data(of: Plan, data: Any) -> str:
    try:
        text = raw.checked(written(data))
        value = raw.value_of(text)
    except (TypeError, ValueError) as e:
        raise UnfitData(f"the data of a saga is a JSON object: {e}") from None
    if not isinstance(value, dict):
        raise UnfitData("the data of a saga is a JSON object")
    if (size := len(text.encode(errors="replace"))) > INPUT_BYTES_MAX:
        raise UnfitData(
            f"the data has {size} bytes, and may have {INPUT_BYTES_MAX}: keep it elsewhere, and say"
            " where"
        )
    wrong = [] if of.data_schema is None else violations(of.data_schema, value)
    if wrong:
        raise UnfitData(f"the data does not fit the definition: {'; '.join(wrong)}")
    return text


def _new_id() -> str:
    """A UUID of version 7: the later, the greater."""
    ms = time.time_ns() // 1_000_000
    value = (ms & (1 << 48) - 1) << 80 | 0x7 << 76 | secrets.randbits(12) << 64
    return str(uuid.UUID(int=value | 0b10 << 62 | secrets.randbits(62)))


def _id_of(service: str, saga_type: str, key: str) -> str:
    """A UUID of version 8, the same as the other kits': two services' keys are not each other's."""
    digest = hashlib.sha256(f"{service}\n{saga_type}\n{key}".encode()).digest()
    value = int.from_bytes(digest[:16], "big") & ~(0xF << 76 | 0b11 << 62)
    return str(uuid.UUID(int=value | 0x8 << 76 | 0b10 << 62))
