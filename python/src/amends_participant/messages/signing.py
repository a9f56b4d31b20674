"""Messages that are signed when they leave, where a service shares a secret with its engine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from ..http.signature import Secret
from .channel import Channel, Delivery, Outgoing


class Signing:
    """A channel whose messages carry a signature by each of the secrets (Standard Webhooks)."""

    def __init__(self, channel: Channel, secrets: Sequence[Secret]) -> None:
        self._channel, self._secrets = channel, secrets

    async def receive(self) -> Delivery:
        return await self._channel.receive()

    async def ack(self, delivery: Delivery) -> None:
        await self._channel.ack(delivery)

    async def give_back(self, delivery: Delivery, after_s: float = 0.0) -> None:
        await self._channel.give_back(delivery, after_s)

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        await self._channel.dead_letter(delivery, reason)

    async def publish(self, outgoing: Outgoing) -> None:
        now = int(time.time())
        signatures = [secret.sign(outgoing.id, now, outgoing.body) for secret in self._secrets]
        signed = {
            "webhook-id": outgoing.id,
            "webhook-timestamp": str(now),
            "webhook-signature": " ".join(signatures),
        }
        attributes = {**outgoing.attributes, **signed}
        await self._channel.publish(replace(outgoing, attributes=attributes))
