"""The stream and the consumer of a place: looked at, and made where that is wanted."""

from __future__ import annotations

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, NotFoundError

from ..errors import ConnectError
from ..hold import UNSETTLED_MAX
from ..topology import Topology
from .place import AnyPlace, Events, Place, Server
from .subjects import lacking

COPIES_MAX = 64
"""How many copies of the service may each hold what one may: the consumer's own limit must not be
what stops the next copy."""

KNOWN_FOR_S = 2 * 60.0
"""How long the server knows a message by its id: what comes again with the same is a publisher that
lost the server's word."""

EVENTS_STAY_S = 7 * 24 * 3600.0
"""How long events stay for whoever listens."""

STREAM_NAME_IN_USE = 10058
"""What the server says where a stream was made meanwhile, by somebody else and otherwise."""


async def prepare(
    context: JetStreamContext, server: Server, place: AnyPlace, create: bool
) -> tuple[Topology, float]:
    """What the service needs, and how long its consumer leaves a message with one that says
    nothing. What is missing is made with `create`, and is an error otherwise."""
    topology = Topology()
    try:
        if isinstance(place, Place):
            found = await _stream(context, _own(place), create, topology)
            if found is not None:
                _weigh(found, topology)
        if place.events is not None:
            found = await _stream(context, _of_events(place, place.events), create, topology)
            if found is not None and isinstance(place, Events):
                _weigh(found, topology, EVENTS_STAY_S)
        if isinstance(place, Events):
            found = await _stream(context, _of_dead_events(place), create, topology)
            if found is not None:
                _weigh(found, topology)
        ack_wait_s = await _consumer(context, server, place, create, topology)
    except (NatsError, APIError) as e:
        raise ConnectError(f"the place at NATS {server.shown} cannot be had: {e}") from e
    topology.needs_all("NATS")
    return topology, ack_wait_s


async def _stream(
    context: JetStreamContext, wanted: StreamConfig, create: bool, topology: Topology
) -> StreamConfig | None:
    """How a stream that was there is set up."""
    what, name = f"stream {wanted.name}", wanted.name or ""
    try:
        found = (await context.stream_info(name)).config
    except NotFoundError:
        if not create:
            topology.missing.append(what)
            return None
        try:
            await context.add_stream(wanted)
        except APIError as e:
            if e.err_code != STREAM_NAME_IN_USE:
                raise
            found = (await context.stream_info(name)).config
        else:
            topology.created.append(what)
            return None
    for subject in lacking(found.subjects or [], wanted.subjects or []):
        topology.weak.append(f"{what}: it does not take {subject}: add that to its subjects")
    topology.there.append(what)
    return found


def _own(place: Place) -> StreamConfig:
    """Commands and replies go when they are acknowledged, dead letters when a person takes them
    out."""
    return StreamConfig(
        name=place.stream,
        description="Commands and replies of sagas, and what could not be taken",
        subjects=[
            place.commands,
            place.replies,
            place.dead_letters,
            f"{place.replies}.dead-letters",
        ],
        retention=RetentionPolicy.WORK_QUEUE,
        storage=StorageType.FILE,
        duplicate_window=KNOWN_FOR_S,
    )


def _of_events(place: AnyPlace, events: str) -> StreamConfig:
    """Events stay for a time, whoever has read them."""
    return StreamConfig(
        name=f"{place.stream}_EVENTS",
        description="Events of a service",
        subjects=[f"{events}.>"],
        retention=RetentionPolicy.LIMITS,
        max_age=EVENTS_STAY_S,
        storage=StorageType.FILE,
        duplicate_window=KNOWN_FOR_S,
    )


def _of_dead_events(place: Events) -> StreamConfig:
    """What listeners could not take, which nobody is to hear as an event, nor to lose with them."""
    return StreamConfig(
        name=f"{place.stream}_EVENTS_DEAD_LETTERS",
        description="Events that whoever listens could not take",
        subjects=[f"{place.events}-dead-letters.>"],
        retention=RetentionPolicy.WORK_QUEUE,
        storage=StorageType.FILE,
        duplicate_window=KNOWN_FOR_S,
    )


def _weigh(found: StreamConfig, topology: Topology, stay_s: float = 0.0) -> None:
    """What of a stream is weaker than the promise that a confirmed message is not lost, but for its
    going after so long where it is one of events."""

    def weak(why: str) -> None:
        topology.weak.append(f"stream {found.name}: {why}")

    if found.storage == StorageType.MEMORY:
        weak("it is kept in memory and lost with the server: set its storage to file")
    if found.max_age and not stay_s:
        weak("messages go after its max_age whether they were taken or not: set none")
    if found.max_age and found.max_age < stay_s:
        weak("events go after its max_age whether they were heard or not: set seven days or more")
    if found.retention == RetentionPolicy.WORK_QUEUE and stay_s:
        weak("an event goes when one has heard it: set its retention to limits")
    is_bounded = (found.max_msgs or 0) > 0 or (found.max_bytes or 0) > 0
    if is_bounded and found.discard == DiscardPolicy.OLD:
        weak("when it is full the oldest message is dropped: set its discard to new")
    if found.no_ack:
        weak("it confirms nothing: turn no_ack off")
    if found.num_replicas == 1:
        weak(
            "it has one replica, and the server syncs its disk every two minutes unless"
            " sync_interval says otherwise: where a machine may lose its power, set sync_interval"
            " to always, or three replicas"
        )


async def _consumer(
    context: JetStreamContext, server: Server, place: AnyPlace, create: bool, topology: Topology
) -> float:
    what = f"consumer {place.consumer}"
    if f"stream {place.holds}" in topology.missing:
        topology.missing.append(what)
        return server.ack_wait_s
    try:
        found = (await context.consumer_info(place.holds, place.consumer)).config
    except NotFoundError:
        if not create:
            topology.missing.append(what)
            return server.ack_wait_s
        wanted = ConsumerConfig(
            durable_name=place.consumer,
            filter_subject=place.taken,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=server.ack_wait_s,
            max_ack_pending=UNSETTLED_MAX * COPIES_MAX,
        )
        await context.add_consumer(place.holds, wanted)
        topology.created.append(what)
        return server.ack_wait_s
    if found is not None and found.ack_policy != AckPolicy.EXPLICIT:
        topology.weak.append(f"{what}: it acknowledges by itself: set its ack_policy to explicit")
    if found is not None and (found.max_deliver or 0) > 0:
        topology.weak.append(f"{what}: it gives a message up after max_deliver tries: set it to -1")
    topology.there.append(what)
    # Whoever made it may have said another time than we.
    return (found is not None and found.ack_wait) or server.ack_wait_s
