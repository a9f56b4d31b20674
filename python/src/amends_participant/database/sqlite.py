"""SQLite with nothing but the standard library: one connection, in a thread of its own.

SQLite has one writer at a time, and so has this: a transaction waits for the one before it. A
handler that waits for something else meanwhile holds up all others.
"""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike, fspath
from typing import Any, TypeVar, Union

from ..guard.sql import SQLITE
from . import CONNECTION_WAIT_S, Database, Returned, Transaction, TransactionEnded, committing

BUSY_TIMEOUT_S = 5.0
"""How long another process may hold the file before a command is told to come again: below the
10 s that an attempt has by default."""

VERSION_MIN = (3, 35, 0)
"""The first with RETURNING."""

Parameters = Union[Sequence[Any], Mapping[str, Any]]
_T = TypeVar("_T")


class Sqlite(Database):
    """A database file. `schema` is run at the first use, for the service's own tables."""

    dialect = SQLITE

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        schema: str = "",
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        if sqlite3.sqlite_version_info < VERSION_MIN:
            wanted = ".".join(map(str, VERSION_MIN))
            raise RuntimeError(f"SQLite {wanted} is needed, this is {sqlite3.sqlite_version}")
        self._path, self._schema = fspath(path), schema
        self._busy_timeout_s = busy_timeout_s
        # That another process holds the file is the database's own to say.
        self.connection_wait_s = max(CONNECTION_WAIT_S, busy_timeout_s + 1)
        self._thread = _new_thread()
        self._turn = asyncio.Lock()
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        await self._take_turn()
        try:
            await self._opened()
        finally:
            self._turn.release()

    async def begin(self) -> SqliteTransaction:
        await self._take_turn()
        try:
            connection = await self._opened()
        except BaseException:
            self._turn.release()
            raise
        transaction = SqliteTransaction(self, connection)
        try:
            await self.work(lambda: connection.execute("BEGIN IMMEDIATE"))
        except BaseException:
            # One that is cancelled may have begun all the same.
            await transaction.rollback()
            raise
        return transaction

    async def close(self) -> None:
        """It may be opened again, in another event loop too."""
        await self._take_turn()
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                await self.work(connection.close)
        finally:
            self._thread.shutdown(wait=False)
            self._thread = _new_thread()
            # A lock is of the event loop in which it was first waited for.
            turn, self._turn = self._turn, asyncio.Lock()
            turn.release()

    async def _take_turn(self) -> None:
        while True:
            turn = self._turn
            await turn.acquire()
            if turn is self._turn:
                return
            turn.release()

    async def work(self, function: Callable[[], _T]) -> _T:
        """Runs a function in the connection's thread, with the context of the caller. What has
        begun there is waited for, also by a caller that is cancelled: nothing else may begin on
        the connection before it has ended."""
        context = contextvars.copy_context()
        future = asyncio.get_running_loop().run_in_executor(self._thread, context.run, function)
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as e:
                cancelled = e
        if cancelled is not None:
            if not future.cancelled():
                future.exception()  # is nobody's any more
            raise cancelled
        return future.result()

    def connection_lost(self) -> None:
        """The next transaction makes a new one."""
        self._connection = None

    def end_turn(self) -> None:
        """The next transaction may begin."""
        self._turn.release()

    async def _opened(self) -> sqlite3.Connection:
        connection = self._connection
        return await self.work(self._connect) if connection is None else connection

    def _connect(self) -> sqlite3.Connection:
        """Keeps it at once: who has asked for it may be cancelled by now."""
        connection = sqlite3.connect(
            self._path,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # What is answered has been on the disk.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            if self._schema:
                connection.executescript(self._schema)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection


def _new_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="amends-sqlite")


class SqliteHandle:
    """What a handler is given as `db`: the open transaction, which the guard will end."""

    def __init__(self, database: Sqlite, connection: sqlite3.Connection) -> None:
        self._database, self._connection = database, connection

    async def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Runs a statement: how many rows it has changed."""
        return (await self.returned(sql, parameters)).changed

    async def fetch(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        """All rows of a query."""
        return list((await self.returned(sql, parameters)).rows)

    async def run(self, function: Callable[[sqlite3.Connection], _T]) -> _T:
        """Hands the connection to a plain function, which runs in the connection's thread. It may
        do many statements in one go; it must not commit."""
        return await self._database.work(lambda: function(self._connection))

    async def returned(self, sql: str, parameters: Parameters) -> Returned:
        """All that a statement gives."""

        def run() -> Returned:
            cursor = self._connection.execute(sql, parameters)
            rows = cursor.fetchall()
            return Returned(rows, cursor.rowcount)

        return await self._database.work(run)


class SqliteTransaction(Transaction):
    """Begun, and the only one."""

    def __init__(self, database: Sqlite, connection: sqlite3.Connection) -> None:
        self._database, self._connection = database, connection
        self._handle = SqliteHandle(database, connection)

    @property
    def handle(self) -> SqliteHandle:
        return self._handle

    async def statement(self, sql: str, parameters: Mapping[str, Any]) -> Returned:
        return await self._handle.returned(sql, parameters)

    async def settle(self) -> None:
        if not self._connection.in_transaction:
            raise TransactionEnded

    async def commit(self) -> None:
        try:
            with committing():
                await self._database.work(lambda: self._connection.execute("COMMIT"))
        except BaseException:
            await self._roll_back()
            raise
        finally:
            self._database.end_turn()

    async def rollback(self) -> None:
        try:
            await self._roll_back()
        finally:
            self._database.end_turn()

    async def _roll_back(self) -> None:
        def roll_back() -> None:
            try:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                self._connection.close()  # which rolls back
                self._database.connection_lost()

        await self._database.work(roll_back)
