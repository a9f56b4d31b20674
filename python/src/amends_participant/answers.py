"""What a participant may answer, whatever carries the answer.

One class for each row of the table in docs/guard.md. Results and errors are JSON texts, so that a
stored answer is repeated byte for byte.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Union

CODE_BYTES_MAX, MESSAGE_BYTES_MAX = 128, 2048
"""Of a refusal. An engine cuts there too."""


@dataclass(frozen=True)
class Completed:
    """The action is done."""

    result: str


@dataclass(frozen=True)
class RefusedWith:
    """A definite "no" of the business, without effect."""

    error: str

    @classmethod
    def of(cls, code: str, message: str) -> RefusedWith:
        """From its two parts, as an engine keeps them."""
        return cls(
            to_json(
                {
                    "code": _printable(code, CODE_BYTES_MAX),
                    "message": _printable(message, MESSAGE_BYTES_MAX),
                }
            )
        )

    @property
    def code(self) -> str:
        """The refusal's code."""
        return str(json.loads(self.error)["code"])


@dataclass(frozen=True)
class UndoAnswered:
    """The compensation is done; `undone` says whether there was something to undo."""

    undone: bool


@dataclass(frozen=True)
class Transient:
    """Not now: all was rolled back, or nothing was begun. To be asked again."""

    code: str
    message: str
    retry_after_s: int | None = None


@dataclass(frozen=True)
class Unknown:
    """Nobody knows. Where the commit's answer was lost it is to be asked again, and the row will
    tell."""

    message: str
    lasts: bool = False
    """The handler has ended the guard's transaction: asking again tells nothing, and a person has
    to look."""
    code: str = "OUTCOME_UNKNOWN"


@dataclass(frozen=True)
class Breach:
    """The sender broke the contract; nothing was done."""

    code: str
    message: str


Answer = Union[Completed, RefusedWith, UndoAnswered, Transient, Unknown, Breach]


def _printable(text: str, bytes_max: int) -> str:
    """The start of a text, control characters replaced: a NUL breaks databases, an escape sequence
    terminals, a line break logs. So is half a character, which no JSON of others can hold."""
    out: list[str] = []
    left = bytes_max
    for character in str(text):
        if character in "\n\r\t":
            character = " "
        elif unicodedata.category(character) in ("Cc", "Cs"):
            character = "\N{REPLACEMENT CHARACTER}"
        left -= len(character.encode())
        if left < 0:
            break
        out.append(character)
    return "".join(out)


def to_json(value: Any) -> str:
    """JSON text as it is stored and sent: without spaces, in ASCII, and never `NaN`."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def from_json(text: str, **options: Any) -> Any:
    """What a JSON text says. A whole number of more digits than Python reads is a `Decimal`: what
    nobody asks for must not matter."""
    return json.loads(text, parse_int=whole_number, **options)


def whole_number(text: str) -> int | Decimal:
    """An int, or where Python reads none of so many digits, a `Decimal`."""
    try:
        return int(text)
    except ValueError:
        return Decimal(text)
