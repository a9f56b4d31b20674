"""The topics of a place: looked at, and made where that is wanted. The client library blocks where
it is asked, so it is asked on a thread of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._metadata import TopicMetadata
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from ..errors import ConnectError
from ..topology import Topology
from .client import Complaints, config, error_of, not_made
from .place import AnyPlace, Server
from .weak import Settings, number, weaknesses

STAY_MS = 7 * 24 * 3600 * 1000
"""How long commands, replies and events stay in topics that we make: a service, or whoever listens,
may be down over a weekend."""

REACHED_WITHIN_S = 10.0
"""How long the cluster may take to be reached, and to tell of a topic that it has made."""

ANSWERED_WITHIN_S = 0.5
"""How long an answer is waited for, so that a login that is not taken is told soon."""

PAUSE_S = 0.1
"""Between an answer that may be another soon and the next question."""

AS_THE_CLUSTER_HAS = -1
"""As many partitions and copies as the cluster gives a topic."""


@dataclass(frozen=True)
class Sizes:
    """What the topics of a place take in one message, where that is told."""

    smallest: int | None
    """Of those of which it is told."""
    largest: int | None
    """None where it is not told of each: then the broker alone says what is too large."""

    @classmethod
    def of(cls, taken: Sequence[int | None]) -> Sizes:
        told = [size for size in taken if size is not None]
        all_are_told = bool(told) and len(told) == len(taken)
        return cls(min(told, default=None), max(told) if all_are_told else None)


@dataclass(frozen=True)
class _Needed:
    """A topic that has to be there."""

    name: str
    stay_ms: int | None
    """How long its messages have to stay; for ever where this says nothing."""

    @property
    def what(self) -> str:
        return f"topic {self.name}"


async def prepare(server: Server, place: AnyPlace, create: bool) -> tuple[Topology, Sizes]:
    """The topics of a service. What is missing is made with `create`, and is an error otherwise."""
    return await asyncio.to_thread(_prepare, server, place, create)


def _prepare(server: Server, place: AnyPlace, create: bool) -> tuple[Topology, Sizes]:
    asking, topology = _Asking(server), Topology()
    there, absent = [], []
    for topic in _topics(place):
        copies = asking.copies(topic, was_made=False)
        if copies is not None:
            topology.there.append(topic.what)
            there.append((topic, copies))
        elif create:
            absent.append(topic)
        else:
            topology.missing.append(topic.what)
    topology.needs_all("Kafka")
    for topic in absent:
        asking.make(topic)
        topology.created.append(topic.what)
    there += [(topic, asking.copies(topic, was_made=True) or 0) for topic in absent]
    settings = asking.settings([topic for topic, _ in there])
    sizes: list[int | None] = []
    for topic, copies in there:
        of = settings.get(topic.name)
        if of is None:
            sizes.append(None)
            why = ["what it is set to is not told, so it may be weak: allow DescribeConfigs"]
        else:
            sizes.append(number(of, "max.message.bytes"))
            why = weaknesses(topic.stay_ms, copies, of)
        topology.weak += [f"{topic.what}: {weak}" for weak in why]
    return topology, Sizes.of(sizes)


def _topics(place: AnyPlace) -> list[_Needed]:
    passing = [_Needed(name, STAY_MS) for name in place.topics]
    # Dead letters stay until a person has looked at them.
    return [*passing, _Needed(place.dead_letters, None)]


class _Asking:
    """A client that asks the cluster."""

    def __init__(self, server: Server) -> None:
        self._server, self._complaints = server, Complaints()
        self._turned_away: str | None = None
        """Why, where our login is not taken."""

        def hear(error: KafkaError) -> None:
            self._complaints.hear(error)
            if error.code() == KafkaError._AUTHENTICATION:
                self._turned_away = error.str()

        # It makes no topic by asking for it.
        own = {"allow.auto.create.topics": False, "error_cb": hear}
        try:
            self._admin = AdminClient(config(server, own, self._complaints))
        except KafkaException as e:
            raise not_made(e) from e

    def copies(self, topic: _Needed, *, was_made: bool) -> int | None:
        """How many copies a topic has at least, `None` where it is not there. Of one that was just
        made some brokers do not know yet."""
        until = time.monotonic() + REACHED_WITHIN_S
        while True:
            try:
                cluster = self._admin.list_topics(topic.name, timeout=ANSWERED_WITHIN_S)
            except KafkaException as e:
                why: str | None = self._complaints.explain(error_of(e))
            else:
                found = cluster.topics.get(topic.name)
                copies, why = self._read(topic, found if cluster.brokers else None)
                if copies is not None:
                    return copies
                if why is None and not was_made:
                    return None
                why = why or f"{topic.what} was made, and is not there"
            self._admin.poll(0)  # where it is told that the login is not taken
            if self._turned_away is not None:
                why = self._turned_away
                raise ConnectError(f"Kafka at {self._server.shown} does not let us in: {why}")
            if time.monotonic() >= until:
                raise ConnectError(f"Kafka at {self._server.shown} cannot be reached: {why}")
            time.sleep(PAUSE_S)

    def _read(self, topic: _Needed, found: TopicMetadata | None) -> tuple[int | None, str | None]:
        """How many copies, or why that cannot be said yet. Neither: it is not there."""
        if found is None:
            return None, "the cluster has no broker yet"
        if found.error is None:
            if not found.partitions:
                return None, f"{topic.what}: it has no partition yet"
            return min(len(of.replicas) for of in found.partitions.values()), None
        code = found.error.code()
        if code == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None, None
        if code in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.TOPIC_EXCEPTION):
            raise ConnectError(f"{topic.what} of Kafka cannot be had: {found.error.str()}")
        return None, f"{topic.what}: {found.error.str()}"

    def make(self, topic: _Needed) -> None:
        """Makes a topic."""
        stay = "-1" if topic.stay_ms is None else str(topic.stay_ms)
        new = NewTopic(
            topic.name,
            num_partitions=AS_THE_CLUSTER_HAS,
            replication_factor=AS_THE_CLUSTER_HAS,
            config={"retention.ms": stay, "cleanup.policy": "delete"},
        )
        asked = self._admin.create_topics([new], request_timeout=REACHED_WITHIN_S)
        try:
            asked[topic.name].result()
        except KafkaException as e:
            error = error_of(e)
            if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                why = self._complaints.explain(error)
                raise ConnectError(f"{topic.what} of Kafka cannot be had: {why}") from e

    def settings(self, topics: Sequence[_Needed]) -> dict[str, Settings]:
        """What topics are set to, where that is told."""
        resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics]
        asked: dict[ConfigResource, Future[dict[str, Any]]] = self._admin.describe_configs(
            resources, request_timeout=REACHED_WITHIN_S
        )
        told: dict[str, Settings] = {}
        for resource, answer in asked.items():
            try:
                entries = answer.result()
            except KafkaException as e:
                if error_of(e).code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    continue
                why = self._complaints.explain(error_of(e))
                what = "what the topics are set to"
                raise ConnectError(f"{what} cannot be had of Kafka: {why}") from e
            told[resource.name] = {name: entry.value for name, entry in entries.items()}
        return told
