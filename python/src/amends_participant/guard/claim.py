"""The guard's statements for one command in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ..command import Command
from ..database import Returned, Transaction, TransactionAborted, TransactionEnded
from ..database.errors import is_aborted
from ..endings import HANDLER_ENDED_IT, OutcomeUnknown
from .sql import Dialect
from .table import Row, State


class DatabaseUnavailable(Exception):
    """No transaction could be begun, or the guard could not speak in it."""


class ClaimLeftBehind(OutcomeUnknown):
    """A claim without an answer was committed: a handler has ended the guard's transaction, and
    nobody knows what stands of what it did."""

    lasts = True
    said = HANDLER_ENDED_IT

    def __init__(self) -> None:
        super().__init__(
            "a claim without an answer was committed: a handler has ended the transaction that it"
            " was given (by ROLLBACK, by COMMIT, or by a statement with which MySQL commits, such"
            " as CREATE TABLE). Only a person can tell: set the row of amends_guard to what is"
            " true, or delete it where nothing was done"
        )


class HandlerCommitted(ClaimLeftBehind):
    """The same, seen at the moment when the handler fails."""


class Claim:
    """What one try of a command writes as its claim."""

    def __init__(self, dialect: Dialect, command: Command) -> None:
        self.dialect = dialect
        self.direction = command.direction
        self.round = command.round
        self.key = {"saga_id": command.saga_id, "step": command.step}
        digest = command.body_sha256
        self.wrote = {
            "round": command.round,
            "body_sha256": digest.hex() if dialect.digests_as_hex else digest,
        }
        self.mark = uuid.uuid4().hex
        """Tells it from one that was left behind, by another try too."""
        self.is_handled = False
        """Whether the handler has begun."""

    def is_among(self, rows: Returned) -> bool:
        """Is its own row there, and as it has claimed it?"""
        return any(
            (direction, state, reply) == (self.direction, State.CLAIMED, self.mark)
            for direction, _, _, state, reply in rows.rows
        )


class Guard:
    """A claim in its transaction."""

    def __init__(self, claim: Claim, transaction: Transaction) -> None:
        self._claim, self._dialect, self._transaction = claim, claim.dialect, transaction

    async def claim_action(self) -> Row | None:
        """The action's row; `None` when it is new."""
        claimed = await self._statement(self._dialect.claim_action, claim=self._claim.mark)
        if not self._dialect.returns_claimed:
            if claimed.last_id == 0:
                return None
            claimed = await self._read()
        return self._row(claimed, "action")

    async def claim_compensation(self) -> tuple[Row | None, Row | None]:
        """Its own row and the action's; `None` for one that is new."""
        claimed = await self._statement(self._dialect.claim_compensation, claim=self._claim.mark)
        if not self._dialect.returns_claimed:
            claimed = await self._read()
        return self._row(claimed, "compensation"), self._row(claimed, "action")

    async def claim_anew(self) -> None:
        """Makes its own row, which was there before, as new as one that is: a later round runs."""
        claim = self._claim
        anew = {**claim.key, "direction": claim.direction, "claim": claim.mark}
        await self._said(self._dialect.claim_anew, anew)

    async def is_held(self) -> bool:
        """Does the transaction still hold the claim? Where it does not, the handler has rolled
        back. One in which a statement has failed answers nothing any more, and is there."""
        if self._transaction.was_rolled_back:
            return True
        try:
            return self._claim.is_among(await self._read())
        except Exception:
            return True

    async def answer_action(self, state: State, reply: str) -> None:
        """Turns the claim into an answer."""
        self._held(
            await self._statement(
                self._dialect.answer_action,
                state=state.value,
                reply=reply,
                claim=self._claim.mark,
            )
        )

    async def answer_compensation(self, state: State, reply: str) -> None:
        """The same, and writes the action's row too."""
        self._held(
            await self._statement(
                self._dialect.answer_compensation,
                state=state.value,
                reply=reply,
                claim=self._claim.mark,
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
        return await self._said(self._dialect.read, self._claim.key)

    async def _statement(self, sql: str, **parameters: Any) -> Returned:
        return await self._said(sql, {**self._claim.key, **self._claim.wrote, **parameters})

    async def _said(self, sql: str, parameters: Mapping[str, Any]) -> Returned:
        try:
            return await self._transaction.statement(sql, parameters)
        except Exception as e:
            if is_aborted(e):
                raise TransactionAborted from e
            raise DatabaseUnavailable(type(e).__name__) from e

    def _row(self, returned: Returned, direction: str) -> Row | None:
        for found, round_, body_sha256, state, reply in returned.rows:
            if found == direction:
                row = Row(int(round_), bytes(body_sha256), State(state), reply)
                if row.state is not State.CLAIMED:
                    return row
                if row.reply == self._claim.mark:
                    return None
                raise ClaimLeftBehind
        raise AssertionError(f"the claim of the {direction}'s row gave no row")

    @staticmethod
    def _held(returned: Returned, rows: int = 1) -> None:
        """The claim is still there to be answered: the handler has not rolled it back."""
        if returned.changed < rows:
            raise TransactionEnded
