"""A handler that has ended the guard's transaction: how that is seen, and what is left behind so
that nothing is done over it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..database import Database, Transaction, TransactionAborted, TransactionEnded, in_transaction
from ..database.errors import in_the_way, is_aborted
from ..endings import BadData, OutcomeUnknown
from .claim import Claim, ClaimLeftBehind, Guard
from .table import Row, State

_T = TypeVar("_T")

_log = logging.getLogger("amends_participant")


async def handled(
    claim: Claim, transaction: Transaction, handler: Callable[[], Awaitable[_T]]
) -> _T:
    """Runs a handler. One that ends without a value is looked after at once, before the rollback; a
    value finds the claim gone when its answer is to be written."""
    claim.is_handled = True
    try:
        value = await handler()
        try:
            await transaction.settle()
        except Exception as e:
            if is_aborted(e):
                raise TransactionAborted from e
            raise
        return value
    except (BadData, OutcomeUnknown, TransactionAborted):
        raise
    except Exception as failed:
        # To lose a conflict may itself have rolled the transaction back.
        if in_the_way(failed) is None and not await Guard(claim, transaction).is_held():
            raise TransactionEnded from failed
        raise


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


async def leave_claimed(database: Database, claim: Claim) -> None:
    """Leaves the claim behind without its answer, in a transaction of its own: the try that made it
    is over, so its mark is nobody's, and nothing runs over it until a person has looked."""

    async def leave(transaction: Transaction) -> None:
        guard = Guard(claim, transaction)
        own: Row | None
        if claim.direction == "action":
            own = await guard.claim_action()
        else:
            # An action whose record is gone must not run over it either.
            own, _ = await guard.claim_compensation()
        # Any other answer came in between, of a copy that ran well, and is kept.
        is_earlier = own is not None and own.round < claim.round
        if own is not None and is_earlier and own.state in (State.REFUSED, State.NOTHING):
            await guard.claim_anew()

    try:
        await in_transaction(database, leave)
    except ClaimLeftBehind:
        pass  # of another try, and as good
    except Exception:
        _log.exception("that an outcome is unknown could not be stored, so it may run again")
