"""Commands, replies and events over Apache Kafka.

Messages are CloudEvents in binary mode: each attribute is a header `ce_<name>`, the body is the
value, the saga's id is the key, so that a saga's messages lie in one partition, in their order.

Kafka knows no single message, only how far a group has read a partition. So a service remembers
which messages before that mark are open (`marks`), and one that is given back waits in its memory
(`waiting`): the mark stays before it, and a crash brings it again.

The client is `confluent-kafka`: of those for Python the one that shares partitions as the kit for
Rust does (`cooperative-sticky`), without which copies in both languages could not be of one group.
"""

from ..errors import client_is_missing

try:
    import confluent_kafka as _client  # noqa: F401
except ModuleNotFoundError as e:
    raise client_is_missing("Kafka", "confluent-kafka", "kafka") from e

from .channel import KafkaChannel, connect
from .place import Events, Place, Server

__all__ = ["Events", "KafkaChannel", "Place", "Server", "connect"]
