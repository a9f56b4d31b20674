"""A command as it comes in: its bytes, checked for what the guard relies on."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal, NoReturn

BODY_BYTES_MAX = 1024 * 1024
"""The engine sends no input over 256 KiB, twice at most in a body."""

STEP_CHARS_MAX = 80
"""As wide as the column."""

ROUND_MAX = 65_535
"""The engine counts rounds in 16 bits."""

Direction = Literal["action", "compensation"]


class NotACommand(Exception):
    """The body breaks the participant protocol. The text says what to send instead; it repeats
    names of fields, never their values."""


@dataclass(frozen=True)
class Command:
    """What stands in a command's body."""

    saga_id: str
    saga_type: str
    step: str
    direction: Direction
    service: str
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

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Sending:
        """From headers by lower-case name. What cannot be read is as if it were not there: the
        guard does not rely on it."""
        attempt = headers.get("amends-attempt", "")
        traceparent = headers.get("traceparent", "")
        return cls(
            attempt=int(attempt) if re.fullmatch("[0-9]{1,9}", attempt) else None,
            deadline=_instant(headers.get("amends-deadline", headers.get("expirytime", ""))),
            traceparent=traceparent if _TRACEPARENT.fullmatch(traceparent) else None,
        )


UNSAID = Sending()
"""A sending of which nothing is known."""

_TRACEPARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}[!-~]{0,64}")


def read_command(raw: bytes) -> Command:
    """Reads a body, or raises `NotACommand`."""
    body = _object(raw)
    saga_id, step = _text(body, "saga_id"), _text(body, "step_name")
    direction = _text(body, "direction")
    if direction != "action" and direction != "compensation":
        raise NotACommand("direction is neither action nor compensation")
    if not _is_saga_id(saga_id):
        raise NotACommand("saga_id is no UUID in its hyphenated lower-case form")
    if len(step) > STEP_CHARS_MAX or not step.isprintable() or step != step.strip():
        raise NotACommand(f"step_name is no plain text of at most {STEP_CHARS_MAX} characters")
    service, dot, name = _text(body, "command").rpartition(".")
    if not dot or not service or not name:
        raise NotACommand("command does not read <Service>.<Command>")
    if "data" not in body:
        raise NotACommand("the body has no field data")
    outcome = _text(body, "outcome") if direction == "compensation" else ""
    if direction == "compensation" and outcome not in ("completed", "unknown"):
        raise NotACommand("outcome is neither completed nor unknown")
    key = _text(body, "idempotency_key")
    saga_type = body.get("saga_type")
    return Command(
        saga_id=saga_id,
        saga_type=saga_type if isinstance(saga_type, str) else "",
        step=step,
        direction="action" if direction == "action" else "compensation",
        service=service,
        name=name,
        round=_round(key, f"{saga_id}/{step}/{direction}"),
        key=key,
        body_sha256=hashlib.sha256(raw).digest(),
        data=body["data"],
        outcome=outcome,
        original_result=body.get("original_result"),
        body=body,
    )


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw.decode(), parse_constant=_no_number)
    except UnicodeDecodeError:
        raise NotACommand("the body is not UTF-8") from None
    except json.JSONDecodeError as e:
        raise NotACommand(f"the body is not JSON: {e.msg} at character {e.pos}") from None
    except (ValueError, RecursionError):
        raise NotACommand("the body is not JSON that can be read") from None
    if not isinstance(body, dict):
        raise NotACommand("the body is not a JSON object")
    return body


def _no_number(constant: str) -> NoReturn:
    raise ValueError(constant)


def _text(body: dict[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value:
        raise NotACommand(f"the body has no text field {field}")
    return value


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
    raise NotACommand("idempotency_key does not belong to saga_id, step_name and direction")


def _instant(text: str) -> datetime | None:
    try:
        # Python 3.10 does not read the Z.
        instant = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)
