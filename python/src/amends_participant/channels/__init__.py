"""Channels over real brokers, a room for each: `nats`, `rabbitmq`, `kafka`, `sqs`. Each needs its
broker's client, which the extra of the same name brings: `amends-participant[nats]`.

All have the same: a `Place`, where the service's messages are; a `Server`, where its broker is; and
`connect(server, place)`, which makes what is missing there and gives a `Channel`:

    async with connect(Server("nats://127.0.0.1:4222"), place) as channel:
        await notifier.serve(channel)

What a message looks like and where it lies is said in docs/brokers.md, and is the same as the
kit's for Rust: an engine, and copies of a service in either language, meet at one place.
"""

from .errors import ChannelError, ConnectError

__all__ = ["ChannelError", "ConnectError"]
