"""The outbox: messages that are written in the service's own transaction, and so go out if, and
only if, it commits; and the relay that brings them to the broker, in order for each saga."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..about import About
from ..answers import to_json
from ..database import Database, Transaction, in_transaction
from ..typed import written
from . import sql
from .channel import Channel, Outgoing
from .pauses import wait_for

NAME_CHARS_MAX = 200
"""As wide as the column."""

MESSAGES_AT_ONCE = 100
"""What a relay takes in one transaction: as much is said again if it dies in it."""

LOOK_EVERY_S = 1.0
"""How often the relay looks for what another process has written; its own it is told of."""

AGAIN_AFTER_S, AGAIN_AFTER_S_MAX = 1.0, 30.0
"""When it tries again after an error: twice as long after each."""

STOP_WITHIN_S = 10.0
"""How long a relay that is cancelled may still wait for the broker."""

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
        these."""
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

    def __init__(self, database: Database, channel: Channel) -> None:
        self._database, self._channel = database, channel
        self._sql = sql.of(database.dialect)
        self._written = asyncio.Event()

    def nudge(self) -> None:
        """Something was written just now."""
        self._written.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        again_after_s = AGAIN_AFTER_S
        while True:
            self._written.clear()
            try:
                more = await self._once_to_its_end() == MESSAGES_AT_ONCE
                again_after_s = AGAIN_AFTER_S
            except Exception as e:
                _log.warning("the outbox is not relayed: %s", type(e).__name__, exc_info=True)
                await asyncio.sleep(again_after_s)
                again_after_s = min(2 * again_after_s, AGAIN_AFTER_S_MAX)
                continue
            if not more:
                # Until something was written, or may have been by another process.
                await wait_for(self._written, LOOK_EVERY_S)

    async def _once_to_its_end(self) -> int:
        """Who cancels waits for what is under way: a connection that is left in the middle of a
        statement is of no use to the next one."""
        once = asyncio.create_task(self.once())
        try:
            return await asyncio.shield(once)
        except asyncio.CancelledError:
            await asyncio.wait([once], timeout=STOP_WITHIN_S)
            once.cancel()
            await asyncio.gather(once, return_exceptions=True)
            raise

    async def once(self) -> int:
        """Publishes what is there, oldest first, and deletes what the broker has confirmed: how
        many. An error of the broker comes out after the rest was deleted; of the saga whose
        message it was nothing later goes out before it."""
        if self._sql.lock is None:
            published, error = await self._without_lock()
        else:
            published, error = await self._with_lock(self._sql.lock)
        if error is not None:
            raise error
        return published

    async def _without_lock(self) -> tuple[int, Exception | None]:
        """A file has one writer at a time: none waits for the broker."""
        rows = await in_transaction(self._database, self._oldest)
        published, error = await self._publish(rows)
        await in_transaction(self._database, lambda t: self._delete(t, published))
        return len(published), error

    async def _with_lock(self, lock: str) -> tuple[int, Exception | None]:
        async def relay(transaction: Transaction) -> tuple[int, Exception | None]:
            ((mine,),) = (await transaction.statement(lock, {})).rows
            if mine != 1:
                return 0, None
            try:
                published, error = await self._publish(await self._oldest(transaction))
                await self._delete(transaction, published)
            finally:
                if self._sql.unlock is not None:
                    await transaction.statement(self._sql.unlock, {})
            return len(published), error

        return await in_transaction(self._database, relay)

    async def _oldest(self, transaction: Transaction) -> Rows:
        parameters = {"messages": MESSAGES_AT_ONCE}
        return (await transaction.statement(self._sql.oldest, parameters)).rows

    async def _delete(self, transaction: Transaction, published: list[Any]) -> None:
        for id_ in published:
            await transaction.statement(self._sql.delete, {"id": id_})

    async def _publish(self, rows: Rows) -> tuple[list[Any], Exception | None]:
        published: list[Any] = []
        held: set[str] = set()
        first_error: Exception | None = None
        for id_, message_id, saga_id, kind, name, attributes, body in rows:
            if saga_id in held:
                continue
            outgoing = Outgoing(
                id=message_id,
                saga_id=saga_id,
                kind=kind,
                name=name,
                attributes=json.loads(attributes),
                body=body.encode(),
            )
            try:
                await self._channel.publish(outgoing)
                published.append(id_)
            except Exception as e:
                held.add(saga_id)
                first_error = first_error or e
        return published, first_error
