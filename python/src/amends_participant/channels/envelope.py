"""The envelope of a message: CloudEvents 1.0 attributes, and headers of our own beside them, which
have a hyphen. In binary mode each attribute is a header, in structured mode they stand with the
body in one JSON text."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from ..answers import to_json
from ..messages.channel import Delivery

REASON = "amends-dead-letter-reason"
"""What says why a message was put aside."""

CLOUDEVENTS_JSON = "application/cloudevents+json"
"""The media type of a structured envelope."""

_ATTRIBUTE = re.compile("[a-z0-9]+")

_PLAIN = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")


def is_attribute(name: str) -> bool:
    """Whether this names a CloudEvents attribute, and no header beside the envelope."""
    return _ATTRIBUTE.fullmatch(name) is not None


def header_name(prefix: str, name: str) -> str:
    """The header that carries an attribute in binary mode. What is no attribute stands under its
    own name."""
    if name == "datacontenttype":
        return "content-type"
    if name == "traceparent" or not is_attribute(name):
        return name
    return prefix + name


def header_value(text: str) -> str:
    """As CloudEvents puts it where a header may hold plain ASCII alone: the rest, and space, `"`
    and `%`, percent-encoded. So it holds no end of a line."""
    return quote(text, safe=_PLAIN)


def header_text(value: str) -> str:
    """The text of such a value. What is no encoding is left as it stands."""
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        return value


def structured(attributes: Mapping[str, str], body: bytes) -> bytes:
    """One JSON text with these attributes and, as `data`, the body, which is JSON and stays as it
    is."""
    inside = {name: value for name, value in attributes.items() if name != "datacontenttype"}
    head = to_json({**inside, "datacontenttype": "application/json"})
    return head[:-1].encode() + b',"data":' + body + b"}"


def opened(headers: Iterable[tuple[str, str]], body: bytes) -> Delivery:
    """A message as it came, out of its envelope, in whichever mode. One that is none, or broken, is
    left as it is: whoever reads it says what is wrong. A header that stands twice says nothing."""
    found: list[tuple[str, str]] = [(_bare(name.lower()), value) for name, value in headers]
    inside = _in_structure(body)
    if inside is not None:
        attributes, body = inside
        found += attributes
    times = Counter(name for name, _ in found)
    return Delivery(body, {name: value for name, value in found if times[name] == 1})


def _bare(name: str) -> str:
    for prefix in ("ce-", "ce_"):
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def _in_structure(body: bytes) -> tuple[list[tuple[str, str]], bytes] | None:
    """The attributes and the data of a structured envelope, where this is one. The data is of the
    same bytes as it was: by them a command is known again."""
    try:
        members = _members(body.decode())
    except (ValueError, RecursionError):
        return None
    names = [name for name, _, _ in members]
    if names.count("data") != 1 or "data_base64" in names:
        return None
    attributes = [
        (name, value)
        for name, value, _ in members
        if name != "data" and isinstance(value, str) and is_attribute(name)
    ]
    if ("specversion", "1.0") not in attributes:
        return None
    return attributes, next(text for name, _, text in members if name == "data").encode()


class _Number:
    """A number is none of ours: it is not read."""

    def __init__(self, text: str) -> None: ...


def _no_number(text: str) -> Any:
    raise ValueError(f"JSON has no {text}")


_Json = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_no_number)
_SPACE = re.compile(r"[ \t\n\r]*")


def _members(text: str) -> list[tuple[str, Any, str]]:
    """Of the JSON object that this is each member: its name, its value, and the value's own text.
    Raises `ValueError` where it is none."""
    at, members = _after(text, _skip(text, 0), "{"), []
    at = _skip(text, at)
    if text[at : at + 1] != "}":
        while True:
            name, at = _Json.raw_decode(text, _skip(text, at))
            if not isinstance(name, str):
                raise ValueError("a name is no text")
            at = _skip(text, _after(text, _skip(text, at), ":"))
            value, end = _Json.raw_decode(text, at)
            members.append((name, value, text[at:end]))
            at = _skip(text, end)
            if text[at : at + 1] != ",":
                break
            at += 1
    if _skip(text, _after(text, at, "}")) != len(text):
        raise ValueError("something follows the object")
    return members


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return at if space is None else space.end()


def _after(text: str, at: int, mark: str) -> int:
    if not text.startswith(mark, at):
        raise ValueError(f"there is no {mark}")
    return at + 1
