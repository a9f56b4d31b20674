"""The outbox: messages that are written in the service's own transaction, and so go out if, and
only if, it commits; and the relay that brings them to the broker, in order for each saga."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..about import About
from ..answers import to_json
from ..apart import CancelledWithin, TookTooLong, apart, ended
from ..database import Database, Transaction, in_transaction
from ..typed import written
from . import sql
from .channel import Channel, Outgoing
from .pauses import wait_for
from .turn import turn_at

NAME_CHARS_MAX = 200
"""As wide as the column."""

MESSAGES_AT_ONCE = 100
"""What a relay takes in one transaction: as much is said again if it dies in it."""

LOOK_EVERY_S = 1.0
"""How often the relay looks for what another process has written; its own it is told of."""

AGAIN_AFTER_S, AGAIN_AFTER_S_MAX = 1.0, 30.0
"""When it tries again after an error: twice as long after each."""

STOP_WITHIN_S = 11.0
"""How long a relay that is stopped may take to hear the broker's word on the message that is there,
and to note it: longer than the broker may take to confirm one."""

LAST_RELAYED_WITHIN_S = 10.0
"""How long the outbox is relayed at the end: who stops a service kills it soon, after 30 s as a
rule, and what is in the outbox by then is not lost."""

CONFIRMED_WITHIN_S = 10.0
"""How long a broker may take to confirm a message: one that never does must not hold up all others,
nor the transaction that is open meanwhile."""

REFUSED_IN_A_ROW_MAX = 10
"""After so many it is the broker that is away, and no more are tried in that pass."""

AGAIN_IN_ONE_PASS = 10
"""How many sagas of refused messages have a turn in a pass."""

REFUSED_MAX = 10_000
"""How many are remembered. One that is forgotten is tried as if it were new."""

OWN_ATTRIBUTES = frozenset(
    (
        "specversion",
        "id",
        "source",
        "type",
        "correlationid",
        "causationid",
        "datacontenttype",
        "traceparent",
    )
)
"""What the kit says of a message, and nobody else."""

_ATTRIBUTE = re.compile("[a-z0-9]{1,20}")
"""As CloudEvents names them."""

Within = Callable[[Callable[[Transaction], Awaitable[Any]]], Awaitable[Any]]
"""Does some work in a transaction."""

Rows = Sequence[Sequence[Any]]

Kind = Literal["reply", "event"]

_log = logging.getLogger("amends_participant")


@dataclass(frozen=True)
class Outbox:
    """What a handler is given as `outbox`."""

    transaction: Transaction
    database: Database
    about: About
    source: str

    async def publish(
        self, name: str, data: Any, *, attributes: Mapping[str, str] | None = None
    ) -> str:
        """Leaves an event, which goes out when the transaction has committed: its id. Dataclasses
        and pydantic models are written as JSON. The attributes are the CloudEvents ones and
        these, of which none may be one of those."""
        for attribute in attributes or {}:
            if attribute in OWN_ATTRIBUTES or not _ATTRIBUTE.fullmatch(attribute):
                raise ValueError(
                    f"an event has no attribute {attribute!r} of its service's: a name has small"
                    f" letters and digits, and is none of {', '.join(sorted(OWN_ATTRIBUTES))}"
                )
        return await self.put("event", name, written(data), attributes or {})

    async def put(self, kind: Kind, name: str, body: str, attributes: Mapping[str, str]) -> str:
        """Writes one message down."""
        if not name or len(name) > NAME_CHARS_MAX:
            raise ValueError(f"the name of a message has 1 to {NAME_CHARS_MAX} characters")
        message_id = str(uuid.uuid4())
        whole = {
            "specversion": "1.0",
            "id": message_id,
            "source": self.source,
            "type": name,
            "correlationid": self.about.saga_id,
            "datacontenttype": "application/json",
            **attributes,
        }
        if self.about.traceparent is not None:
            whole["traceparent"] = self.about.traceparent
        await self.transaction.statement(
            sql.of(self.database.dialect).put,
            {
                "message_id": message_id,
                "saga_id": self.about.saga_id,
                "kind": kind,
                "name": name,
                "attributes": to_json(whole),
                "body": body,
            },
        )
        return message_id


class Relay:
    """Brings a database's outbox to a channel. Several may run: one at a time has its turn."""

    def __init__(
        self,
        database: Database,
        channel: Channel,
        make_ready: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`make_ready` is what the database needs to have had done before it is asked."""
        self._database, self._channel = database, channel
        self._make_ready = make_ready
        self._sql = sql.of(database.dialect)
        self._at: str | None = None
        """The file that the database is."""
        self._written = asyncio.Event()
        self._is_stopping = False
        """No other message is brought to the broker; what it has taken is noted."""
        self._refused: dict[str, None] = {}
        """Sagas with a message that the broker did not take, in the order of their next turn."""

    def nudge(self) -> None:
        """Something was written just now."""
        self._written.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        again_after_s = AGAIN_AFTER_S
        while True:
            self._written.clear()
            try:
                published, error = await self._once_to_its_end()
            except Exception as e:
                published, error = 0, e
            if error is not None:
                what = "a message stays in the outbox" if published else "the outbox is not relayed"
                _log.warning("%s: %s", what, type(error).__name__, exc_info=error)
            if error is not None and not published:
                # What is written meanwhile may be what the broker takes.
                await wait_for(self._written, again_after_s)
                again_after_s = min(2 * again_after_s, AGAIN_AFTER_S_MAX)
                continue
            again_after_s = AGAIN_AFTER_S
            if published < MESSAGES_AT_ONCE:
                # Until something was written, or may have been by another process.
                await wait_for(self._written, LOOK_EVERY_S)

    async def _once_to_its_end(self) -> tuple[int, Exception | None]:
        """Who cancels waits for the message that is under way, and for the note that it has gone
        out: without that it, and all before it in this pass, would go out again."""
        once = asyncio.create_task(self._once())
        try:
            await asyncio.wait([once])
        except asyncio.CancelledError:
            self._is_stopping = True
            try:
                await asyncio.wait([once], timeout=STOP_WITHIN_S)
            finally:
                await ended(once)
            raise
        if once.cancelled():
            raise CancelledWithin("cancelled by the database's library")
        return once.result()

    async def rest(self) -> None:
        """What is left is relayed before the end, for so long. Then the message that is at the
        broker is the last."""
        self._is_stopping = False

        def stop() -> None:
            self._is_stopping = True

        async def all_of_it() -> None:
            while await self.once():
                pass

        soon = asyncio.get_running_loop().call_later(LAST_RELAYED_WITHIN_S, stop)
        try:
            await apart(all_of_it(), LAST_RELAYED_WITHIN_S + STOP_WITHIN_S)
        except Exception as e:
            what = "what is left in the outbox is relayed when the service is there again"
            _log.warning("%s: %s", what, type(e).__name__)
        finally:
            soon.cancel()

    async def once(self) -> int:
        """Publishes what is there, oldest first, and deletes what the broker has confirmed: how
        many. An error of the broker comes out after the rest was deleted; of the saga whose
        message it was nothing later goes out before it."""
        published, error = await self._once()
        if error is not None:
            raise error
        return published

    async def _once(self) -> tuple[int, Exception | None]:
        if self._make_ready is not None:
            await self._make_ready()
        lock = self._sql.lock
        if lock is None:
            with turn_at(await self._file()) as mine:
                # A file has one writer at a time: none waits for the broker.
                if not mine:
                    return 0, None
                return await self._pass(lambda work: in_transaction(self._database, work))

        async def relay(transaction: Transaction) -> tuple[int, Exception | None]:
            ((mine,),) = (await transaction.statement(lock, {})).rows
            if mine != 1:
                return 0, None
            if self._sql.unlock is not None:
                # Not before the deletes hold: another would publish all of it again.
                transaction.when_ended(self._sql.unlock)
            return await self._pass(lambda work: work(transaction))

        return await in_transaction(self._database, relay)

    async def _file(self) -> str:
        if self._at is None:

            async def ask(transaction: Transaction) -> str:
                ((file,),) = (await transaction.statement(self._sql.file or "", {})).rows
                return str(file)

            self._at = await in_transaction(self._database, ask)
        return self._at

    async def _pass(self, within: Within) -> tuple[int, Exception | None]:
        """First what was not refused before, so that it is never behind what was; then some of
        that, each saga from its oldest message, in turn. A page begins a saga at its oldest
        message or leaves it alone: what came before may have been committed since the page before
        was read."""
        published, tried, after = 0, _Tried(), 0
        while not (tried.enough or self._is_stopping) and published < MESSAGES_AT_ONCE:
            rows = await within(self._rows(self._sql.oldest, {"after": after}))
            published += await self._publish(rows, tried, within)
            if len(rows) < MESSAGES_AT_ONCE:
                break
            after = rows[-1][0]
        for saga_id in list(self._refused)[:AGAIN_IN_ONE_PASS]:
            if tried.enough or saga_id in tried.refused:
                continue
            del self._refused[saga_id]
            rows = await within(self._rows(self._sql.of_saga, {"saga_id": saga_id}))
            published += await self._publish(rows, tried, within)
        return published, tried.error

    def _rows(self, sql: str, of: dict[str, Any]) -> Callable[[Transaction], Awaitable[Rows]]:
        async def rows(transaction: Transaction) -> Rows:
            return (await transaction.statement(sql, {**of, "messages": MESSAGES_AT_ONCE})).rows

        return rows

    async def _publish(self, rows: Rows, tried: _Tried, within: Within) -> int:
        """Publishes and deletes: how many."""
        published: list[Any] = []
        passed_over: set[str] = set()  # which may be forgotten before these rows end
        for id_, message_id, saga_id, kind, name, attributes, body in rows:
            if saga_id in self._refused or saga_id in passed_over:
                passed_over.add(saga_id)
                continue
            if tried.enough or self._is_stopping:
                break
            attributes, body = json.loads(attributes), body.encode()
            outgoing = Outgoing(message_id, saga_id, kind, name, attributes, body)
            try:
                await publish(self._channel, outgoing)
            except Exception as e:
                tried.fails(saga_id, e)
                passed_over.add(saga_id)
                self._refused[saga_id] = None
                if len(self._refused) > REFUSED_MAX:
                    del self._refused[next(iter(self._refused))]
            else:
                tried.in_a_row = 0
                published.append(id_)

        async def delete(transaction: Transaction) -> None:
            for id_ in published:
                await transaction.statement(self._sql.delete, {"id": id_})

        if published:
            await within(delete)
        return len(published)


class _Tried:
    """What the broker has refused in one pass."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.in_a_row = 0
        self.error: Exception | None = None

    def fails(self, saga_id: str, error: Exception) -> None:
        self.refused.add(saga_id)
        # One that says nothing is away, and each more would be waited for as long.
        self.in_a_row += REFUSED_IN_A_ROW_MAX if isinstance(error, Unconfirmed) else 1
        self.error = self.error or error

    @property
    def enough(self) -> bool:
        """The broker seems to be away."""
        return self.in_a_row >= REFUSED_IN_A_ROW_MAX


class Unconfirmed(Exception):
    """The broker has not said in time whether it took a message."""


async def publish(channel: Channel, outgoing: Outgoing) -> None:
    """Publishes, and waits for the broker's word only so long."""
    try:
        await apart(channel.publish(outgoing), CONFIRMED_WITHIN_S)
    except TookTooLong:
        what = f"the broker confirmed nothing in {CONFIRMED_WITHIN_S} s"
        raise Unconfirmed(what) from None
