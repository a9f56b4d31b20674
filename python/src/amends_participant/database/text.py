"""Statements with their values in them, as text: what is prepared goes alone, and what goes with a
rollback is to go in its round trip.

The values are written as hexadecimal digits, or are numbers: whatever is in them, no SQL is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

Value = Union[str, bytes, int]

# Our own statements, in which only parameters begin with a colon.
_PARAMETER = re.compile(r":(\w+)")


def names_in(sql: str) -> list[str]:
    """The parameters of a statement."""
    return _PARAMETER.findall(sql)


def renamed(sql: str, how: str) -> str:
    """The statement with its parameters in another driver's way, such as `%(\\1)s`."""
    return _PARAMETER.sub(how, sql)


def as_one(
    statements: Sequence[str], parameters: Mapping[str, Any], literal: Callable[[Value], str]
) -> str:
    """All of them in one text."""
    return _PARAMETER.sub(lambda name: literal(parameters[name[1]]), "; ".join(statements))


def of_postgres(value: Value) -> str:
    """A literal of PostgreSQL's."""
    if isinstance(value, int):
        return str(value)
    digits = value.encode() if isinstance(value, str) else value
    decoded = f"decode('{digits.hex()}', 'hex')"
    return f"convert_from({decoded}, 'UTF8')" if isinstance(value, str) else decoded


def of_mysql(value: Value) -> str:
    """A literal of MySQL's and MariaDB's."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return f"_utf8mb4 x'{value.encode().hex()}'"
