"""The headers of a message as it is put aside."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..envelope import REASON, header_value

MESSAGE_ID = "Nats-Msg-Id"
"""The server drops a second message of the same id."""

TO_THE_SERVER = "nats-"
"""Headers that tell the server what to do with a message, and were meant for where it lay: one that
says which message has to be the last refuses it for ever."""


def put_aside(
    came: Mapping[str, str], reason: str, room: Callable[[dict[str, str]], int]
) -> dict[str, str]:
    """As they came, with the reason, as far as there is room: `room` tells how much of it such
    headers leave."""
    headers = {
        name: value
        for name, value in came.items()
        if not name.lower().startswith(TO_THE_SERVER) and name.lower() != REASON
    }
    if room(headers) < 0:
        # The server took them in a shorter spelling.
        headers = {}
    if MESSAGE_ID in came:
        # Another message than the one that lies on the subject that it came from.
        known = {**headers, MESSAGE_ID: f"{came[MESSAGE_ID]}/dead-letter"}
        headers = known if room(known) >= 0 else headers
    why = _shortened(reason, room({**headers, REASON: ""}))
    return {**headers, REASON: why} if why else headers


def _shortened(reason: str, bytes_max: int) -> str:
    """As much of it as is no longer than this once it is encoded."""
    kept = ""
    for character in reason:
        encoded = header_value(character)
        if len(kept) + len(encoded) > bytes_max:
            break
        kept += encoded
    return kept
