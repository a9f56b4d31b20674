"""What a service has to do now, and what it asks its handler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..command import Direction
from . import raw
from .event import Reason
from .expressions import INPUT_BYTES_MAX, NoValue, filled, holds
from .record import Clock, Record
from .rules import Owed, Run, Undo
from .service import Service

_OURS = frozenset(
    ("saga_id", "saga_type", "step_name", "direction", "command", "idempotency_key", "data")
)
_OURS_OF_AN_UNDO = _OURS | {"action_key", "outcome", "original_result"}


@dataclass(frozen=True)
class Task:
    """An own step that is to be run, or undone."""

    step: int
    direction: Direction
    attempt: int
    """From 1."""
    deadline: int | None
    """When the step's time is over, in Unix milliseconds; none for an undo."""


class Unprepared(Exception):
    """An expression has no value, or the command would be too large."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.message)
        self.reason = reason


def tasks(service: Service, record: Record, now: int) -> Iterator[Task]:
    """What is to be done now."""
    # Of what it was never told to do it knows no data.
    if record.data is None:
        return
    for owed in record.part.owed(service.of, service.mine):
        clock = record.clocks.get(owed.step, Clock())
        if clock.again_at is not None and clock.again_at > now:
            continue
        if isinstance(owed, Undo):
            yield Task(owed.step, "compensation", clock.tries + 1, None)
        else:
            ends_in = service.of.steps[owed.step].deadline_ms
            deadline = None if clock.ready_at is None else clock.ready_at + ends_in
            yield Task(owed.step, "action", clock.tries + 1, deadline)


def owes(service: Service, record: Record, step: int, direction: Direction) -> bool:
    """Is it still to be done?"""
    owed: Owed = Run(step) if direction == "action" else Undo(step)
    all_owed = record.part.owed(service.of, service.mine)
    return any(type(one) is type(owed) and one == owed for one in all_owed)


def prepare(service: Service, record: Record, step: int, direction: Direction) -> bytes | None:
    """The command that its handler is asked by, the same bytes as a coordinator would send; `None`
    where its condition does not hold. The step's expressions are evaluated once, when they are
    first needed, and kept in the record. Raises `Unprepared`."""
    if direction == "action" and step not in record.asked and _is_skipped(service, record, step):
        return None
    return _body(service, record, step, direction)


def _is_skipped(service: Service, record: Record, step: int) -> bool:
    """Evaluates what the step says of its command: is it passed over?"""
    of_step = service.of.steps[step]
    if of_step.when is None and of_step.input is None:
        return False
    scope: dict[str, Any] = {
        "data": raw.value_of(record.data or "{}"),
        # Those of the steps before it: what others have, not all services have heard alike.
        "result": {
            service.of.steps[before].name: _result(record, before)
            for before in sorted(service.of.ancestors[step])
        },
        "saga": {"id": record.saga_id, "type": service.of.saga_type},
    }
    try:
        if of_step.when is not None and not holds(of_step.when, scope):
            return True
        if of_step.input is not None:
            record.asked[step] = filled(of_step.input, scope)
    except NoValue as e:
        raise Unprepared(Reason.of("EXPRESSION", str(e))) from None
    return False


def _result(record: Record, step: int) -> Any:
    text = None if step in record.part.waived else record.results.get(step)
    return None if text is None else raw.value_of(text)


def _body(service: Service, record: Record, step: int, direction: Direction) -> bytes:
    of_step = service.of.steps[step]
    data = record.asked.get(step) or record.data or "{}"
    if len(data.encode(errors="replace")) > INPUT_BYTES_MAX:
        why = f"the input has more than {INPUT_BYTES_MAX} bytes"
        raise Unprepared(Reason.of("TOO_LARGE", why))
    is_undo = direction == "compensation"
    command = of_step.compensation if is_undo else of_step.action
    key = f"{record.saga_id}/{of_step.name}/{direction}"
    # Who has stored a refusal would say it again.
    refusals = record.clocks.get(step, Clock()).refusals
    said = {
        "saga_id": record.saga_id,
        "saga_type": service.of.saga_type,
        "step_name": of_step.name,
        "direction": direction,
        "command": f"{service.name}.{command}",
        "idempotency_key": key if refusals == 0 else f"{key}/{refusals + 1}",
    }
    texts = [f'"{name}":{raw.plain(text)}' for name, text in said.items()]
    texts.append(f'"data":{data}')
    if is_undo:
        texts.append(f'"action_key":{raw.plain(f"{record.saga_id}/{of_step.name}/action")}')
        texts.append('"outcome":"completed"')
        texts.append(f'"original_result":{record.results.get(step, "null")}')
    if of_step.flat:
        ours = _OURS_OF_AN_UNDO if is_undo else _OURS
        for member in raw.each_member(data):
            if member.name not in ours:
                texts.append(f"{member.key}:{member.text}")
    return ("{" + ",".join(texts) + "}").encode()
