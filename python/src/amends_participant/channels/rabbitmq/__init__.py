"""Commands, replies and events over RabbitMQ.

Messages are CloudEvents in structured mode: attributes and payload stand in one JSON text, and
plain JSON is taken as it comes. The client is `aiormq`, which speaks AMQP and nothing above it:
what is made, and when one connects again, is ours.
"""

from ..errors import client_is_missing

try:
    import aiormq as _client  # noqa: F401
except ModuleNotFoundError as e:
    raise client_is_missing("RabbitMQ", "aiormq", "rabbitmq") from e

from .channel import RabbitChannel, connect
from .place import Place
from .server import Server

__all__ = ["Place", "RabbitChannel", "Server", "connect"]
