"""What every client of the library has in common: how it comes in, and what it last complained
of."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from ..errors import ConnectError
from .place import Server

RECONNECT_MS_MAX = 1_000
"""The longest pause before a broker that is away is looked for again: whoever has started it does
not want to wait longer."""

_SAYS_LITTLE = frozenset(
    (
        KafkaError._MSG_TIMED_OUT,
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._QUEUE_FULL,
    )
)

_log = logging.getLogger("amends_participant")


class Complaints:
    """Hears what the library complains of."""

    def __init__(self) -> None:
        self.last = ""

    def hear(self, error: KafkaError) -> None:
        # That all are down is known from one of them, which said why.
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.last = error.str()
        _log.debug("Kafka: %s", error.str())

    def explain(self, error: KafkaError) -> str:
        """An error, where it is a mere "timed out" with what was complained of meanwhile."""
        said = f"{error.name()}: {error.str()}"
        return f"{said}: {self.last}" if self.last and error.code() in _SAYS_LITTLE else said


def config(server: Server, own: Mapping[str, Any], complaints: Complaints) -> dict[str, Any]:
    """The settings of a client: theirs, and ours over them."""
    if "@" in server.addresses:
        raise ConnectError(
            "an address of Kafka is host:port; who we are stands in the settings, as"
            " sasl.username and sasl.password"
        )
    return {
        "client.id": "amends",
        # It logs to standard error by itself; what it complains of is heard below.
        "log_level": 0,
        **server.settings,
        "bootstrap.servers": server.addresses,
        "reconnect.backoff.max.ms": RECONNECT_MS_MAX,
        "error_cb": complaints.hear,
        **own,
    }


def not_made(error: KafkaException) -> ConnectError:
    """Why a client was not made. The library shows the value that it does not take, and that may be
    a password."""
    said = error_of(error).str()
    if "No such configuration property" in said:
        return ConnectError(f"the settings for Kafka cannot be used: {said}")
    if "Invalid value" in said:
        name = said.rpartition("configuration property")[2].strip().strip('"') or "a setting"
        said = f"{name} does not take the value that it was given"
    return ConnectError(f"the settings for Kafka cannot be used: {said}")


def error_of(error: KafkaException) -> KafkaError:
    """What the library says."""
    said = error.args[0]
    return said if isinstance(said, KafkaError) else KafkaError(KafkaError._FAIL, str(said))
