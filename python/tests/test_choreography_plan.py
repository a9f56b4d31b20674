"""Plans, their expressions, and events: what is taken, and what is told of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from amends_participant import BadPlan, Participant, Plan, Sqlite, UnfitData
from amends_participant.choreography.event import Damaged, Newer, NotOurs, SagaEvent, rfc3339
from amends_participant.choreography.expressions import Beyond, NoValue, filled, template_of
from amends_participant.choreography.record import Foreign, Record
from amends_participant.choreography.service import Service
from test_choreography import order

SCOPE: dict[str, Any] = {
    "data": {"a": {"b": 5}, "text": "x", "no": None, "list": [1], "yes": True},
    "result": {"reserve": {"ref": "R-1"}},
    "saga": {"id": "7", "type": "Order"},
}
SAGA = "018f0000-0000-7000-8000-000000000007"
MARK = {"amends-said": "started"}


def value(template: Any) -> Any:
    return json.loads(filled(template_of(template, "charge.input"), SCOPE))


def test_paths_constants_and_texts_have_values() -> None:
    assert value({"n": "${ data.a.b }", "r": "${result.reserve . ref}", "c": [1, None, "x"]}) == {
        "n": 5,
        "r": "R-1",
        "c": [1, None, "x"],
    }
    assert value("${ saga.type } ${saga.id}: ${ data.a.b } ${ data.yes }") == "Order 7: 5 true"
    assert value(" ${ data.a } ") == {"b": 5}
    assert value("$ {data.a}") == "$ {data.a}"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (5, "5"),
        (1.5, "1.5"),
        (100.0, "100.0"),
        (1e16, "1e16"),
        (1e21, "1e21"),
        (1.5e-7, "1.5e-7"),
        (0.000025, "0.000025"),
        (-0.000025, "-0.000025"),
        (2**64 - 1, "18446744073709551615"),
        (2**64, "1.8446744073709552e19"),
    ],
)
def test_numbers_in_texts_are_those_of_the_kit_for_rust(number: float, text: str) -> None:
    scope = {**SCOPE, "data": {"n": number}}
    assert json.loads(filled(template_of("n=${ data.n }", "x"), scope)) == f"n={text}"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("${ data.zip }", "there is no field `zip`"),
        ("${ data.text.length }", "there is no field `length`"),
        ("no ${ data.no }", "the value has no text form"),
        ("no ${ data.list }", "the value has no text form"),
    ],
)
def test_what_has_no_value_names_its_path(template: str, why: str) -> None:
    with pytest.raises(NoValue) as error:
        value({"deep": [template]})
    assert str(error.value).startswith("charge.input: ${ data.") and str(error.value).endswith(why)


@pytest.mark.parametrize(
    "expression",
    ["data.a + 1", "size(data.list)", "data['a']", "env.HOME", "true", "", "data.a ? 1 : 2", "{}"],
)
def test_what_is_more_than_a_path_is_refused_with_the_way_out(expression: str) -> None:
    with pytest.raises(Beyond) as error:
        template_of({"amount": ["${ " + expression + " }"]}, "charge.input")
    said = str(error.value)
    assert said.startswith("charge.input: ${ ") and "amends sidecar" in said
    plan = order()
    plan["steps"][1]["when"] = "${ " + expression + " }"
    with pytest.raises(BadPlan, match=r"charge\.when.*amends sidecar"):
        Plan.of(plan)


def test_what_is_no_plan_is_refused() -> None:
    newer = {**order(), "plan": 2}
    unknown = {**order(), "arbiter": "nobody"}
    for text, why in [
        ("{", "amends plan FILE"),
        ("[]", "another shape"),
        ("{}", "it has no steps"),
        (json.dumps(newer), "update amends-participant"),
        (json.dumps(unknown), "cannot be run here"),
    ]:
        with pytest.raises(BadPlan, match=why):
            Plan.read(text)


def body(**changes: Any) -> bytes:
    of = Plan.of(order())
    event = Service(of, "InventoryService").start(SAGA, '{"total":5}', 1_700_000_000_000)
    return json.dumps({**json.loads(event.message().body), **changes}).encode()


def test_an_event_is_read_as_it_was_said() -> None:
    event = SagaEvent.read({}, body())
    assert event.saga_id == SAGA and event.at == 1_700_000_000_000
    assert SagaEvent.read(MARK, event.message().body).message() == event.message()


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"said":NaN}',
        b"[" * 2_000,
        b" " * (1024 * 1024 + 1),
        b'{"a":1,"a":2}',
        body(saga_id="x"),
        body(saga_id=5),
        body(version=-1),
        body(version=True),
        body(said="undone"),
        body(said="completed"),
        body(said="completed", step_name="ship"),
        body(by="\ud800"),
        body(at="yesterday"),
        body(at="1969-12-31T23:59:59Z"),
        body(at="2020-02-31T00:00:00Z"),
        body(context={}),
        body(context=None),
        body(context={"saga_id": SAGA, "step": 0, "data": [], "completed_steps": []}),
        body(context={"saga_id": SAGA, "step": 0, "data": {}, "completed_steps": [1]}),
        body(context={"saga_id": SAGA[:-1] + "8", "step": 0, "data": {}, "completed_steps": []}),
        body(reason={"code": 5, "message": ""}),
        body(format="1"),
    ],
)
def test_what_is_damaged_is_told_where_and_without_values(broken: bytes) -> None:
    with pytest.raises(Damaged) as error:
        SagaEvent.read(MARK, broken)
    assert len(str(error.value)) < 200 and "yesterday" not in str(error.value)


def test_what_is_not_ours_or_newer_is_told_apart() -> None:
    for other in [b"", b"{", b'{"sku":"A-1"}', b'{"said":"hello"}']:
        with pytest.raises(NotOurs):
            SagaEvent.read({}, other)
    with pytest.raises(Newer):
        SagaEvent.read({}, body(format=2, said="whatever"))


def test_times_are_written_in_milliseconds() -> None:
    assert rfc3339(1_700_000_000_007) == "2023-11-14T22:13:20.007Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(10**18) == "9999-12-31T23:59:59.999Z"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"format": 2}, "format 2"),
        ({"definition_hash": "0"}, "does not have"),
        ({"completed": ["pack"]}, "damaged"),
        ({"started_at": "now"}, "damaged"),
        ({"clocks": {"ship": 5}}, "damaged"),
        ({"failure": {}}, "damaged"),
    ],
)
def test_a_record_that_cannot_be_read_is_told_why(changes: Any, why: str) -> None:
    of = Plan.of(order())
    written = json.dumps({**json.loads(Record(of, SAGA).to_json()), **changes})
    with pytest.raises(Foreign, match=why):
        Record.from_json(SAGA, written, {of.definition_hash: of}.get)


async def test_data_is_looked_at_by_the_definitions_schema() -> None:
    schema = {
        "type": "object",
        "required": ["sku"],
        "properties": {"sku": {"type": "string"}, "zip": {"$ref": "http://nowhere.example/zip"}},
    }
    participant = Participant("Shop", Sqlite(":memory:"))
    shop = participant.choreographies([{**order(), "data_schema": schema}])
    with pytest.raises(UnfitData, match="data/sku: type"):
        await shop.start("Order", {"sku": 5})
    with pytest.raises(UnfitData, match="cannot be gone by here"):
        await shop.start("Order", {"sku": "A-1", "zip": 1})
    with pytest.raises(UnfitData, match="data: required"):
        await shop.start("Order", {})
    await participant.close()
