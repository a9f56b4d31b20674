"""From JSON to the type that a handler says, and from what it returns back to JSON.

Dataclasses, TypedDicts, enums and the plain types are read by what stands here; a pydantic model
reads itself. An annotation that cannot be read is an error when the handler is registered, not
when the first command comes. Fields that the type does not name are passed over: a command carries
all of the saga's data.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Union

from .answers import to_json
from .endings import BadData

Reader = Callable[[Any, str], Any]
"""Takes a JSON value and its place, gives the typed value or raises `BadData`."""

_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")
"""JSON's escapes can write one. No database takes it, nor any other reader of JSON."""

_PLAIN: dict[Any, tuple[type | tuple[type, ...], str]] = {
    str: (str, "a text"),
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),  # 3 is one, and stays what it is
    type(None): (type(None), "null"),
}


def reader(annotation: Any) -> Reader:
    """The reader of an annotation, or `TypeError`."""
    return _Readers().of(annotation)


def written(value: Any) -> str:
    """What a handler returned, as JSON text; `TypeError` or `ValueError` if it cannot be."""
    return to_json(_plain(value))


class _Readers:
    """A type may name itself: what is being built is handed out as a promise."""

    def __init__(self) -> None:
        self._built: dict[Any, Reader] = {}

    def of(self, annotation: Any) -> Reader:
        if annotation is Any or annotation is object:
            return lambda value, place: value
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if annotation is None:
            annotation = type(None)
        if annotation in _PLAIN:
            return _plain_reader(annotation)
        if origin is typing.Annotated:
            return self.of(arguments[0])
        if origin is Union or origin is types.UnionType:
            return self._union(arguments)
        if origin is typing.Literal:
            return _literal(arguments)
        if annotation in (list, Sequence) or origin in (list, Sequence):
            return self._list(arguments[0] if arguments else Any)
        if annotation in (dict, Mapping) or origin in (dict, Mapping):
            key, value = arguments or (str, Any)
            if key is str:
                return self._dict(value)
        if isinstance(annotation, type):
            return self._class(annotation)
        raise TypeError(
            f"{_name(annotation)} cannot be read from JSON; use a dataclass, a"
            " TypedDict, a pydantic model, or dict"
        )

    def _class(self, cls: Any) -> Reader:
        if cls in self._built:
            return lambda value, place: self._built[cls](value, place)
        if hasattr(cls, "model_validate"):
            return _pydantic(cls)
        if issubclass(cls, enum.Enum):
            return _enum(cls)
        if dataclasses.is_dataclass(cls) or _is_typed_dict(cls):
            self._built[cls] = lambda value, place: value  # a promise, until it is built
            self._built[cls] = self._fields(cls)
            return self._built[cls]
        raise TypeError(
            f"{_name(cls)} cannot be read from JSON; use a dataclass, a TypedDict,"
            " a pydantic model, or dict"
        )

    def _fields(self, cls: Any) -> Reader:
        hints = typing.get_type_hints(cls, include_extras=True)
        if _is_typed_dict(cls):
            names = list(hints)
            # Not `__required_keys__`: where annotations are texts it takes all for required.
            required = {n for n in names if _is_required(hints[n], n in cls.__required_keys__)}
        else:
            fields = [field for field in dataclasses.fields(cls) if field.init]
            names = [field.name for field in fields]
            required = {
                field.name
                for field in fields
                if field.default is dataclasses.MISSING
                and field.default_factory is dataclasses.MISSING
            }
        readers = {name: self.of(_bare(hints[name])) for name in names}

        def read(value: Any, place: str) -> Any:
            if not isinstance(value, dict):
                raise _expected("an object", value, place)
            found = {}
            for name, read_field in readers.items():
                inner = f"{place}.{name}" if place else name
                if name in value:
                    found[name] = read_field(value[name], inner)
                elif name in required:
                    raise BadData(f"{inner} is missing")
            try:
                return cls(**found)
            except (TypeError, ValueError) as e:  # of its own __post_init__
                raise BadData(f"{place or 'the data'}: {type(e).__name__}") from e

        return read

    def _union(self, arguments: tuple[Any, ...]) -> Reader:
        readers = [self.of(argument) for argument in arguments]
        if type(None) in arguments and len(readers) == 2:
            inner = readers[1 - arguments.index(type(None))]
            return lambda value, place: None if value is None else inner(value, place)

        def read(value: Any, place: str) -> Any:
            for read_one in readers:
                try:
                    return read_one(value, place)
                except BadData:
                    continue
            names = " or ".join(_name(argument) for argument in arguments)
            raise _expected(names, value, place)

        return read

    def _list(self, item: Any) -> Reader:
        read_item = self.of(item)

        def read(value: Any, place: str) -> Any:
            if not isinstance(value, list):
                raise _expected("a list", value, place)
            return [read_item(each, f"{place}[{n}]") for n, each in enumerate(value)]

        return read

    def _dict(self, item: Any) -> Reader:
        read_item = self.of(item)

        def read(value: Any, place: str) -> Any:
            if not isinstance(value, dict):
                raise _expected("an object", value, place)
            # Its keys are data, and stand in no message.
            return {key: read_item(each, f"{place}[…]") for key, each in value.items()}

        return read


