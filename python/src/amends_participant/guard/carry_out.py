"""One command in one transaction: claim the row, do the business, write the answer, commit.

Only what comes back from here may be said. An exception means that nothing was done, except an
`OutcomeUnknown`, which means that nobody knows.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..answers import Answer, Breach, Completed, RefusedWith, UndoAnswered
from ..command import Command
from ..database import CommitRefused, Database, Returned, Transaction, TransactionEnded
from ..endings import HANDLER_ENDED_IT, BadData, OutcomeUnknown, Refused
from .sql import Dialect
from .table import (
    LeaveTombstone,
    Row,
    Run,
    Say,
    State,
    decide_action,
    decide_compensation,
)

_log = logging.getLogger("amends_participant")

Action = Callable[[Transaction], Awaitable[str]]
"""Does an action in the transaction, and gives its result as JSON text."""

Compensation = Callable[[Transaction, str], Awaitable[None]]
"""Undoes an action, of which it gets the result as JSON text."""

Attempt = Callable[[Transaction], Awaitable[tuple["Done", bool]]]
"""What is done in a transaction, and whether it is to be kept."""

Also = Callable[[Transaction, Answer], Awaitable[None]]
"""Writes down in the same transaction what else follows from an answer."""

UNDONE_JSON, NOTHING_JSON = "true", "false"


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    answer: Answer
    is_new: bool
    """It was written now; else it was there before."""


class DatabaseUnavailable(Exception):
    """No transaction could be begun, or the guard could not speak in it."""


class CommitLost(OutcomeUnknown):
    """The commit failed, and whether it holds is open."""

    lasts = False
    said = "whether it was committed is not known; the same command tells"


class ClaimLeftBehind(OutcomeUnknown):
    """A claim without an answer was committed: a handler has committed the guard's transaction, and
    failed or died before its answer."""

    lasts = True
    said = HANDLER_ENDED_IT

    def __init__(self) -> None:
        super().__init__(
            "a claim without an answer was committed: a handler has committed the transaction that"
            " it was given (by COMMIT, or by a statement with which MySQL commits, such as CREATE"
            " TABLE) and then failed or died. Only a person can tell: set the row of amends_guard"
            " to what is true"
        )


class HandlerCommitted(ClaimLeftBehind):
    """The same, seen at the moment when the handler fails."""


async def carry_out_action(
    database: Database, command: Command, action: Action, also: Also | None = None
) -> Done:
    """An action under the guard."""

    claim = _Claim(database.dialect, command)

    async def attempt(transaction: Transaction) -> tuple[Done, bool]:
        guard = _Guard(claim, transaction)
        row = await guard.claim_action()
        decision = decide_action(command, row)
        if isinstance(decision, Say):
            return Done(decision.answer, is_new=False), False
        if row is not None:
            await guard.claim_anew("action")
        claim.is_handled = True
        result = await action(transaction)
        await transaction.settle()
        await guard.answer_action(State.COMPLETED, result)
        return Done(Completed(result), is_new=True), True

    try:
        return await _handled(database, claim, attempt, also)
    except Refused as no:
        refusal = RefusedWith.of(no.code, no.message)

    # What the handler did is rolled back by now. Another copy may have come in between.
    async def store(transaction: Transaction) -> tuple[Done, bool]:
        guard = _Guard(_Claim(database.dialect, command), transaction)
        decision = decide_action(command, await guard.store_refusal(refusal.error))
        if isinstance(decision, Run):
            raise AssertionError("a row that was just written has an answer")
        stored = decision.answer == refusal
        return Done(decision.answer, is_new=stored), stored

    return await _in_transaction(database, store, also)


async def carry_out_compensation(
    database: Database,
    command: Command,
    compensation: Compensation,
    also: Also | None = None,
) -> Done:
    """A compensation under the guard."""

    claim = _Claim(database.dialect, command)

    async def attempt(transaction: Transaction) -> tuple[Done, bool]:
        guard = _Guard(claim, transaction)
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
        if own is not None:
            await guard.claim_anew("compensation")
        claim.is_handled = True
        await compensation(transaction, decision.result)
        await transaction.settle()
        await guard.answer_compensation(State.UNDONE, UNDONE_JSON)
        return Done(UndoAnswered(undone=True), is_new=True), True

    return await _handled(database, claim, attempt, also)


async def _handled(database: Database, claim: _Claim, attempt: Attempt, also: Also | None) -> Done:
    """A transaction with a handler in it. One that fails may have committed before: then what it
    did is not rolled back, and its claim is there to say so."""
    try:
        return await _in_transaction(database, attempt, also)
    except (BadData, Refused, OutcomeUnknown):
        raise
    except Exception as failed:
        if claim.is_handled and await _is_left_behind(database, claim):
            raise HandlerCommitted from failed
        raise


async def _is_left_behind(database: Database, claim: _Claim) -> bool:
    """Is the claim committed, as far as the database can be asked?"""
    try:
        transaction = await database.begin()
    except Exception:
        return False
    try:
        rows = (await transaction.statement(claim.dialect.read, claim.key)).rows
    except Exception:
        return False
    finally:
        await transaction.rollback()
    return any(state == State.CLAIMED and reply == claim.mark for *_, state, reply in rows)


async def _in_transaction(database: Database, attempt: Attempt, also: Also | None) -> Done:
    """Commits where the attempt says that something is to be kept, else rolls back."""
    transaction = await _begin(database)
    try:
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


async def _begin(database: Database) -> Transaction:
    try:
        return await database.begin()
    except Exception as e:
        raise DatabaseUnavailable(type(e).__name__) from e


class _Claim:
    """What one command writes as its claim."""

    def __init__(self, dialect: Dialect, command: Command) -> None:
        self.dialect = dialect
        self.key = {"saga_id": command.saga_id, "step": command.step}
        digest = command.body_sha256
        self.wrote = {
            "round": command.round,
            "body_sha256": digest.hex() if dialect.digests_as_hex else digest,
        }
        self.mark = uuid.uuid4().hex
        """Tells it from one that was left behind."""
        self.is_handled = False
        """Whether the handler has begun."""


class _Guard:
    """The guard's statements for one command in one transaction."""

    def __init__(self, claim: _Claim, transaction: Transaction) -> None:
        self._dialect, self._transaction = claim.dialect, transaction
        self._key, self._wrote, self._claim = claim.key, claim.wrote, claim.mark

    async def claim_action(self) -> Row | None:
        """The action's row; `None` when it is new."""
        claimed = await self._statement(self._dialect.claim_action, claim=self._claim)
        if not self._dialect.returns_claimed:
            if claimed.last_id == 0:
                return None
            claimed = await self._read()
        return self._row(claimed, "action")

    async def claim_compensation(self) -> tuple[Row | None, Row | None]:
        """Its own row and the action's; `None` for one that is new."""
        claimed = await self._statement(self._dialect.claim_compensation, claim=self._claim)
        if not self._dialect.returns_claimed:
            claimed = await self._read()
        return self._row(claimed, "compensation"), self._row(claimed, "action")

    async def claim_anew(self, direction: str) -> None:
        """Makes a row that was there before as new as one that is: a later round runs."""
        anew = {**self._key, "direction": direction, "claim": self._claim}
        await self._said(self._dialect.claim_anew, anew)

    async def answer_action(self, state: State, reply: str) -> None:
        """Turns the claim into an answer."""
        self._held(
            await self._statement(
                self._dialect.answer_action, state=state.value, reply=reply, claim=self._claim
            )
        )

    async def answer_compensation(self, state: State, reply: str) -> None:
        """The same, and writes the action's row too."""
        self._held(
            await self._statement(
                self._dialect.answer_compensation,
                state=state.value,
                reply=reply,
                claim=self._claim,
            ),
            rows=2,
        )

    async def store_refusal(self, reply: str) -> Row | None:
        """Stores a refusal, if there is no answer yet: the row as it stands then."""
        stored = await self._statement(self._dialect.store_refusal, reply=reply)
        if not self._dialect.returns_claimed:
            stored = await self._read()
        return self._row(stored, "action")

    async def _read(self) -> Returned:
        return await self._said(self._dialect.read, self._key)

    async def _statement(self, sql: str, **parameters: Any) -> Returned:
        return await self._said(sql, {**self._key, **self._wrote, **parameters})

    async def _said(self, sql: str, parameters: Mapping[str, Any]) -> Returned:
        try:
            return await self._transaction.statement(sql, parameters)
        except Exception as e:
            raise DatabaseUnavailable(type(e).__name__) from e

    def _row(self, returned: Returned, direction: str) -> Row | None:
        for found, round_, body_sha256, state, reply in returned.rows:
            if found == direction:
                row = Row(int(round_), bytes(body_sha256), State(state), reply)
                if row.state is not State.CLAIMED:
                    return row
                if row.reply == self._claim:
                    return None
                raise ClaimLeftBehind
        raise AssertionError(f"the claim of the {direction}'s row gave no row")

    @staticmethod
    def _held(returned: Returned, rows: int = 1) -> None:
        """The claim is still there to be answered: the handler has not rolled it back."""
        if returned.changed < rows:
            raise TransactionEnded
