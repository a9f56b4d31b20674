"""Which of the relays of one SQLite file has its turn: a lock on a file beside it. SQLite keeps
such locks on every system, and they go with the process that held them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager


@contextmanager
def turn_at(file: str) -> Iterator[bool]:
    """Is it this one's turn, until it is left? Of a database in memory nobody else knows."""
    if not file:
        yield True
        return
    with closing(sqlite3.connect(f"{file}-relay", timeout=0, isolation_level=None)) as lock:
        yield _is_had(lock)


def _is_had(lock: sqlite3.Connection) -> bool:
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as e:
        if "is locked" in str(e):
            return False
        raise
    return True
