"""All of them."""

from __future__ import annotations

from brokers import Broker
from brokers.over_kafka import OverKafka
from brokers.over_nats import OverNats
from brokers.over_rabbitmq import OverRabbit
from brokers.over_sqs import OverSqs

BROKERS: dict[str, Broker] = {
    broker.name: broker for broker in (OverNats(), OverRabbit(), OverKafka(), OverSqs())
}
