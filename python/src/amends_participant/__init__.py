"""The participant kit of amends: a service whose commands are carried out once, whatever comes
twice, late or in the wrong order.

    participant = Participant("InventoryService", Sqlite("inventory.db"), create_tables=True)

    @participant.action("ReserveItems")
    async def reserve_items(order: Order, db: SqliteHandle) -> Reserved: ...

    @participant.compensation("ReleaseReservation")
    async def release_reservation(order: Order, result: Reserved, db: SqliteHandle): ...
"""

from .about import LOG_FIELDS, About, current
from .answers import Answer, Breach, Completed, RefusedWith, Transient, UndoAnswered, Unknown
from .choreography.choreographies import (
    Cancelled,
    Choreographies,
    KeyReused,
    NoSuchType,
    UnfitData,
    Unfitting,
    Unheard,
)
from .choreography.plan import BadPlan, Plan
from .choreography.record import Record, State
from .choreography.service import OnOverdue
from .command import Sending
from .database import Database, Transaction
from .database.sqlite import Sqlite, SqliteHandle
from .endings import Refused
from .handlers import compensation
from .http.server import serve_http
from .messages.channel import Channel, Delivery, MemoryChannel, MemoryEvents, Outgoing
from .messages.outbox import Outbox
from .participant import Participant
from .retention import Retention
from .upkeep import Upkeep

__all__ = [
    "LOG_FIELDS",
    "About",
    "Answer",
    "BadPlan",
    "Breach",
    "Cancelled",
    "Channel",
    "Choreographies",
    "Completed",
    "Database",
    "Delivery",
    "KeyReused",
    "MemoryChannel",
    "MemoryEvents",
    "NoSuchType",
    "OnOverdue",
    "Outbox",
    "Outgoing",
    "Participant",
    "Plan",
    "Record",
    "Refused",
    "RefusedWith",
    "Retention",
    "Sending",
    "Sqlite",
    "SqliteHandle",
    "State",
    "Transaction",
    "Transient",
    "UndoAnswered",
    "UnfitData",
    "Unfitting",
    "Unheard",
    "Unknown",
    "Upkeep",
    "compensation",
    "current",
    "serve_http",
]
