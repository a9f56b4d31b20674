"""A command as it comes in: its bytes, checked for what the guard relies on."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from .fields import Fields, NotACommand

BODY_BYTES_MAX = 1024 * 1024
"""The engine sends no input over 256 KiB, twice at most in a body."""

COMMAND_CHARS_MAX = 200
"""A definition's names have 64 bytes each. It goes into logs, and back to its sender."""

STEP_CHARS_MAX = 80
"""As wide as the column."""

ROUND_MAX = 65_535
"""The engine counts rounds in 16 bits."""

Direction = Literal["action", "compensation"]


@dataclass(frozen=True)
class Command:
    """What stands in a command's body."""

    saga_id: str
    saga_type: str
    step: str
    direction: Direction
    name: str
    round: int
    key: str
    body_sha256: bytes
    data: Any
    outcome: str
    """Of a compensation: what the sender knows of the action, `completed` or `unknown`."""
    original_result: Any
    body: dict[str, Any]


@dataclass(frozen=True)
class Sending:
    """The facts of one sending: another for each attempt of the same command."""

    attempt: int | None = None
    deadline: datetime | None = None
    traceparent: str | None = None
    saga_id: str | None = None
    """For the log alone, of what has no body that says it."""

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Sending:
        """From headers by lower-case name. What cannot be read is as if it were not there: the
        guard does not rely on it."""
        attempt = headers.get("amends-attempt", "")
        if not _ATTEMPT.fullmatch(attempt):
            attempt = _attempt_of_id(headers)
        traceparent = headers.get("traceparent", "")
        saga_id = next((headers[name] for name in _CORRELATION_IDS if name in headers), "")
        return cls(
            attempt=int(attempt) if _ATTEMPT.fullmatch(attempt) else None,
            deadline=_instant(headers.get("amends-deadline", headers.get("expirytime", ""))),
            traceparent=traceparent if _TRACEPARENT.fullmatch(traceparent) else None,
            saga_id=saga_id if _is_saga_id(saga_id) else None,
        )


UNSAID = Sending()
"""A sending of which nothing is known."""

_ATTEMPT = re.compile("[0-9]{1,9}")
_CORRELATION_IDS = ("ce-correlationid", "ce_correlationid", "correlationid")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_KEY = re.compile("[0-9a-f-]{36}/.+/(action|compensation)(/[0-9]{1,5})?", re.DOTALL)
_TRACEPARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}[!-~]{0,64}")


def read_command(raw: bytes, service: str, path: str | None = None) -> Command:
    """Reads a command for a service, or raises `NotACommand`. `path` is its name as the transport
    knows it, where it does. Of two mistakes the first is said, in the order of docs/guard.md."""
    fields = Fields(raw)
    name = _own_name(fields.text("command"), service)
    if path is not None and path != name:
        what = f"the body's command is {quoted(name)}, the path's is another"
        raise NotACommand("WRONG_PATH", what)
    saga_id, step, direction = _saga_id(fields), _step(fields), _direction(fields)
    key = fields.text("idempotency_key")
    round = _round(key, f"{saga_id}/{step}/{direction}")
    outcome, original_result = "", None
    if direction == "compensation":
        outcome = fields.text("outcome")
        if outcome not in ("completed", "unknown"):
            raise _bad_field("outcome is neither completed nor unknown")
        original_result = fields.value("original_result")
    return Command(
        saga_id=saga_id,
        saga_type=fields.text("saga_type"),
        step=step,
        direction=direction,
        name=name,
        round=round,
        key=key,
        body_sha256=hashlib.sha256(raw).digest(),
        data=fields.value("data"),
        outcome=outcome,
        original_result=original_result,
        body=fields.all,
    )


def saga_of(raw: bytes) -> str | None:
    """Whose command it would be, of what is none, as far as that can be read."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    saga_id = body.get("saga_id") if isinstance(body, dict) else None
    return saga_id if isinstance(saga_id, str) and _is_saga_id(saga_id) else None


def quoted(name: str) -> str:
    """As it may stand in a log: a name of somebody else's making begins no line there."""
    return json.dumps(name)


def _own_name(command: str, service: str) -> str:
    if len(command) > COMMAND_CHARS_MAX:
        raise _bad_field(f"command has over {COMMAND_CHARS_MAX} characters")
    owner, _, name = command.rpartition(".")
    if not owner or not name:
        raise _bad_field(f"command is {quoted(command)}; it reads <Service>.<Command>")
    if owner != service:
        what = f"the command is of {quoted(owner)}, and this is {service}: see where it is sent"
        raise NotACommand("FOREIGN_COMMAND", what)
    return name


def _saga_id(fields: Fields) -> str:
    saga_id = fields.text("saga_id")
    if not _is_saga_id(saga_id):
        raise _bad_field("saga_id is no UUID in lower case with hyphens")
    return saga_id


def _step(fields: Fields) -> str:
    step = fields.text("step_name")
    # White space at an end or a control character is the same to some databases as none.
    if len(step) > STEP_CHARS_MAX or step != step.strip() or _CONTROL.search(step):
        raise _bad_field(
            f"step_name must have at most {STEP_CHARS_MAX} characters, none of them a control"
            " character, and no space at its ends"
        )
    return step


def _direction(fields: Fields) -> Direction:
    direction = fields.text("direction")
    if direction == "action":
        return "action"
    if direction == "compensation":
        return "compensation"
    raise _bad_field("direction is neither action nor compensation")


def _bad_field(what: str) -> NotACommand:
    return NotACommand("BAD_FIELD", f"the body's {what}")


def _is_saga_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _round(key: str, command: str) -> int:
    """One command has one key: `/1` and `/02` are nobody's."""
    if key == command:
        return 1
    rest = key[len(command) + 1 :] if key.startswith(command + "/") else ""
    if re.fullmatch("[1-9][0-9]{0,4}", rest) and 2 <= int(rest) <= ROUND_MAX:
        return int(rest)
    raise NotACommand(
        "BAD_KEY",
        "the body's idempotency_key is not that of its saga_id, step_name and direction:"
        " <saga_id>/<step_name>/<direction>, and /<round> from the second round on",
    )


def _attempt_of_id(headers: Mapping[str, str]) -> str:
    """A sending's CloudEvents id is `<key>:<attempt>`, which is all that says it by message."""
    id_ = next((headers[name] for name in ("ce-id", "ce_id", "id") if name in headers), "")
    key, _, attempt = id_.rpartition(":")
    return attempt if _KEY.fullmatch(key) else ""


def _instant(text: str) -> datetime | None:
    try:
        # Python 3.10 does not read the Z.
        instant = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)
