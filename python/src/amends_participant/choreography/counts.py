"""How much was heard, and what came of it: for a service's metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counts:
    """How much was heard, and what came of it. Each only grows."""

    heard: int = 0
    """Events that were taken in, new or not."""
    others: int = 0
    """Messages at the same place that are about something else."""
    damaged: int = 0
    """Events that are damaged; they are among the dead letters."""
    contradicted: int = 0
    """Events that contradict what this service knows, or name a step that there is not; they are
    among the dead letters."""
    put_off: int = 0
    """How often an event was put off that is of a definition, or in a form, which this service does
    not have."""
    late: int = 0
    """Steps that were not done in their time, this service's own and those that it waits for."""
    in_vain: int = 0
    """Attempts at an own step, or at its undo, that came to nothing."""
