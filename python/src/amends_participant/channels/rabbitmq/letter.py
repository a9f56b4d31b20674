"""A message in AMQP's form, either way."""

from __future__ import annotations

from typing import Any

from aiormq import spec
from aiormq.abc import DeliveredMessage

from ...messages.channel import Delivery, Outgoing
from ..envelope import CLOUDEVENTS_JSON, REASON, header_name, is_attribute, opened, structured

REASON_BYTES_MAX = 4 * 1024
"""How long a reason may be: it says what is wrong, and need not quote it."""

HEADERS_BYTES_MAX = 64 * 1024
"""How much of the headers of a message that is put aside is kept. They stand in one frame with the
reason, of 128 KiB unless the server is set otherwise, and one that is larger ends the
connection."""

PERSISTENT = 2
"""On disk, also where a queue keeps others in memory."""

SHORT_BYTES_MAX = 255
"""What AMQP calls a short text."""

_BINARY_PREFIXES = ("cloudevents:", "cloudevents_")
"""What CloudEvents calls its attributes over AMQP in binary mode, which we take and do not send."""

_ROUTES = ("CC", "BCC")
"""What would send a message elsewhere."""


def outgoing(message: Outgoing) -> tuple[spec.Basic.Properties, bytes]:
    """A message as it leaves. One with attributes is an event, and they stand in its body; headers
    beside them are headers here, too."""
    is_event = "specversion" in message.attributes
    inside = {n: v for n, v in message.attributes.items() if is_event and is_attribute(n)}
    beside = {n: v for n, v in message.attributes.items() if n not in inside}
    properties = spec.Basic.Properties(
        content_type=CLOUDEVENTS_JSON if is_event else "application/json",
        delivery_mode=PERSISTENT,
        headers={header_name("ce-", name): value for name, value in beside.items()},
        # For whoever looks at a queue. There is no expiration: a message waits as long as it must.
        message_id=_short(message.id),
        correlation_id=_short(message.saga_id),
        message_type=_short(message.name),
    )
    return properties, structured(inside, message.body) if is_event else message.body


def incoming(message: DeliveredMessage) -> Delivery:
    """A message as it came, out of its envelope."""
    properties = message.header.properties
    headers = [
        (_named(name.lower()), value)
        for name, value in (properties.headers or {}).items()
        if isinstance(value, str)  # what else the server adds is its own business
    ]
    kind = properties.content_type
    if isinstance(kind, str) and not kind.startswith("application/cloudevents"):
        headers.append(("content-type", kind))
    return opened(headers, message.body)


def _named(name: str) -> str:
    for prefix in _BINARY_PREFIXES:
        if name.startswith(prefix):
            return header_name("ce-", name[len(prefix) :])
    return name


def put_aside(message: DeliveredMessage, reason: str) -> spec.Basic.Properties:
    """A message as it is put aside: as it came, with the reason. What would send it elsewhere or
    have it expire, or names another user than us, stays behind."""
    came = message.header.properties
    headers: dict[str, Any] = {}
    left = HEADERS_BYTES_MAX
    for name, value in (came.headers or {}).items():
        size = len(name.encode()) + _bytes(value)
        if size <= left and name not in _ROUTES:
            left -= size
            headers[name] = value
    headers[REASON] = reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore")
    return spec.Basic.Properties(
        content_type=came.content_type,
        delivery_mode=PERSISTENT,
        headers=headers,
        message_id=came.message_id,
        correlation_id=came.correlation_id,
        message_type=came.message_type,
    )


def _bytes(value: Any) -> int:
    """About as many as it takes up on the wire."""
    plain = 9
    if isinstance(value, str):
        return len(value.encode()) + plain
    if isinstance(value, (bytes, bytearray)):
        return len(value) + plain
    if isinstance(value, (list, tuple)):
        return sum(_bytes(one) for one in value) + plain
    if isinstance(value, dict):
        return sum(len(str(name).encode()) + _bytes(one) for name, one in value.items()) + plain
    return plain


def _short(text: str) -> str | None:
    return text if len(text.encode()) <= SHORT_BYTES_MAX else None