def _plain_reader(annotation: Any) -> Reader:
    accepted, name = _PLAIN[annotation]

    def read(value: Any, place: str) -> Any:
        # In Python true is a number, in JSON it is not.
        if not isinstance(value, accepted) or (isinstance(value, bool) and annotation is not bool):
            raise _expected(name, value, place)
        if isinstance(value, str) and _HALF_A_CHARACTER.search(value):
            raise BadData(f"{place or 'the data'} is a text with half a character in it")
        if annotation is float and isinstance(value, float) and not math.isfinite(value):
            raise BadData(f"{place or 'the data'} is a number beyond all that can be reckoned with")
        return value

    return read


def _literal(values: tuple[Any, ...]) -> Reader:
    def read(value: Any, place: str) -> Any:
        for each in values:
            if each == value and type(each) is type(value):
                return each
        raise _expected(f"one of {len(values)} values", value, place)

    return read


def _enum(cls: type[enum.Enum]) -> Reader:
    def read(value: Any, place: str) -> Any:
        try:
            return cls(value)
        except ValueError:
            raise _expected(f"a {cls.__name__}", value, place) from None

    return read


def _pydantic(cls: Any) -> Reader:
    def read(value: Any, place: str) -> Any:
        try:
            return cls.model_validate(value)
        except ValueError as e:
            raise BadData(_of_pydantic(e, place)) from None

    return read


def _of_pydantic(error: ValueError, place: str) -> str:
    """Its places and types; its message would repeat the values."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return f"{place or 'the data'}: {type(error).__name__}"
    found = errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join([place, *map(str, one['loc'])]).strip('.') or 'the data'}: {one['type']}"
        for one in found[:3]
    )


def _is_typed_dict(cls: Any) -> bool:
    """Of `typing` or of `typing_extensions`."""
    return issubclass(cls, dict) and hasattr(cls, "__required_keys__")


def _is_required(annotation: Any, unless_said: bool) -> bool:
    said = getattr(typing.get_origin(annotation), "_name", "")
    return {"Required": True, "NotRequired": False}.get(said, unless_said)


def _bare(annotation: Any) -> Any:
    """Without Required and NotRequired, which on Python 3.10 come from typing_extensions."""
    while getattr(typing.get_origin(annotation), "_name", "") in ("Required", "NotRequired"):
        (annotation,) = typing.get_args(annotation)
    return annotation


def _expected(what: str, value: Any, place: str) -> BadData:
    return BadData(f"{place or 'the data'} is not {what} but {_json_name(value)}")


def _json_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float, Decimal)):
        return "a number"
    return (
        "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"
    )


def _name(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation)


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a result's keys must be texts")
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
