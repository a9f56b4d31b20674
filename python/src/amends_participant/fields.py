"""The fields of a body: a JSON object, in which each field that is asked for is said once."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from .answers import from_json

NESTING_MAX = 128
"""How many objects and lists may stand in one another: what readers in other languages bear."""


class NotACommand(Exception):
    """The body breaks the participant protocol, or is not for this service. The text says what to
    send instead; it repeats names, in quotes, and never values."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message


class Fields:
    """What stands in a body."""

    def __init__(self, raw: bytes) -> None:
        """Raises `NotACommand` unless it is a JSON object."""
        pairs: list[tuple[str, Any]] = []

        def keep(found: list[tuple[str, Any]]) -> dict[str, Any]:
            # The outermost is the last.
            nonlocal pairs
            pairs = found
            return dict(found)

        try:
            if is_too_deep(raw):
                raise NotACommand("NOT_JSON", f"the body is nested over {NESTING_MAX} deep")
            # Not as bytes: `json` would take UTF-16 as well.
            self.all = from_json(raw.decode(), object_pairs_hook=keep, parse_constant=_no_number)
        except UnicodeDecodeError:
            raise NotACommand("NOT_JSON", "the body is not UTF-8") from None
        except json.JSONDecodeError as e:
            what = f"the body is not JSON: {e.msg} at character {e.pos}"
            raise NotACommand("NOT_JSON", what) from None
        except ValueError:
            raise NotACommand("NOT_JSON", "the body is not JSON that can be read") from None
        if not isinstance(self.all, dict):
            raise NotACommand("NOT_JSON", "the body is JSON, but no object")
        self._names = [name for name, _ in pairs]

    def value(self, name: str) -> Any:
        """Raises `NotACommand` unless it is there once."""
        times = self._names.count(name)
        if times == 0:
            raise NotACommand("MISSING_FIELD", f"the body has no {name}")
        if times > 1:
            raise NotACommand("BAD_FIELD", f"the body says {name} twice")
        return self.all[name]

    def text(self, name: str) -> str:
        """Raises `NotACommand` unless it is a text with something in it."""
        value = self.value(name)
        if not isinstance(value, str) or not value or _HALF_A_CHARACTER.search(value):
            raise NotACommand("BAD_FIELD", f"the body's {name} is no text")
        return value


_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")
"""JSON's escapes can write one, UTF-8 cannot."""

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_NO_BRACKET = re.compile(rb"[^][{}]+")


def is_too_deep(raw: bytes) -> bool:
    """Are more objects and lists in one another than `NESTING_MAX`?"""
    if raw.count(b"[") + raw.count(b"{") <= NESTING_MAX:
        return False
    depth = 0
    for bracket in _NO_BRACKET.sub(b"", _TEXT.sub(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        if depth > NESTING_MAX:
            return True
    return False


def _no_number(constant: str) -> NoReturn:
    raise ValueError(constant)
