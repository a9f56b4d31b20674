"""One command in one transaction: claim the row, do the business, write the answer, commit.

Only what comes back from here may be said. An exception means that nothing was done, except an
`OutcomeUnknown`, which means that nobody knows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..answers import Answer, Breach, Completed, RefusedWith, UndoAnswered
from ..apart import CancelledWithin, ended
from ..command import Command
from ..database import CommitRefused, Database, Transaction, TransactionEnded
from ..database.errors import InTheWay, in_the_way
from ..database.within import refuse_within, within
from ..endings import BadData, OutcomeUnknown, Refused
from .claim import Claim, DatabaseUnavailable, Guard
from .ended import handled, leave_claimed
from .table import (
    LeaveTombstone,
    Run,
    Say,
    State,
    decide_action,
    decide_compensation,
)

TRIES_MAX = 5
"""How often a transaction that was rolled back for the sake of another is tried. A loser of one
deadlock rarely loses the next; whoever loses more is told to come again later."""

_log = logging.getLogger("amends_participant")

Action = Callable[[Transaction], Awaitable[str]]
"""Does an action in the transaction, and gives its result as JSON text."""

Compensation = Callable[[Transaction, str], Awaitable[None]]
"""Undoes an action, of which it gets the result as JSON text."""

Attempt = Callable[[Transaction], Awaitable[tuple["Done", bool]]]
"""What is done in a transaction, and whether it is to be kept."""

Also = Callable[[Transaction, Answer], Awaitable[None]]
"""Writes down in the same transaction what else follows from an answer."""

First = Callable[[Transaction], Awaitable[None]]
"""Comes before the claim, in the same transaction. Nothing is done where it raises `Aside`."""

UNDONE_JSON, NOTHING_JSON = "true", "false"


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    answer: Answer
    is_new: bool
    """It was written now; else it was there before."""


class Conflict(Exception):
    """Rolled back for the sake of other transactions, more often than it is tried again, or after
    it has waited for them for as long as may be."""


class Aside(Exception):
    """Whatever stands beside the command in its transaction does not have it carried out."""


class CommitLost(OutcomeUnknown):
    """The commit failed, and whether it holds is open."""

    lasts = False
    said = "whether it was committed is not known; the same command tells"


async def carry_out_action(
    database: Database,
    command: Command,
    action: Action,
    also: Also | None = None,
    first: First | None = None,
) -> Done:
    """An action under the guard."""
    return await _in_spite_of_conflicts(lambda: _act(database, command, action, also, first))


async def carry_out_compensation(
    database: Database,
    command: Command,
    compensation: Compensation,
    also: Also | None = None,
    first: First | None = None,
) -> Done:
    """A compensation under the guard."""
    return await _in_spite_of_conflicts(lambda: _undo(database, command, compensation, also, first))


async def _in_spite_of_conflicts(carry_out: Callable[[], Awaitable[Done]]) -> Done:
    tries = 0
    while True:
        try:
            return await carry_out()
        except (Aside, BadData, OutcomeUnknown):
            raise
        except Exception as e:
            way = in_the_way(e)
            if way is None:
                raise
            tries += 1
            if way is InTheWay.WAITED or tries == TRIES_MAX:
                raise Conflict(way.value) from e
            _log.debug("tried again: %s", way.value)


async def _act(
    database: Database,
    command: Command,
    action: Action,
    also: Also | None,
    first: First | None,
) -> Done:
    claim = Claim(database.dialect, command)

    async def attempt(transaction: Transaction) -> tuple[Done, bool]:
        if first is not None:
            await first(transaction)
        guard = Guard(claim, transaction)
        decision = decide_action(command, await guard.claim_action())
        if isinstance(decision, Say):
            return Done(decision.answer, is_new=False), False
        try:
            result = await handled(guard, transaction, lambda: action(transaction))
        except Refused as no:
            return await _refuse(guard, command, no)
        await guard.answer_action(State.COMPLETED, result)
        return Done(Completed(result), is_new=True), True

    return await _handled(database, claim, attempt, also)


async def _refuse(guard: Guard, command: Command, no: Refused) -> tuple[Done, bool]:
    """What the handler did is rolled back. Another copy may come in between, and then it is its
    answer that is said; what the handler has committed all the same is met here."""
    refusal = RefusedWith.of(no.code, no.message)
    row = await guard.refuse(refusal.error, is_open=in_the_way(no) is None)
    decision = decide_action(command, row)
    if isinstance(decision, Run):
        raise AssertionError("a row that was just written has an answer")
    stored = decision.answer == refusal
    return Done(decision.answer, is_new=stored), stored


async def _undo(
    database: Database,
    command: Command,
    compensation: Compensation,
    also: Also | None,
    first: First | None,
) -> Done:
    claim = Claim(database.dialect, command)

    async def attempt(transaction: Transaction) -> tuple[Done, bool]:
        if first is not None:
            await first(transaction)
        guard = Guard(claim, transaction)
        own, action = await guard.claim_compensation()
        decision = decide_compensation(command, own, action)
        if isinstance(decision, Say):
            return Done(decision.answer, is_new=False), False
        if isinstance(decision, LeaveTombstone):
            await guard.answer_compensation(State.NOTHING, NOTHING_JSON)
            return Done(UndoAnswered(undone=False), is_new=True), True
        if decision.record_lost:
            _log.warning(
                "the record of this action is gone (pruned too early, or a database restored"
                " from a backup): it is undone by the result that the command brings"
            )
        result = decision.result
        await handled(guard, transaction, lambda: compensation(transaction, result))
        await guard.answer_compensation(State.UNDONE, UNDONE_JSON)
        return Done(UndoAnswered(undone=True), is_new=True), True

    return await _handled(database, claim, attempt, also)


async def _handled(database: Database, claim: Claim, attempt: Attempt, also: Also | None) -> Done:
    """A transaction with a handler in it. One that has rolled back by itself leaves its claim
    behind."""
    try:
        return await _in_transaction(database, attempt, also)
    except TransactionEnded:
        await leave_claimed(database, claim)
        raise


async def _in_transaction(database: Database, attempt: Attempt, also: Also | None) -> Done:
    """Commits where the attempt says that something is to be kept, else rolls back."""
    transaction = await begin_in_time(database)
    try:
        with within(database):
            done, keep = await attempt(transaction)
            if keep and also is not None:
                await also(transaction, done.answer)
    except BaseException:
        await transaction.rollback()
        raise
    if not keep:
        await transaction.rollback()
        if also is None or isinstance(done.answer, Breach):
            return done

        async def say_again(_: Transaction) -> tuple[Done, bool]:
            return done, True

        # The claim is not kept; what follows from an answer given before is.
        return await _in_transaction(database, say_again, also)
    try:
        await transaction.commit()
    except CommitRefused:
        raise
    except Exception as e:
        raise CommitLost(type(e).__name__) from e
    return done


async def begin_in_time(database: Database) -> Transaction:
    """A new transaction, or `DatabaseUnavailable` where there is none in the time that it has."""
    refuse_within(database)
    beginning = asyncio.ensure_future(database.begin())
    try:
        await asyncio.wait([beginning], timeout=database.connection_wait_s)
    except asyncio.CancelledError:
        await _never_mind(beginning)
        raise
    if not beginning.done():
        await _never_mind(beginning)
        raise DatabaseUnavailable("no connection became free in time")
    if beginning.cancelled():
        raise DatabaseUnavailable(CancelledWithin.__name__)
    try:
        return beginning.result()
    except Exception as e:
        raise DatabaseUnavailable(type(e).__name__) from e


async def _never_mind(beginning: asyncio.Future[Transaction]) -> None:
    """Ends what nobody waits for any more, and gives back what it has begun all the same."""
    await ended(beginning)
    if not beginning.cancelled() and beginning.exception() is None:
        await beginning.result().rollback()
