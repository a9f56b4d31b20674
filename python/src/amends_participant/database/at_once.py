"""Several statements as one text, through each driver's own connection: SQLAlchemy prepares what it
sends, and that goes alone.

It is the driver's simple way of asking. What is asked for is what the last statement gives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from . import Returned
from .text import Value, of_mysql, of_postgres

Ask = Callable[[Any, str], Awaitable[Returned]]


async def by_psycopg(connection: Any, sql: str) -> Returned:
    """psycopg takes several where there are no parameters."""
    async with connection.cursor() as cursor:
        await cursor.execute(sql.encode(), prepare=False)
        while cursor.nextset():
            pass
        rows = await cursor.fetchall() if cursor.description else []
        return Returned(rows, cursor.rowcount)


async def by_asyncpg(connection: Any, sql: str) -> Returned:
    """asyncpg gives no rows then, but says how many there were: `INSERT 0 1`, `SELECT 1`."""
    told = (await connection.execute(sql)).split()
    return Returned([], int(told[-1]) if told and told[-1].isdigit() else 0)


async def by_mysql(connection: Any, sql: str) -> Returned:
    """aiomysql and asyncmy have every connection take several."""
    async with connection.cursor() as cursor:
        await cursor.execute(sql)
        while True:
            rows = await cursor.fetchall() if cursor.description else []
            returned = Returned([tuple(row) for row in rows], cursor.rowcount)
            if not await cursor.nextset():
                return returned


BY_DRIVER: dict[str, tuple[Ask, Callable[[Value], str]]] = {
    "asyncpg": (by_asyncpg, of_postgres),
    "psycopg": (by_psycopg, of_postgres),
    "aiomysql": (by_mysql, of_mysql),
    "asyncmy": (by_mysql, of_mysql),
}
"""How each is asked, and its literals. Another one is asked one after the other."""
