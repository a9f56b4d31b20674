"""A handler that has ended the guard's transaction: how that is seen, and what is left behind so
that nothing is done over it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..database import Database, Transaction, TransactionAborted, in_transaction
from ..database.errors import in_the_way, is_aborted
from ..endings import BadData, OutcomeUnknown, Refused
from .claim import Claim, ClaimLeftBehind, Guard

_T = TypeVar("_T")

_log = logging.getLogger("amends_participant")


async def handled(
    guard: Guard, transaction: Transaction, handler: Callable[[], Awaitable[_T]]
) -> _T:
    """Runs a handler. One that fails is looked after at once, and a refusal where it is stored; a
    value finds the claim gone when its answer is to be written."""
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
        is_refusal = isinstance(failed, Refused) and guard.may_refuse
        # To lose a conflict may itself have rolled the transaction back.
        if not is_refusal and in_the_way(failed) is None:
            try:
                await guard.abandon()
            except OutcomeUnknown as unknown:
                raise unknown from failed
        raise


async def leave_claimed(database: Database, claim: Claim) -> None:
    """Leaves the claim behind without its answer, in a transaction of its own: the try that made it
    is over, so its mark is nobody's, and nothing runs over it until a person has looked."""

    async def leave(transaction: Transaction) -> None:
        guard = Guard(claim, transaction)
        # Any other answer came in between, of a copy that ran well, and is kept.
        if claim.direction == "action":
            await guard.claim_action()
        else:
            # An action whose record is gone must not run over it either.
            await guard.claim_compensation()

    try:
        await in_transaction(database, leave)
    except ClaimLeftBehind:
        pass  # of another try, and as good
    except Exception:
        _log.exception("that an outcome is unknown could not be stored, so it may run again")
