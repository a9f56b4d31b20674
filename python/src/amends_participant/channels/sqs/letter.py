"""A message in SQS's form, either way."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...messages.channel import Delivery, Outgoing
from ..envelope import REASON, is_attribute, opened, structured
from ..errors import ChannelError
from .characters import as_taken, is_taken, restored, sendable

REASON_BYTES_MAX = 4 * 1024
"""How long a reason may be: it says what is wrong, and need not quote it."""

HEADERS_MAX = 10
"""How many headers a message may have beside its envelope."""

HEADER_NAME_MAX = 256

TOKEN_MAX = 128
"""How long a group's name or a message's id may be."""

_TOKEN_SHOWN = 60
_TEXT = "String"
_NAME = re.compile(r"(?!\.)(?!.*\.\.)(?!aws\.)(?!amazon\.)[A-Za-z0-9_.-]+(?<!\.)", re.I)


@dataclass(frozen=True)
class Letter:
    """A message as it is sent."""

    body: str
    headers: dict[str, Any]
    group: str
    """Whose it is: what is of one group keeps its order."""
    id: str
    """What is known for five minutes."""

    @property
    def bytes(self) -> int:
        """As many as SQS counts."""
        return len(self.body.encode()) + sum(_bytes(n, v) for n, v in self.headers.items())


def outgoing(message: Outgoing) -> Letter:
    """A message as it leaves. One with attributes is an event, and they stand in its body; headers
    beside them are headers here, too."""
    is_event = "specversion" in message.attributes
    inside = {n: v for n, v in message.attributes.items() if is_event and is_attribute(n)}
    beside = {n: v for n, v in message.attributes.items() if n not in inside}
    if "traceparent" in inside:
        # For whoever follows a trace and opens no envelope.
        beside["traceparent"] = inside["traceparent"]
    headers = {n: _text(v) for n, v in beside.items() if _is_header(n, v)}
    if len(headers) > HEADERS_MAX:
        raise ChannelError(
            f"SQS takes {HEADERS_MAX} headers beside a message, and this one has {len(headers)}"
        )
    body = structured(inside, message.body) if is_event else message.body
    return Letter(sendable(body), headers, _token(message.saga_id), _token(message.id))


def incoming(message: Mapping[str, Any]) -> Delivery:
    """A message as it came, out of its envelope. What stands both inside and beside counts as
    inside."""
    body = restored(message.get("Body", "")).encode()
    inside = opened((), body)
    beside = opened(
        (
            (name, value["StringValue"])
            for name, value in message.get("MessageAttributes", {}).items()
            if isinstance(value.get("StringValue"), str)  # bytes are none of the protocol's
        ),
        b"",
    )
    return Delivery(inside.body, {**beside.attributes, **inside.attributes})


def put_aside(message: Mapping[str, Any], reason: str, bytes_max: int) -> Letter:
    """A message as it is put aside: as it came, with the reason, as far as both fit into this many
    bytes."""
    own = message.get("MessageId", "")
    group = message.get("Attributes", {}).get("MessageGroupId", own)
    letter = Letter(message.get("Body", ""), {}, group, f"{own}/dead-letter")
    room = bytes_max - letter.bytes - len(REASON) - len(_TEXT)
    cut = as_taken(reason).encode()[: max(0, min(REASON_BYTES_MAX, room))]
    if text := cut.decode(errors="ignore"):
        letter.headers[REASON] = _text(text)
    for name, value in message.get("MessageAttributes", {}).items():
        fits = letter.bytes + _bytes(name, value) <= bytes_max
        if fits and len(letter.headers) < HEADERS_MAX and name != REASON:
            letter.headers[name] = value
    return letter


def _is_header(name: str, value: str) -> bool:
    """One that SQS cannot say is none of the protocol's."""
    is_named = len(name) <= HEADER_NAME_MAX and _NAME.fullmatch(name) is not None
    return is_named and bool(value) and is_taken(value)


def _text(value: str) -> dict[str, str]:
    return {"DataType": _TEXT, "StringValue": value}


def _bytes(name: str, value: Mapping[str, Any]) -> int:
    text, binary = value.get("StringValue") or "", value.get("BinaryValue") or b""
    return len(name.encode()) + len(value["DataType"]) + len(text.encode()) + len(binary)


def _token(said: str) -> str:
    """A name for a group, or an id, that SQS takes: what it does not take is told apart by its
    hash."""
    plain = "".join(c for c in said if "!" <= c <= "~")
    if said == plain and 1 <= len(said) <= TOKEN_MAX:
        return said
    return f"{plain[:_TOKEN_SHOWN]}~{hashlib.sha256(said.encode()).hexdigest()}"
