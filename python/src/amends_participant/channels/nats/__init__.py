"""Commands, replies and events over NATS JetStream.

Messages are CloudEvents in binary mode: each attribute is a header `ce-<name>`, the body is the
payload, and `Nats-Msg-Id` lets the server drop a message that is published again within the
stream's duplicate window.
"""

from ..errors import client_is_missing

try:
    import nats as _client  # noqa: F401
except ModuleNotFoundError as e:
    raise client_is_missing("NATS", "nats-py", "nats") from e

from .channel import NatsChannel, connect
from .place import Events, Place, Server

__all__ = ["Events", "NatsChannel", "Place", "Server", "connect"]
