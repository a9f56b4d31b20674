"""Commands, replies and events over Amazon SQS, or what speaks as it does.

Messages are CloudEvents in structured mode: attributes and payload stand in one JSON text, and
plain JSON is taken as it comes. Where a queue's name ends in `.fifo` the messages of a saga keep
their order, and what is published again within five minutes is dropped.

There is no connection that could break: a message that is taken is hidden from others for a time,
which is extended for as long as it is held.
"""

from ..errors import client_is_missing

try:
    import aiobotocore as _client  # noqa: F401
except ModuleNotFoundError as e:
    raise client_is_missing("SQS", "aiobotocore", "sqs") from e

from .channel import SqsChannel, connect
from .place import Place, Server

__all__ = ["Place", "Server", "SqsChannel", "connect"]
