"""A handler that has ended the guard's transaction: how that is seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..database import Database, Transaction
from .claim import Claim

_T = TypeVar("_T")


async def handled(
    claim: Claim, transaction: Transaction, handler: Callable[[], Awaitable[_T]]
) -> _T:
    """Runs a handler."""
    claim.is_handled = True
    value = await handler()
    await transaction.settle()
    return value


async def is_left_behind(database: Database, claim: Claim) -> bool:
    """Is the claim committed, as far as the database can be asked?"""
    try:
        transaction = await database.begin()
    except Exception:
        return False
    try:
        return claim.is_among(await transaction.statement(claim.dialect.read, claim.key))
    except Exception:
        return False
    finally:
        await transaction.rollback()
