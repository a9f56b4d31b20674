"""The notification service: tells a customer what became of an order.

A letter cannot be unsent. Its compensation is a second one that takes the first one back. On the
kit, as two functions; the letter lies in the service's own table, in the guard's transaction, so
that it is written once. Whoever carries letters out takes them from there.
"""

import uuid
from dataclasses import dataclass

from kit import record, serve

from amends_participant import About, Database, Participant, Refused, SqliteHandle

SCHEMA = """
CREATE TABLE IF NOT EXISTS letter (
    letter_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, order_id TEXT NOT NULL,
    text TEXT NOT NULL);
"""

# The customer whose mailbox takes nothing.
MAILBOX_FULL = "mailbox_full"


@dataclass
class Order:
    customer_id: str
    order_id: str = ""


@dataclass
class Letter:
    letter_id: str


def notification_service(database: Database) -> Participant:
    service = Participant("NotificationService", database, create_tables=True)

    @service.action("SendOrderConfirmation")
    async def send_order_confirmation(order: Order, db: SqliteHandle, about: About) -> Letter:
        if order.customer_id == MAILBOX_FULL:
            raise Refused("MAILBOX_REFUSED", "the customer's mailbox takes nothing")
        return await send(db, about, order, "your order is on its way")

    @service.compensation("SendCancellationNotice")
    async def send_cancellation_notice(
            order: Order, result: Letter, db: SqliteHandle, about: About) -> None:
        text = f"your order is cancelled; please forget {result.letter_id}"
        await send(db, about, order, text)

    return service


async def send(db: SqliteHandle, about: About, order: Order, text: str) -> Letter:
    letter = Letter(f"letter-{uuid.uuid4()}")
    await db.execute("INSERT INTO letter VALUES (?, ?, ?, ?)",
                     (letter.letter_id, order.customer_id, order.order_id, text))
    await record(db, about, letter.letter_id)
    return letter


if __name__ == "__main__":
    serve(notification_service, 7104, SCHEMA)
