"""The service's own database, as far as the guard needs it.

An adapter says how a transaction begins, how a statement runs in it, and how it ends. What the
statements are is the guard's affair. `Sqlite` is here without any dependency; `Postgres` needs
the extra `psycopg`, `Alchemy` the extra `sqlalchemy`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from ..endings import HANDLER_ENDED_IT, OutcomeUnknown
from ..guard.sql import Dialect
from ..messages import sql as messages
from .errors import is_refusal
from .text import names_in
from .within import refuse_within, within

CONNECTION_WAIT_S = 5.0
"""How long a command waits for its transaction: an attempt has 10 s by default, and "not now" is of
use only while it is waited for. The pools' own time is 30 s."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Returned:
    """What a statement gave."""

    rows: Sequence[Sequence[Any]]
    changed: int


class Transaction(ABC):
    """One open transaction. Exactly one of `commit` and `rollback` ends it; each gives the
    connection back, also when it fails."""

    @property
    @abstractmethod
    def handle(self) -> Any:
        """What a handler is given as `db`."""

    @abstractmethod
    async def statement(self, sql: str, parameters: Mapping[str, Any]) -> Returned:
        """Runs one statement of the kit."""

    async def at_once(self, statements: Sequence[str], parameters: Mapping[str, Any]) -> Returned:
        """Runs some statements of the kit, in one round trip where the driver can: what the last
        one gave. Not every driver gives its rows then."""
        returned = Returned([], 0)
        for sql in statements:
            named = {name: parameters[name] for name in names_in(sql)}
            returned = await self.statement(sql, named)
        return returned

    async def settle(self) -> None:
        """Called between the handler and the answer: whatever the handler has left undone goes to
        the database now. Raises when the handler has ended the transaction itself."""
        return None

    @property
    def was_rolled_back(self) -> bool:
        """Whether the driver has rolled all of it back already, and nothing was done since, as far
        as it tells: then nobody need look for what still stands."""
        return False

    @property
    def is_aborted(self) -> bool:
        """Whether a statement has failed, and nothing but a rollback is taken, as far as the driver
        tells."""
        return False

    async def begin_again(self) -> None:
        """Begins anew after the driver has rolled back."""
        raise NotImplementedError

    def when_ended(self, sql: str) -> None:
        """Has a statement run on the same connection after the end, whichever it is. Only asked for
        where a lock outlives its transaction, as MySQL's do."""
        raise NotImplementedError

    @abstractmethod
    async def commit(self) -> None:
        """Makes it durable. Raises `CommitRefused` where the database says for certain that it is
        not; any other error leaves open whether it is."""

    @abstractmethod
    async def rollback(self) -> None:
        """Undoes all of it. Never raises: a connection that is lost has rolled back."""


class CommitRefused(Exception):
    """The database has refused a commit by its own word, and rolled back: a constraint that was
    deferred, or a conflict with another transaction."""


@contextmanager
def committing() -> Iterator[None]:
    """Around a commit: what its error proves is raised as such."""
    try:
        yield
    except Exception as e:
        if is_refusal(e):
            raise CommitRefused(type(e).__name__) from e
        raise


class Database(ABC):
    """Where transactions are had."""

    dialect: Dialect
    connection_wait_s: float = CONNECTION_WAIT_S
    """How long a command waits here before it is told to come again."""

    @abstractmethod
    async def begin(self) -> Transaction:
        """A new transaction, as soon as there is a connection."""

    async def open(self) -> None:
        """Called once before the first command."""
        return None

    async def close(self) -> None:
        """Gives back what `open` and `begin` have made; a pool or an engine that was handed in
        stays its owner's to close."""
        return None

    @property
    def tables(self) -> Sequence[str]:
        """The statements that create the kit's tables where they are not there, for a migration."""
        return (*self.dialect.create, *messages.of(self.dialect).create)

    async def create_tables(self) -> None:
        """Creates the kit's tables where they are not there."""

        async def create(transaction: Transaction) -> None:
            for sql in self.tables:
                await transaction.statement(sql, {})

        await in_transaction(self, create)


async def in_transaction(database: Database, work: Callable[[Transaction], Awaitable[_T]]) -> _T:
    """Begins, works, and commits, or rolls back if the work raises."""
    refuse_within(database)
    transaction = await database.begin()
    try:
        with within(database):
            done = await work(transaction)
    except BaseException:
        await transaction.rollback()
        raise
    await transaction.commit()
    return done


class TransactionAborted(Exception):
    """Something has failed in the transaction, and with it all: a handler that has caught the error
    cannot go on after it."""

    def __init__(self) -> None:
        super().__init__(
            "an error of the database has aborted the transaction, and the handler has passed over"
            " it; put what may fail in a savepoint of its own"
        )


class TransactionEnded(OutcomeUnknown):
    """A handler has committed or rolled back. The transaction is the guard's: what the handler
    does and the answer must be durable together. Leave both to the guard."""

    lasts = True
    said = HANDLER_ENDED_IT

    def __init__(self) -> None:
        super().__init__(
            "the handler has ended the transaction that it was given, so what it did after that is"
            " not undone, and no answer is stored; leave COMMIT and ROLLBACK to the guard. Only a"
            " person can tell: set the row of amends_guard to what is true, or delete it where"
            " nothing was done"
        )
