"""PostgreSQL through psycopg 3: a pool of connections, or a single one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Union

from psycopg import AsyncConnection, AsyncTransaction
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool

from ..guard.sql import POSTGRES
from . import Database, Returned, Transaction, TransactionEnded, committing
from .at_once import by_psycopg
from .text import as_one, of_postgres, renamed

Pool = AsyncConnectionPool[AsyncConnection[Any]]


class Postgres(Database):
    """Transactions from a pool, or one after the other on one connection. Both stay yours: a pool
    that is not yet open is opened, and neither is closed. A single connection is not to be used for
    anything else meanwhile: with a transaction of yours open on it nothing is begun."""

    dialect = POSTGRES

    def __init__(self, source: Union[Pool, AsyncConnection[Any]]) -> None:
        self._source: Pool | _One
        self._source = _One(source) if isinstance(source, AsyncConnection) else source

    async def open(self) -> None:
        if isinstance(self._source, AsyncConnectionPool) and self._source.closed:
            await self._source.open()

    async def begin(self) -> PostgresTransaction:
        connection = await self._source.getconn()
        # Within it psycopg refuses a handler's own commit and rollback.
        transaction = AsyncTransaction(connection)
        begun = PostgresTransaction(self._source, connection, transaction)
        try:
            await transaction.__aenter__()
        except BaseException:
            # One that is cancelled may have begun all the same.
            await begun.rollback()
            raise
        return begun


class PostgresTransaction(Transaction):
    """What a handler gets of it is the connection."""

    def __init__(
        self, source: Pool | _One, connection: AsyncConnection[Any], transaction: AsyncTransaction
    ) -> None:
        self._source, self._connection, self._transaction = source, connection, transaction

    @property
    def handle(self) -> AsyncConnection[Any]:
        return self._connection

    async def statement(self, sql: str, parameters: Mapping[str, Any]) -> Returned:
        async with self._connection.cursor() as cursor:
            await cursor.execute(_with_percents(sql).encode(), parameters or None)
            rows = await cursor.fetchall() if cursor.description else []
            return Returned([tuple(_values(row)) for row in rows], cursor.rowcount)

    async def at_once(self, statements: Sequence[str], parameters: Mapping[str, Any]) -> Returned:
        # What goes alone is prepared.
        if len(statements) == 1:
            return await super().at_once(statements, parameters)
        return await by_psycopg(self._connection, as_one(statements, parameters, of_postgres))

    @property
    def is_aborted(self) -> bool:
        return self._connection.info.transaction_status is TransactionStatus.INERROR

    async def settle(self) -> None:
        if self._transaction.status is not AsyncTransaction.Status.ACTIVE:
            raise TransactionEnded

    async def commit(self) -> None:
        try:
            with committing():
                await self._transaction.__aexit__(None, None, None)
        finally:
            await self._source.putconn(self._connection)

    async def rollback(self) -> None:
        end = _RollBack()
        try:
            # Of one that was cancelled as it began, psycopg may have ended it by itself.
            if self._transaction.status is AsyncTransaction.Status.ACTIVE:
                await self._transaction.__aexit__(type(end), end, None)
        except Exception:
            # The server rolls back what was on it; the pool makes a new one.
            await self._connection.close()
        finally:
            await self._source.putconn(self._connection)


class _RollBack(Exception):
    """What an open transaction is left with."""


class InATransaction(Exception):
    """The connection has a transaction open that is not the guard's. psycopg would begin one within
    it, whose commit makes nothing durable: what is then said to be done would not be."""

    def __init__(self) -> None:
        super().__init__(
            "the connection that Postgres was given has a transaction open already; commit it or"
            " roll it back, and give Postgres a connection of its own, or a pool"
        )


_IN_A_TRANSACTION = (
    TransactionStatus.ACTIVE,
    TransactionStatus.INTRANS,
    TransactionStatus.INERROR,
)
"""Not `UNKNOWN`: a connection that is lost says so itself."""


class _One:
    """One connection, to one transaction at a time."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection, self._turn = connection, asyncio.Lock()

    async def getconn(self) -> AsyncConnection[Any]:
        await self._turn.acquire()
        if self._connection.info.transaction_status in _IN_A_TRANSACTION:
            self._turn.release()
            raise InATransaction
        return self._connection

    async def putconn(self, connection: AsyncConnection[Any]) -> None:
        """What is still open on it was begun here: it was not, when it was taken."""
        try:
            if connection.info.transaction_status in _IN_A_TRANSACTION:
                await connection.rollback()
        except Exception:
            await connection.close()
        finally:
            self._turn.release()


def _values(row: Any) -> Any:
    """A connection may have a row factory of its owner's."""
    return row.values() if isinstance(row, Mapping) else row


@lru_cache(maxsize=64)
def _with_percents(sql: str) -> str:
    return renamed(sql, r"%(\1)s")
