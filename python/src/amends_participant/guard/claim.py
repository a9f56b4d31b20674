"""The guard's statements for one command in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..command import Command
from ..database import Returned, Transaction, TransactionAborted, TransactionEnded
from ..database.errors import has_no_transaction, is_aborted, is_not_held
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


@contextmanager
def speaking() -> Iterator[None]:
    """Around what the guard says in a transaction."""
    try:
        yield
    except Exception as e:
        if is_aborted(e):
            raise TransactionAborted from e
        raise DatabaseUnavailable(type(e).__name__) from e


class ForeignRow(ValueError):
    """A row of the guard's table that this version did not write. No handler is to blame for it."""


def _read(round_: Any, body_sha256: Any, state: Any, reply: Any) -> Row:
    try:
        return Row(int(round_), bytes(body_sha256), State(state), reply)
    except (TypeError, ValueError) as e:
        what = "amends_guard holds a row that this version did not write"
        raise DatabaseUnavailable(ForeignRow.__name__) from ForeignRow(f"{what}: {e}")


class Claim:
    """What one try of a command writes as its claim."""

    def __init__(self, dialect: Dialect, command: Command) -> None:
        self.dialect = dialect
        self.direction = command.direction
        self.round = command.round
        self.key = {"saga_id": command.saga_id, "step": command.step}
        self.body_sha256 = command.body_sha256
        digest = self.body_sha256.hex() if dialect.digests_as_hex else self.body_sha256
        self.wrote = {"round": command.round, "body_sha256": digest}
        self.mark = uuid.uuid4().hex
        """Tells it from one that was left behind, by another try too."""

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

    @property
    def may_refuse(self) -> bool:
        """No undo can be refused."""
        return self._claim.direction == "action"

    async def claim_action(self) -> Row | None:
        """The action's row; `None` when the handler may run as if it were new."""
        claimed = await self._at_once(self._dialect.claim_action, claim=self._claim.mark)
        return self._row(claimed, "action")

    async def claim_compensation(self) -> tuple[Row | None, Row | None]:
        """Its own row and the action's, as of `claim_action`."""
        claimed = await self._at_once(self._dialect.claim_compensation, claim=self._claim.mark)
        return self._row(claimed, "compensation"), self._row(claimed, "action")

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

    async def refuse(self, reply: str, *, is_open: bool) -> Row:
        """Rolls back, and stores a refusal if there is no answer by then: the row as it stands.
        `is_open` where nothing has rolled back by itself so far: then the claim is looked for."""
        stored = await self._start_over(self._dialect.store_refusal, is_open=is_open, reply=reply)
        if not stored.rows:
            if stored.changed == 1:
                return Row(self._claim.round, self._claim.body_sha256, State.REFUSED, reply)
            stored = await self._said(self._dialect.read, self._claim.key)
        row = self._row(stored, "action")
        if row is None:
            raise HandlerCommitted
        return row

    async def abandon(self) -> None:
        """Rolls back, of a handler that came to no answer. Raises where it has ended the
        transaction, as far as the database can be asked."""
        try:
            left = await self._start_over((self._dialect.look,))
        except OutcomeUnknown:
            raise
        except Exception:
            return
        if left.rows or left.changed > 0:
            raise HandlerCommitted

    async def _start_over(
        self, then: Sequence[str], *, is_open: bool = True, **parameters: Any
    ) -> Returned:
        """Looks for the claim, rolls back, and goes on with some statements in a new transaction.
        Where the claim is gone before that, the handler has rolled back."""
        transaction, dialect = self._transaction, self._dialect
        said = {"direction": self._claim.direction, "claim": self._claim.mark, **parameters}
        if transaction.was_rolled_back:
            await transaction.begin_again()
            return await self._at_once(then, **said)
        anew = (*dialect.start_over, *then)
        # One in which a statement has failed answers nothing any more, and is there.
        if not is_open or transaction.is_aborted:
            return await self._at_once(anew, **said)
        try:
            if dialect.held:
                return await self._at_once((dialect.held, *anew), **said)
            if not self._claim.is_among(await self._said(dialect.read, self._claim.key)):
                raise TransactionEnded
            return await self._at_once(anew, **said)
        except TransactionAborted:
            return await self._at_once(anew, **said)
        except DatabaseUnavailable as e:
            if is_not_held(e):
                raise TransactionEnded from e
            if has_no_transaction(e):
                raise HandlerCommitted from e
            raise

    async def _at_once(self, statements: Sequence[str], **parameters: Any) -> Returned:
        said = {**self._claim.key, **self._claim.wrote, **parameters}
        with speaking():
            return await self._transaction.at_once(statements, said)

    async def _statement(self, sql: str, **parameters: Any) -> Returned:
        return await self._said(sql, {**self._claim.key, **self._claim.wrote, **parameters})

    async def _said(self, sql: str, parameters: Mapping[str, Any]) -> Returned:
        with speaking():
            return await self._transaction.statement(sql, parameters)

    def _row(self, returned: Returned, direction: str) -> Row | None:
        for found, round_, body_sha256, state, reply in returned.rows:
            if found == direction:
                row = _read(round_, body_sha256, state, reply)
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
