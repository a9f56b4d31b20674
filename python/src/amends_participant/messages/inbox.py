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
        if not fits(what):
            raise ValueError(
                f"a message's source and id have 1 to {CHARS_MAX} characters each, and no space at"
                " their ends"
            )

    async def receive(transaction: Transaction) -> bool:
        if not await note(database, transaction, source, message_id):
            return False
        await work(transaction.handle)
        await transaction.settle()
        return True

    return await in_transaction(database, receive)


def fits(what: str) -> bool:
    """Can the columns hold it? MySQL takes a text with a space at its end for the one without."""
    return 1 <= len(what) <= CHARS_MAX and what == what.strip() and "\0" not in what


async def note(database: Database, transaction: Transaction, source: str, message_id: str) -> bool:
    """Notes it as received: was it not here before?"""
    of_one = {"source": source, "id": message_id}
    noted = await transaction.statement(sql.of(database.dialect).receive, of_one)
    return noted.changed == 1


async def forget(
    database: Database, transaction: Transaction, source: str, message_id: str
) -> None:
    """Takes back what was just noted."""
    of_one = {"source": source, "id": message_id}
    await transaction.statement(sql.of(database.dialect).forget, of_one)
