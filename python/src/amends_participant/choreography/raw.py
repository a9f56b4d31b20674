"""JSON texts as they are written: what a saga carries is handed on byte for byte, and no number is
read on its way."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from ..answers import whole_number
from ..fields import NESTING_MAX, is_too_deep

_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")
_BLANKS = re.compile(r"[ \t\n\r]*")
BLANKS = " \t\n\r"


class NotJson(ValueError):
    """A text is no JSON, or not of the kind that is wanted. It says where, and never what stands
    there: that may be what must not be logged."""


class Member(NamedTuple):
    """One member of an object."""

    name: str
    key: str
    """The name as it is written, with its quotes."""
    text: str
    """The value as it is written."""


def value_of(text: str) -> Any:
    """What a text says."""
    if is_too_deep(text.encode(errors="replace")):
        raise NotJson(f"it is nested over {NESTING_MAX} deep")
    value, end = _value(text, _after_blanks(text, 0))
    if _after_blanks(text, end) != len(text):
        raise _wrong(text, end)
    return value


def checked(text: str) -> str:
    """The text without the blanks around it, if it is JSON."""
    value_of(text)
    return text.strip(BLANKS)


def members(text: str) -> dict[str, str]:
    """The members of an object, each as it is written. One name stands there once."""
    if not isinstance(value_of(text), dict):
        raise NotJson("it is no object")
    found: dict[str, str] = {}
    for member in each_member(text):
        if member.name in found:
            raise NotJson("a field stands twice")
        found[member.name] = member.text
    return found


def each_member(text: str) -> list[Member]:
    """The members of what is JSON, also where a name stands twice; none of what is no object."""
    at = _after_blanks(text, 0)
    if text[at] != "{":
        return []
    found: list[Member] = []
    at = _after_blanks(text, at + 1)
    while text[at] != "}":
        name, after = _value(text, at)
        begin = _after_blanks(text, _after_blanks(text, after) + 1)
        _, end = _value(text, begin)
        found.append(Member(name, text[at:after], text[begin:end]))
        at = _after_blanks(text, end)
        if text[at] == ",":
            at = _after_blanks(text, at + 1)
    return found


def plain(value: Any) -> str:
    """A value as a JSON text, characters as they are and no blanks."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def object_of(texts: Mapping[str, str]) -> str:
    """An object of members that are JSON texts already."""
    return "{" + ",".join(f"{plain(name)}:{text}" for name, text in texts.items()) + "}"


def is_whole(text: str) -> bool:
    """Is there no half of a character in it, which no other reader of JSON takes?"""
    return not _HALF_A_CHARACTER.search(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


_DECODER = json.JSONDecoder(parse_int=whole_number, parse_constant=_no_number)


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as e:
        raise _wrong(text, e.pos) from None
    except ValueError:
        raise _wrong(text, at) from None


def _after_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return at if blanks is None else blanks.end()


def _wrong(text: str, at: int) -> NotJson:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return NotJson(f"it is no JSON (line {line}, column {column})")
