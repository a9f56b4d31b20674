"""What an error of a driver proves, whichever driver it is.

An error may stand in another: SQLAlchemy has the driver's own in its, a group has those of its
tasks, and a handler raises what it likes of what it has caught.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from enum import Enum

from ..endings import grouped

CONSTRAINT = "23"
"""The class of PostgreSQL's codes for what a constraint forbids."""

POSTGRES_LOST = ("40001", "40P01")
"""A failed serialization, and a deadlock."""

POSTGRES_WAITED = "55P03"
"""`lock_timeout`."""

POSTGRES_ABORTED = "25P02"
"""Nothing more is done in a transaction in which something has failed."""

MYSQL_LOST = (1020, 1213)
"""Changed since it was read, and a deadlock."""

MYSQL_WAITED = 1205
"""`innodb_lock_wait_timeout`."""

NOT_HELD = ("22012", 1242)
"""A division by zero, and more rows than one: what the guard's own look for its claim comes to
where it is gone."""

POSTGRES_NO_TRANSACTION = "25P01"

CAUSES_MAX = 256
"""How many are looked at: one that is in itself has no end."""


class InTheWay(Enum):
    """How other transactions were."""

    LOST = "rolled back for the sake of another"
    """The same may go well at once."""
    WAITED = "waited for another for too long"
    """Who has waited as long as may be does not begin again at once."""


def in_the_way(error: BaseException) -> InTheWay | None:
    """Did it fail because of other transactions?"""
    for each in _causes(error):
        code = _code(each)
        if code in POSTGRES_LOST or code in MYSQL_LOST:
            return InTheWay.LOST
        if code in (POSTGRES_WAITED, MYSQL_WAITED) or _is_busy(each):
            return InTheWay.WAITED
    return None


def is_refusal(error: BaseException) -> bool:
    """Does this error of a commit prove that nothing was committed: a constraint that was deferred,
    or a conflict with another transaction?"""
    for each in _causes(error):
        code = _code(each)
        if isinstance(each, sqlite3.IntegrityError) or _is_busy(each):
            return True
        if code in POSTGRES_LOST or code in MYSQL_LOST:
            return True
        if isinstance(code, str) and code.startswith(CONSTRAINT):
            return True
    return False


def is_aborted(error: BaseException) -> bool:
    """Has something else failed in the transaction before?"""
    return any(_code(each) == POSTGRES_ABORTED for each in _causes(error))


def is_not_held(error: BaseException) -> bool:
    """Is it the guard's claim that is gone?"""
    return any(_code(each) in NOT_HELD for each in _causes(error))


def has_no_transaction(error: BaseException) -> bool:
    """Was there no transaction to roll back? MySQL says nothing then."""
    return any(
        _code(each) == POSTGRES_NO_TRANSACTION
        or (isinstance(each, sqlite3.OperationalError) and "no transaction" in str(each))
        for each in _causes(error)
    )


def _code(error: BaseException) -> str | int | None:
    """The database's own word for it: five characters of PostgreSQL's, a number of MySQL's."""
    if any(cls.__name__ == "MySQLError" for cls in type(error).__mro__):
        # Some of its drivers say a state as well, which is the same for many errors.
        number = error.args[0] if error.args else None
        return number if isinstance(number, int) else None
    sqlstate = getattr(error, "sqlstate", None)
    return sqlstate if isinstance(sqlstate, str) else None


def _is_busy(error: BaseException) -> bool:
    # Python 3.10 does not say the code.
    return isinstance(error, sqlite3.OperationalError) and "is locked" in str(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    left = [error]
    for _ in range(CAUSES_MAX):
        if not left:
            return
        each = left.pop()
        yield each
        original = getattr(each, "orig", None)
        if isinstance(original, BaseException):
            yield original
        cause = each.__cause__ or each.__context__
        left += [*([] if cause is None else [cause]), *reversed(grouped(each))]
