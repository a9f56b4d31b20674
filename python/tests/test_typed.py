"""From JSON to a handler's types and back."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union

import pydantic
import pytest
from typing_extensions import NotRequired, TypedDict

from amends_participant.endings import BadData
from amends_participant.typed import reader, written


class Kind(enum.Enum):
    KETTLE = "kettle"


@dataclass
class Item:
    sku: str
    quantity: int = 1
    kind: Kind | None = None


@dataclass
class Order:
    items: list[Item]
    notes: dict[str, str] = field(default_factory=dict)
    total: float = 0
    paid: bool = False
    speed: Literal["slow", "fast"] = "slow"


@dataclass
class Branch:
    name: str
    twigs: list[Branch]


class Address(TypedDict):
    street: str
    floor: NotRequired[int]


class Parcel(pydantic.BaseModel):
    weight: pydantic.PositiveInt
    address: Address


@dataclass
class Even:
    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError(f"{self.number} is odd")


READ: list[tuple[Any, Any, Any]] = [
    (str, "a", "a"),
    (int, 3, 3),
    (float, 3, 3.0),
    (bool, True, True),
    (None, None, None),
    (Any, {"a": [1]}, {"a": [1]}),
    (Union[str, None], None, None),
    (str | None, "a", "a"),
    (int | str, 1, 1),
    (Annotated[int, "whole"], 1, 1),
    (list, [1, "a"], [1, "a"]),
    (list[int], [1, 2], [1, 2]),
    (Sequence[int], [1], [1]),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (Mapping[str, Any], {"a": None}, {"a": None}),
    (Kind, "kettle", Kind.KETTLE),
    (Item, {"sku": "a", "more": 1}, Item("a")),
    (
        Order,
        {"items": [{"sku": "a", "kind": "kettle"}], "total": 3, "speed": "fast"},
        Order([Item("a", kind=Kind.KETTLE)], total=3, speed="fast"),
    ),
    (Branch, {"name": "a", "twigs": [{"name": "b", "twigs": []}]}, Branch("a", [Branch("b", [])])),
    (Address, {"street": "Long", "more": 1}, {"street": "Long"}),
    (Address, {"street": "Long", "floor": 2}, {"street": "Long", "floor": 2}),
    (
        Parcel,
        {"weight": 2, "address": {"street": "Long"}},
        Parcel(weight=2, address={"street": "Long"}),
    ),
]


@pytest.mark.parametrize(("annotation", "value", "typed"), READ, ids=str)
def test_what_fits_is_read(annotation: Any, value: Any, typed: Any) -> None:
    assert reader(annotation)(value, "") == typed


BAD: list[tuple[Any, Any, str]] = [
    (str, 1, "the data is not a text but a number"),
    (int, True, "the data is not a whole number but true or false"),
    (int, 1.5, "the data is not a whole number but a number"),
    (float, True, "the data is not a number but true or false"),
    (float, float("inf"), "the data is a number beyond all that can be reckoned with"),
    (str, "secret\ud800", "the data is a text with half a character in it"),
    (bool, 0, "the data is not true or false but a number"),
    (int | str, [], "the data is not int or str but a list"),
    (Kind, "secret", "the data is not a Kind but a text"),
    (Literal["a"], "secret", "the data is not one of 1 values but a text"),
    (Literal[1], True, "the data is not one of 1 values but true or false"),
    (Order, {}, "items is missing"),
    (Order, {"items": [{"sku": "a"}, {"sku": None}]}, "items[1].sku is not a text but null"),
    (Order, {"items": [], "notes": {"secret": 1}}, "notes[…] is not a text but a number"),
    (Address, [], "the data is not an object but a list"),
    (Address, {}, "street is missing"),
    (Even, {"number": 3}, "the data: ValueError"),
    (Parcel, {"weight": -5, "address": {}}, "weight: greater_than; address.street: missing"),
]


@pytest.mark.parametrize(("annotation", "value", "message"), BAD, ids=str)
def test_what_does_not_fit_is_named_without_its_value(
    annotation: Any, value: Any, message: str
) -> None:
    with pytest.raises(BadData) as raised:
        reader(annotation)(value, "")
    assert str(raised.value) == message


class Plain:
    pass


@pytest.mark.parametrize("annotation", [Plain, bytes, set[str], dict[int, str], "text"], ids=str)
def test_what_no_json_can_be_is_an_error_at_once(annotation: Any) -> None:
    with pytest.raises(TypeError, match="cannot be read from JSON"):
        reader(annotation)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ({"a": (1, [2.5, True])}, '{"a":[1,[2.5,true]]}'),
        (Item("a", kind=Kind.KETTLE), '{"sku":"a","quantity":1,"kind":"kettle"}'),
        (
            Parcel(weight=2, address={"street": "Long"}),
            '{"weight":2,"address":{"street":"Long"}}',
        ),
        ("é\0", '"\\u00e9\\u0000"'),
    ],
)
def test_results(value: Any, text: str) -> None:
    assert written(value) == text


@pytest.mark.parametrize("value", [object(), float("inf"), {1: 2}, {"a": {3}}, b"a"])
def test_results_that_are_no_json(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        written(value)
