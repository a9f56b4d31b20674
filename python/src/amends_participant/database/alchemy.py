"""Any of the three databases through SQLAlchemy 2: an engine for its connections, or a session
maker for sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Union

from sqlalchemy import Connection, TextClause, event, text
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    AsyncTransaction,
    async_sessionmaker,
)

from ..guard.sql import MYSQL, POSTGRES, SQLITE, Dialect
from . import (
    Database,
    Returned,
    Transaction,
    TransactionAborted,
    TransactionEnded,
    committing,
)
from .at_once import BY_DRIVER
from .text import as_one


class Alchemy(Database):
    """Transactions of an engine. With an `AsyncEngine` a handler gets an `AsyncConnection`; with an
    `async_sessionmaker` it gets an `AsyncSession` in the same transaction. The engine stays
    yours to dispose of."""

    def __init__(self, source: Union[AsyncEngine, async_sessionmaker[Any]]) -> None:
        self._sessions: async_sessionmaker[Any] | None = None
        if isinstance(source, async_sessionmaker):
            self._sessions, engine = source, source.kw.get("bind")
        else:
            engine = source
        if not isinstance(engine, AsyncEngine):
            raise TypeError("the session maker is bound to no AsyncEngine")
        if _commits_by_itself(engine):
            raise ValueError("the engine is set to AUTOCOMMIT: the guard needs transactions")
        self._engine = engine
        event.listen(engine.sync_engine, "begin", _count)
        self.dialect = _dialect_of(engine)

    async def begin(self) -> AlchemyTransaction:
        connection = await self._engine.connect()
        try:
            transaction = await connection.begin()
        except BaseException:
            await connection.close()
            raise
        session = None
        if self._sessions is not None:
            # A handler's session.commit() flushes and leaves the commit to the guard.
            session = self._sessions(bind=connection, join_transaction_mode="rollback_only")
        return AlchemyTransaction(connection, transaction, session)


class AlchemyTransaction(Transaction):
    """What a handler gets of it is the session, or the connection where there is none."""

    def __init__(
        self,
        connection: AsyncConnection,
        transaction: AsyncTransaction,
        session: AsyncSession | None,
    ) -> None:
        self._connection, self._transaction, self._session = connection, transaction, session
        self._nth = _begun_on(connection)
        self._when_ended: list[str] = []

    @property
    def handle(self) -> AsyncSession | AsyncConnection:
        return self._connection if self._session is None else self._session

    async def statement(self, sql: str, parameters: Mapping[str, Any]) -> Returned:
        result = await self._connection.execute(_text(sql), parameters)
        if result.returns_rows:
            return Returned([tuple(row) for row in result.all()], result.rowcount)
        return Returned([], result.rowcount)

    async def at_once(self, statements: Sequence[str], parameters: Mapping[str, Any]) -> Returned:
        how = BY_DRIVER.get(self._connection.dialect.driver)
        # PostgreSQL's begin only with what SQLAlchemy sends itself, as a statement alone is.
        if how is None or len(statements) == 1:
            return await super().at_once(statements, parameters)
        ask, literal = how
        connection = (await self._connection.get_raw_connection()).driver_connection
        return await ask(connection, as_one(statements, parameters, literal))

    async def settle(self) -> None:
        if self._session is not None:
            await self._session.flush()
            if not self._session.is_active:
                # A flush that has failed rolls back.
                raise TransactionAborted
        if not self._transaction.is_active:
            raise TransactionEnded

    @property
    def was_rolled_back(self) -> bool:
        # A session does that whose flush has failed. What has been begun since may have been
        # committed. What was committed before is found after the end.
        return not self._transaction.is_active and self._nth == _begun_on(self._connection)

    @property
    def is_aborted(self) -> bool:
        sync = self._connection.sync_connection
        if self._connection.dialect.driver != "psycopg" or sync is None or sync.invalidated:
            return False
        driver: Any = sync.connection.driver_connection
        return bool(driver.info.transaction_status == driver.info.transaction_status.INERROR)

    async def begin_again(self) -> None:
        self._transaction = await self._connection.begin()
        self._nth = _begun_on(self._connection)

    def when_ended(self, sql: str) -> None:
        self._when_ended.append(sql)

    async def commit(self) -> None:
        try:
            with committing():
                await self._transaction.commit()
        finally:
            await self._close()

    async def rollback(self) -> None:
        try:
            await self._transaction.rollback()
        except Exception:
            await self._connection.invalidate()
        finally:
            await self._close()

    async def _close(self) -> None:
        try:
            if self._session is not None:
                await self._session.close()
            for sql in self._when_ended:
                await self._connection.execute(_text(sql))
        except Exception:
            # What the statement was to let go is let go with the connection.
            await self._connection.invalidate()
        finally:
            await self._connection.close()


_BEGUN = "amends_begun"


def _count(connection: Connection) -> None:
    """Another transaction is begun on a connection."""
    connection.info[_BEGUN] = connection.info.get(_BEGUN, 0) + 1


def _begun_on(connection: AsyncConnection) -> int:
    sync = connection.sync_connection
    # One that was lost tells nothing.
    return -1 if sync is None or sync.invalidated else int(sync.info.get(_BEGUN, 0))


def _dialect_of(engine: AsyncEngine) -> Dialect:
    name = engine.dialect.name
    if name in ("mysql", "mariadb"):
        return MYSQL
    for dialect in (POSTGRES, SQLITE):
        if dialect.name == name:
            return dialect
    raise ValueError(f"the guard speaks to PostgreSQL, MySQL, MariaDB and SQLite, not to {name}")


def _commits_by_itself(engine: AsyncEngine) -> bool:
    levels = (
        engine.sync_engine.get_execution_options().get("isolation_level"),
        getattr(engine.dialect, "_on_connect_isolation_level", None),
    )
    return "AUTOCOMMIT" in levels


@lru_cache(maxsize=64)
def _text(sql: str) -> TextClause:
    return text(sql)
