"""Handlers: plain functions, recognised by a decorator or by their name, and called with what their
parameters ask for.

The first parameter is the command's data. The others are asked for by name:

- `db`, the transaction: what that is, the database's adapter says;
- `about`, the command's saga, step, attempt and deadline;
- `result`, of a compensation: what the action returned;
- `outbox`, where events are left that go out if, and only if, the transaction commits.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from .about import About
from .answers import from_json
from .command import BODY_BYTES_MAX, Command, Direction
from .endings import BadData
from .typed import Reader, reader, written

Function = Callable[..., Awaitable[Any]]
F = TypeVar("F", bound=Function)

RESULT_BYTES_MAX = BODY_BYTES_MAX // 4
"""Of an action, as JSON text. Its undo brings it again, beside the data, which may be there twice,
and no body over `BODY_BYTES_MAX` is taken: what is larger could never be undone."""

_ASKED_FOR = ("db", "about", "result", "outbox")
_COMPENSATION_MARK = "__amends_compensation__"


class ResultTooLarge(ValueError):
    """What an action has returned could never be undone."""

    def __init__(self, size: int) -> None:
        super().__init__(
            f"the result has {size} bytes, and may have {RESULT_BYTES_MAX}: keep it elsewhere, and"
            " return a reference to it"
        )


class Handler:
    """A function that carries out one command."""

    def __init__(self, function: Function, direction: Direction, command: str) -> None:
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"the handler of {command} must be an `async def`")
        self.direction: Direction = direction
        self.command = command
        self._function = function
        self._data, self._asked_for, self._result = _parameters(function, direction, command)

    async def act(self, command: Command, **given: Any) -> str:
        """Runs an action: its result as JSON text. Raises `BadData` before anything is done."""
        data = self._read(command, None)
        result = written(await self._function(data, **self._chosen(given)))
        if len(result) > RESULT_BYTES_MAX:
            raise ResultTooLarge(len(result))
        return result

    async def undo(self, command: Command, result_json: str, **given: Any) -> None:
        """Runs a compensation with the action's result."""
        result = from_json(result_json)
        data = self._read(command, result)
        if self._result is not None:
            given["result"] = self._result(result, "the action's result")
        await self._function(data, **self._chosen(given))

    def _read(self, command: Command, result: Any) -> Any:
        if self._data is not None:
            return self._data(command.data, "")
        # As the seed of all sagas knows it: a dict with the command's fields, and those of the
        # data beside them.
        flat = {**command.data} if isinstance(command.data, dict) else {}
        whole = {**flat, **command.body}
        if self.direction == "compensation":
            whole["original_result"] = result
        return whole

    def _chosen(self, given: dict[str, Any]) -> dict[str, Any]:
        return {name: given[name] for name in self._asked_for}


def _parameters(
    function: Function, direction: Direction, command: str
) -> tuple[Reader | None, list[str], Reader | None]:
    """The reader of the data (`None`: the whole command as a dict), what is asked for by name,
    and the reader of the action's result."""
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].name in _ASKED_FOR:
        raise TypeError(f"the handler of {command} must take the command's data first")
    hints = typing.get_type_hints(function, include_extras=True)
    asked_for = []
    for parameter in parameters[1:]:
        if parameter.name not in _ASKED_FOR:
            raise TypeError(
                f"the handler of {command} asks for {parameter.name}, which is none of"
                f" {', '.join(_ASKED_FOR)}"
            )
        if parameter.name == "result" and direction == "action":
            raise TypeError(f"{command} is an action: there is no result yet to give to it")
        asked_for.append(parameter.name)
    first = hints.get(parameters[0].name, dict)
    is_plain = first in (dict, Any) or typing.get_origin(first) is dict
    result = reader(hints.get("result", Any)) if "result" in asked_for else None
    return (None if is_plain else reader(first)), asked_for, result


def compensation(function: F) -> F:
    """Marks a `handle_…` method as a compensation. One that takes `result` is one without it."""
    setattr(function, _COMPENSATION_MARK, True)
    return function


def handlers_of(service: object) -> Iterator[Handler]:
    """Each method `handle_<command in snake case>` of an object."""
    for name, method in inspect.getmembers(service, inspect.ismethod):
        if not name.startswith("handle_"):
            continue
        undoes = getattr(method, _COMPENSATION_MARK, False) or (
            "result" in inspect.signature(method).parameters
        )
        yield Handler(method, "compensation" if undoes else "action", command_name(name[7:]))


def command_name(snake: str) -> str:
    """`reserve_items` is `ReserveItems`."""
    return "".join(word[:1].upper() + word[1:] for word in snake.split("_"))


def snake_case(command: str) -> str:
    """`ReserveItems` is `reserve_items`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", command).lower()


__all__ = ["About", "BadData", "Handler", "compensation", "handlers_of"]
