"""The inbox: what a service receives besides commands, once for each (source, id)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ..database import Database, Transaction, in_transaction
from ..database.within import refuse_within
from . import sql

CHARS_MAX = 200
"""As wide as the columns."""


async def once(
    database: Database, source: str, message_id: str, work: Callable[[Any], Awaitable[None]]
) -> bool:
    """Does the work in a transaction, if the message was not here before: was it done now? `work`
    is given the transaction. Two copies at the same moment wait for each other. Within a handler it
    is an error: what it did would be kept where the handler's own transaction is rolled back."""
    refuse_within(database)
    for what in (source, message_id):
        # MySQL takes a text with a space at its end for the one without.
        if not 1 <= len(what) <= CHARS_MAX or what != what.strip() or "\0" in what:
            raise ValueError(
                f"a message's source and id have 1 to {CHARS_MAX} characters each, and no space at"
                " their ends"
            )

    async def receive(transaction: Transaction) -> bool:
        received = await transaction.statement(
            sql.of(database.dialect).receive, {"source": source, "id": message_id}
        )
        if received.changed != 1:
            return False
        await work(transaction.handle)
        await transaction.settle()
        return True

    return await in_transaction(database, receive)
