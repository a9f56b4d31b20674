"""The scenes of testbed/choreography.json, which the kit for Rust has made: what one service of a
choreography takes in, and what it knows and says after each of it, here as there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from amends_participant.choreography import raw
from amends_participant.choreography.advance import advance, wakes_at
from amends_participant.choreography.event import Reason, SagaEvent
from amends_participant.choreography.plan import Plan
from amends_participant.choreography.record import Record
from amends_participant.choreography.rules import NotTaken
from amends_participant.choreography.service import (
    Answered,
    Completed,
    InVain,
    Moment,
    RefusedFor,
    Service,
    UndoDone,
)
from amends_participant.choreography.turn import LEFT_FOR_MS

CORPUS = Path(__file__).parents[2] / "testbed" / "choreography.json"
SAGA = "018f0000-0000-7000-8000-000000000007"

# As they are written: what is handed on byte for byte is to be so.
TEXTS = raw.members(CORPUS.read_text())
PLANS = [Plan.of(plan) for plan in json.loads(TEXTS["plans"])]
SCENES: list[dict[str, Any]] = json.loads(TEXTS["scenes"])


def answered(service: Service, record: Record, said: Any, now: Moment) -> list[SagaEvent]:
    step = service.of.named(said["step"])
    assert step is not None
    with_: Any = said["with"]
    answer: Answered
    if with_ == "undone":
        answer = UndoDone()
    elif "refused" in with_:
        answer = RefusedFor(Reason(**with_["refused"]))
    else:
        answer = Completed(with_["completed"])
    return service.answered(record, step, answer, now)


def moved(service: Service, record: Record, what: Any, now: Moment) -> list[SagaEvent]:
    if "hear" in what:
        heard = what["hear"]
        event = SagaEvent.read(heard["attributes"], heard["body"].encode())
        return service.hear(record, event, now.at)
    if "answered" in what:
        return answered(service, record, what["answered"], now)
    if "in_vain" in what:
        said = what["in_vain"]
        step = service.of.named(said["step"])
        assert step is not None
        in_vain = InVain(
            Reason(**said["why"]), said["not_before"], said["is_known"], said.get("asked", True)
        )
        return service.tried(record, step, in_vain, now)
    if "begin" in what:
        step = service.of.named(what["begin"]["step"])
        assert step is not None
        service.begin(record, step, what["begin"]["direction"], what["begin"]["until"])
        return []
    if "cancel" in what:
        return service.cancel(record, Reason(**what["cancel"]), now.at)
    assert what == {"nothing": True}
    return []


@pytest.mark.parametrize("number", range(len(SCENES)))
def test_a_service_comes_to_the_same_as_in_rust(number: int) -> None:
    scene = SCENES[number]
    of = PLANS[scene["plan"]]
    service = Service(of, scene["service"])
    record, written = Record(of, SAGA), None
    for n, move in enumerate(scene["moves"]):
        place = f"scene {number}, move {n} of {scene['service']}: {move['do']}"
        now = Moment(move["now"], move["jitter"], move.get("heard", move["now"]))
        not_taken, events = None, []
        try:
            events = moved(service, record, move["do"], now)
        except NotTaken as e:
            not_taken = type(e).__name__
        assert not_taken == move.get("not_taken"), place
        if not_taken is None:
            followed = advance(service, record, now)
            events += followed.events
            names = [of.steps[step].name for step in followed.late]
            assert names == move["advance"]["late"], place
            asks = [
                {
                    "step": of.steps[task.step].name,
                    "direction": task.direction,
                    "attempt": task.attempt,
                    "deadline": task.deadline,
                    "body": json.loads(body),
                }
                for task, body in followed.asks
            ]
            assert asks == move["advance"]["asks"], place
        said = [event.message() for event in events]
        assert [
            {"name": one.name, "attributes": one.attributes, "body": json.loads(one.body)}
            for one in said
        ] == move.get("says", []), place
        assert record.state.value == move["state"], place
        assert wakes_at(service, record, now.at, LEFT_FOR_MS) == move["wakes_at"], place
        text = record.to_json()
        written = move.get("record", written)
        assert json.loads(text) == written, place
        record = Record.from_json(SAGA, text, {of.definition_hash: of}.get)
        assert record.to_json() == text, place


def test_texts_are_written_as_in_rust() -> None:
    """Byte for byte, where no expression has made them anew."""
    compared = 0
    for number, text in enumerate(_scenes()):
        of = PLANS[SCENES[number]["plan"]]
        for record in text:
            if '"asked"' in record:
                continue
            read = Record.from_json(SAGA, record, {of.definition_hash: of}.get)
            assert read.to_json() == record
            compared += 1
    assert compared > 200


def _scenes() -> list[list[str]]:
    """The records of each scene, as they are written."""
    lines = TEXTS["scenes"].split("\n")
    scenes: list[list[str]] = []
    for line in lines:
        line = line.rstrip(",")
        if line.startswith('{"plan"'):
            scenes.append([])
        elif line.startswith('{"now"'):
            of_move = raw.members(line)
            scenes[-1].extend(text for name, text in of_move.items() if name == "record")
    return scenes
