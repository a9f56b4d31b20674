"""Replies by name: what an answer is called and looks like over a broker."""

from __future__ import annotations

from typing import Any

from ..about import About
from ..answers import Answer, Completed, RefusedWith, Transient, UndoAnswered, to_json


def reply_of(about: About, answer: Answer) -> tuple[str, str]:
    """The reply's name and its body; of a breach, or where nobody knows, there is none."""
    body: dict[str, Any] = {
        "saga_id": about.saga_id,
        "step_name": about.step,
        "idempotency_key": about.idempotency_key,
    }
    if about.attempt is not None:
        body["attempt"] = about.attempt
    is_undo = about.direction == "compensation"
    if isinstance(answer, Completed):
        name, last, raw = "SagaStepCompleted", "result", answer.result
    elif isinstance(answer, UndoAnswered):
        name, last, raw = "SagaCompensationCompleted", "undone", to_json(answer.undone)
    elif isinstance(answer, RefusedWith):
        name, last, raw = "SagaStepFailed", "error", answer.error
    elif isinstance(answer, Transient):
        name = "SagaCompensationFailed" if is_undo else "SagaStepFailed"
        body["retryable"] = True
        last, raw = "error", to_json({"code": answer.code, "message": answer.message})
    else:
        raise TypeError(f"{type(answer).__name__} has no reply")
    # Stored texts go out byte for byte: no number is read.
    head = to_json({"type": name, **body})
    return name, f'{head[:-1]},"{last}":{raw}}}'
