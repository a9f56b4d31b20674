"""The pure part of a choreography's service: attempts, what bars a step, and the order kept."""

from __future__ import annotations

import json

from amends_participant.choreography.advance import advance, wakes_at
from amends_participant.choreography.event import Reason, SagaEvent
from amends_participant.choreography.plan import Plan
from amends_participant.choreography.record import Record
from amends_participant.choreography.service import Completed, InVain, Moment, Service
from test_choreography import SERVICES, order

SAGA = "018f0000-0000-7000-8000-000000000007"
OF = Plan.of(order())
RESERVE, CHARGE, SHIP = (Service(OF, name) for name in SERVICES)
BUSY = InVain(Reason.of("BUSY", "too much"), asked=False)
FAILED = InVain(Reason.of("HANDLER_FAILED", "it threw"))
ENDED = InVain(Reason.of("OUTCOME_UNKNOWN", "it ended its transaction"), is_known=False)


def begun(service: Service) -> Record:
    """The saga has started, as this service hears it."""
    record = Record(OF, SAGA)
    service.hear(record, RESERVE.start(SAGA, '{"reserve":""}', 0), 0)
    return record


def names(events: list[SagaEvent]) -> list[str]:
    return [event.message().name for event in events]


def test_what_was_never_asked_uses_up_no_attempt() -> None:
    record = begun(RESERVE)
    pauses = []
    for at in range(1, 9):
        assert RESERVE.tried(record, 0, BUSY, Moment(at, 0)) == []
        pauses.append((record.clock(0).again_at or 0) - at)
    assert pauses[0] < pauses[1], "it waits longer each time"
    stored = json.loads(record.to_json())["clocks"]["reserve"]
    assert (stored["tries"], stored["unasked"]) == (8, 8)
    record = Record.from_json(SAGA, record.to_json(), {OF.definition_hash: OF}.get)
    # Three attempts are the definition's, and the third is the last.
    assert RESERVE.tried(record, 0, FAILED, Moment(10, 0)) == []
    assert RESERVE.tried(record, 0, FAILED, Moment(11, 0)) == []
    assert names(RESERVE.tried(record, 0, FAILED, Moment(12, 0))) == [
        "SagaFailed",
        "ReserveNeverRan",
    ]


def test_what_is_never_asked_ends_by_its_deadline() -> None:
    record = begun(RESERVE)
    RESERVE.tried(record, 0, BUSY, Moment(1, 0))
    late = advance(RESERVE, record, Moment(60_000, 0))
    assert "SagaFailed" in names(late.events) and "ReserveNeverRan" in names(late.events)


def test_a_record_without_the_count_of_the_unasked_is_read() -> None:
    record = begun(RESERVE)
    assert "unasked" not in record.to_json()
    read = Record.from_json(SAGA, record.to_json(), {OF.definition_hash: OF}.get)
    assert read.clock(0).unasked == 0


def test_nothing_bars_what_may_have_been_done() -> None:
    """Neither its own time nor another's failure, before it has answered."""
    for bar in ("deadline", "failure"):
        record = begun(RESERVE)
        RESERVE.tried(record, 0, ENDED, Moment(1, 0))
        if bar == "deadline":
            said = names(advance(RESERVE, record, Moment(60_000, 0)).events)
        else:
            said = names(RESERVE.fail(record, None, Reason.of("CANCELLED", "x"), 2))
        assert said == ["SagaFailed"], bar
        assert 0 in record.part.begun, bar
        done = RESERVE.answered(record, 0, Completed("{}"), Moment(60_001, 0))
        assert names(done) == ["ReserveCompleted"], bar


def test_an_undo_whose_end_is_unknown_has_nothing_that_begins() -> None:
    record = begun(RESERVE)
    RESERVE.answered(record, 0, Completed("{}"), Moment(1, 0))
    barring = begun(SHIP)
    for event in SHIP.fail(barring, None, Reason.of("CANCELLED", "x"), 2):
        RESERVE.hear(record, event, 2)
    barring = begun(CHARGE)
    for event in CHARGE.fail(barring, None, Reason.of("CANCELLED", "x"), 2):
        RESERVE.hear(record, event, 2)
    assert RESERVE.tried(record, 0, ENDED, Moment(3, 0)) == []
    assert record.part.begun == set() and record.clock(0).doubtful


def test_others_are_late_only_as_far_as_they_were_heard() -> None:
    """A service that was away has their words yet to read; its own time is its own."""
    record = begun(SHIP)
    SHIP.hear(record, RESERVE.answered(begun(RESERVE), 0, Completed("{}"), Moment(1, 0))[0], 2)
    late_at = 2 + 60_000 + SHIP.grace_ms
    assert wakes_at(SHIP, record, 2, 2_000) == late_at
    for unheard in (0, late_at - 1):
        assert advance(SHIP, record, Moment(late_at + 9_999, 0, unheard)).late == []
    assert advance(SHIP, record, Moment(late_at - 1, 0, late_at)).late == []
    assert advance(SHIP, record, Moment(late_at, 0, late_at)).late == [1]
    own = begun(RESERVE)
    assert advance(RESERVE, own, Moment(60_000, 0, 0)).late == [0]


def test_a_sagas_own_deadline_waits_for_what_was_heard() -> None:
    of = Plan.of({**order(), "deadline_ms": 1_000})
    ship = Service(of, SERVICES[2])
    record = Record(of, SAGA)
    ship.hear(record, ship.start(SAGA, '{"reserve":""}', 0), 0)
    assert advance(ship, record, Moment(1_000, 0, 999)).events == []
    assert names(advance(ship, record, Moment(1_000, 0, 1_000)).events) == [
        "SagaFailed",
        "ShipNeverRan",
    ]


def test_no_step_is_named_done_before_one_that_it_waits_for() -> None:
    """Of two topics either can be ahead."""
    first, second = begun(RESERVE), begun(CHARGE)
    done = RESERVE.answered(first, 0, Completed("{}"), Moment(1, 0))
    CHARGE.hear(second, done[0], 2)
    after = CHARGE.answered(second, 1, Completed("{}"), Moment(3, 0))
    record = begun(SHIP)
    SHIP.hear(record, after[0], 4)
    SHIP.hear(record, done[0], 5)
    assert record.completed_steps == ("reserve", "charge")
