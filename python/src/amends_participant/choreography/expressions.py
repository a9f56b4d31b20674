"""A plan's expressions: constants, and plain paths such as `${ data.order.total }`.

More than that is CEL, which this kit does not evaluate: two readers of one language that differ in
the least would have two copies of a service ask for different things.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Union

from . import raw

INPUT_BYTES_MAX = 256 * 1024
"""The largest input of a command."""

ROOTS = ("data", "result", "saga")

_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\s*\.\s*[A-Za-z_][A-Za-z0-9_]*)*")


class NoValue(Exception):
    """An expression has no value here. It names no value, only the place and the path."""


class Beyond(ValueError):
    """An expression is more than a path."""

    def __init__(self, place: str, expression: str) -> None:
        super().__init__(
            f"{place}: ${{ {expression} }} is more than this kit evaluates, which is paths such as"
            " ${ data.order.total } or ${ result.reserve.ref }; compute it in the service, or run"
            " this service behind `amends sidecar`, which evaluates all of them"
        )


@dataclass(frozen=True)
class Path:
    """`data.order.total`."""

    place: str
    text: str
    root: str
    names: tuple[str, ...]

    def value(self, scope: Mapping[str, Any]) -> Any:
        """What stands there."""
        value = scope[self.root]
        for name in self.names:
            if not isinstance(value, dict) or name not in value:
                raise self.without(f"there is no field `{name}`")
            value = value[name]
        return value

    def without(self, why: str) -> NoValue:
        """It has no value."""
        return NoValue(f"{self.place}: ${{ {self.text} }}: {why}")


@dataclass(frozen=True)
class Constant:
    """It is what it says."""

    value: Any


@dataclass(frozen=True)
class Text:
    """Text with paths in it."""

    pieces: tuple[Union[str, Path], ...]


@dataclass(frozen=True)
class Items:
    """A list of templates."""

    items: tuple[Template, ...]


@dataclass(frozen=True)
class Fields:
    """An object of templates."""

    fields: tuple[tuple[str, Template], ...]


Template = Union[Path, Constant, Text, Items, Fields]


def template_of(value: Any, place: str) -> Template:
    """A template as a plan says it; raises `Beyond`."""
    if isinstance(value, dict):
        return Fields(tuple((name, template_of(each, place)) for name, each in value.items()))
    if isinstance(value, list):
        return Items(tuple(template_of(each, place) for each in value))
    if not isinstance(value, str) or "${" not in value:
        return Constant(value)
    pieces = _pieces(value, place)
    apart = [piece for piece in pieces if not (isinstance(piece, str) and not piece.strip())]
    if len(apart) == 1 and isinstance(apart[0], Path):
        return apart[0]
    return Text(tuple(pieces))


def condition_of(text: str, place: str) -> Path:
    """What a plan says as `when`; raises `Beyond`."""
    template = template_of(text, place)
    if not isinstance(template, Path):
        raise Beyond(place, text)
    return template


def holds(condition: Path, scope: Mapping[str, Any]) -> bool:
    """Does it hold? Raises `NoValue`."""
    value = condition.value(scope)
    if not isinstance(value, bool):
        raise condition.without("the value is neither true nor false")
    return value


def filled(template: Template, scope: Mapping[str, Any]) -> str:
    """A template with its values in it, as JSON; raises `NoValue`."""
    text = raw.plain(_filled(template, scope))
    if len(text.encode(errors="replace")) > INPUT_BYTES_MAX:
        first = next(_paths(template), None)
        why = f"the input has more than {INPUT_BYTES_MAX} bytes"
        raise NoValue(why) if first is None else first.without(why)
    return text


def _filled(template: Template, scope: Mapping[str, Any]) -> Any:
    if isinstance(template, Constant):
        return template.value
    if isinstance(template, Path):
        return _written(template.value(scope))
    if isinstance(template, Text):
        return "".join(
            piece if isinstance(piece, str) else _as_text(piece, scope) for piece in template.pieces
        )
    if isinstance(template, Items):
        return [_filled(each, scope) for each in template.items]
    return {name: _filled(each, scope) for name, each in template.fields}


def _written(value: Any) -> Any:
    """A number of more digits than Python writes as the float that others read."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _written(each) for name, each in value.items()}
    return [_written(each) for each in value] if isinstance(value, list) else value


def _as_text(path: Path, scope: Mapping[str, Any]) -> str:
    value = path.value(scope)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return _number(value)
    raise path.without("the value has no text form")


def _number(value: int | float | Decimal) -> str:
    """As the other kits write it: `1e21`, where Python has `1e+21`."""
    # Beyond 64 bits they have floats.
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return str(value)
    text = repr(float(value))
    if "e" not in text:
        return text
    digits, _, exponent = text.partition("e")
    if int(exponent) == -5:
        sign = "-" if digits.startswith("-") else ""
        return f"{sign}0.0000{digits.lstrip('-').replace('.', '')}"
    return f"{digits}e{int(exponent)}"


def _pieces(text: str, place: str) -> list[str | Path]:
    pieces: list[str | Path] = []
    rest = text
    while "${" in rest:
        before, _, after = rest.partition("${")
        inner, brace, rest = after.partition("}")
        expression = inner.strip()
        if not brace or not _PATH.fullmatch(expression):
            raise Beyond(place, expression)
        root, *names = re.split(r"\s*\.\s*", expression)
        if root not in ROOTS:
            raise Beyond(place, expression)
        if before:
            pieces.append(before)
        pieces.append(Path(place, expression, root, tuple(names)))
    return [*pieces, rest] if rest else pieces


def _paths(template: Template) -> Any:
    if isinstance(template, Path):
        yield template
    elif isinstance(template, Text):
        yield from (piece for piece in template.pieces if isinstance(piece, Path))
    elif isinstance(template, Items):
        for each in template.items:
            yield from _paths(each)
    elif isinstance(template, Fields):
        for _, each in template.fields:
            yield from _paths(each)
