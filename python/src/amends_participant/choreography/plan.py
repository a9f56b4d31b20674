"""A plan: a choreography as `amends plan FILE` prints it, with all that a service has to know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .expressions import Path, Template, condition_of, template_of

PLAN_FORMAT = 1
"""The form of a plan. A higher one is of a later `amends`, and says what this one cannot know."""

COMPENSATABLE, PIVOT, RETRIABLE, BEST_EFFORT = "compensatable", "pivot", "retriable", "best_effort"


class BadPlan(ValueError):
    """A plan cannot be run here."""


@dataclass(frozen=True)
class Backoff:
    """A capped exponential pause."""

    initial_ms: int
    factor_percent: int
    max_ms: int
    jitter: str

    def pause_ms(self, n: int, jitter: int) -> int:
        """The pause after the n-th try, counted from 1; `jitter` is a random number of 32 bits."""
        factor = max(self.factor_percent, 100)
        pause = min(self.initial_ms, self.max_ms)
        for _ in range(1, n):
            if pause >= self.max_ms or pause == 0 or factor == 100:
                break
            # At least one millisecond longer, or a small pause would never grow.
            pause = min(max(pause * factor // 100, pause + 1), self.max_ms)
        return pause if self.jitter == "none" else (pause + 1) * jitter >> 32


@dataclass(frozen=True)
class Step:
    """One step."""

    name: str
    kind: str
    service: str
    action: str
    compensation: str | None
    after: frozenset[int]
    """The steps that it waits for directly; each stands earlier."""
    deadline_ms: int
    max_attempts: int | None
    backoff: Backoff
    undo_backoff: Backoff
    when: Path | None
    input: Template | None
    flat: bool


@dataclass(frozen=True)
class Plan:
    """A definition that services run among themselves. Steps are known by their places."""

    saga_type: str
    version: int
    definition_hash: str
    deadline_ms: int | None
    arbiter: int
    data_schema: Any
    steps: tuple[Step, ...]
    ancestors: tuple[frozenset[int], ...] = field(repr=False)
    """Of each step all that must be done before it, directly or not."""
    descendants: tuple[frozenset[int], ...] = field(repr=False)

    @classmethod
    def read(cls, text: str | bytes) -> Plan:
        """Reads what `amends plan` has printed; raises `BadPlan`."""
        try:
            return cls.of(json.loads(text))
        except BadPlan:
            raise
        except ValueError as e:
            raise BadPlan(f"a plan is the JSON that `amends plan FILE` prints: {e}") from None

    @classmethod
    def of(cls, plan: Mapping[str, Any]) -> Plan:
        """The same, of what was read as JSON already."""
        if not isinstance(plan, Mapping):
            raise BadPlan("this is no plan, as `amends plan FILE` prints one: it has another shape")
        form = plan.get("plan")
        if isinstance(form, int) and form > PLAN_FORMAT:
            raise BadPlan(
                f"the plan is of the form {form}, and this version of the kit reads up to"
                f" {PLAN_FORMAT}: update amends-participant, or print it with the older `amends`"
            )
        try:
            steps = _steps_of(plan["steps"])
            ancestors, descendants = _closure(steps)
            return cls(
                saga_type=str(plan["saga_type"]),
                version=int(plan["version"]),
                definition_hash=str(plan["definition_hash"]),
                deadline_ms=plan["deadline_ms"],
                arbiter=[step.name for step in steps].index(plan["arbiter"]),
                data_schema=plan["data_schema"],
                steps=steps,
                ancestors=ancestors,
                descendants=descendants,
            )
        except (KeyError, TypeError, AttributeError) as e:
            what = f"it has no {e.args[0]}" if isinstance(e, KeyError) else "it has another shape"
            raise BadPlan(f"this is no plan, as `amends plan FILE` prints one: {what}") from None
        except ValueError as e:
            raise BadPlan(f"the plan of {plan.get('saga_type')} cannot be run here: {e}") from None

    @cached_property
    def services(self) -> tuple[str, ...]:
        """The services that have steps in it, in the order of their first ones."""
        return tuple(dict.fromkeys(step.service for step in self.steps))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {step.name: place for place, step in enumerate(self.steps)}

    def named(self, name: str) -> int | None:
        """The place of a step."""
        return self._places.get(name)

    def steps_of(self, service: str) -> frozenset[int]:
        """The steps of a service."""
        return frozenset(n for n, step in enumerate(self.steps) if step.service == service)

    def behind(self, step: int) -> bool:
        """Does it follow the decision, so that no failure touches it any more?"""
        return step in self.descendants[self.arbiter]

    def undoable(self, step: int) -> bool:
        """May it have to be undone? The arbiter has not: once it ran, nothing is."""
        return step != self.arbiter and self.steps[step].compensation is not None

    def best_effort(self, step: int) -> bool:
        """Can the saga do without it?"""
        return self.steps[step].kind == BEST_EFFORT


def _steps_of(said: Any) -> tuple[Step, ...]:
    places = {each["name"]: n for n, each in enumerate(said)}
    return tuple(_step_of(each, n, places) for n, each in enumerate(said))


def _step_of(said: Mapping[str, Any], place: int, places: Mapping[str, int]) -> Step:
    name, when, template = said["name"], said["when"], said["input"]
    after = frozenset(places[before] for before in said["after"])
    if said["kind"] not in (COMPENSATABLE, PIVOT, RETRIABLE, BEST_EFFORT):
        raise ValueError(f"{name} is of the kind {said['kind']}, which this version does not know")
    if any(before >= place for before in after):
        raise ValueError(f"{name} waits for a step that is not before it")
    return Step(
        name=name,
        kind=said["kind"],
        service=said["service"],
        action=said["action"],
        compensation=said["compensation"],
        after=after,
        deadline_ms=int(said["deadline_ms"]),
        max_attempts=said["retry"]["max_attempts"],
        backoff=Backoff(**said["retry"]["backoff"]),
        undo_backoff=Backoff(**said["undo"]["backoff"]),
        when=None if when is None else condition_of(when, f"{name}.when"),
        input=None if template is None else template_of(template, f"{name}.input"),
        flat=bool(said["flat"]),
    )


Closure = tuple[frozenset[int], ...]


def _closure(steps: tuple[Step, ...]) -> tuple[Closure, Closure]:
    """`after` points backwards only, so one pass does."""
    ancestors: list[frozenset[int]] = []
    for step in steps:
        ancestors.append(step.after.union(*(ancestors[before] for before in step.after)))
    descendants = tuple(
        frozenset(n for n, before in enumerate(ancestors) if place in before)
        for place in range(len(steps))
    )
    return tuple(ancestors), descendants
