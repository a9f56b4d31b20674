"""The notification service: tells a customer what became of an order.

A letter cannot be unsent. Its compensation is a second one that takes the first one back.
"""

import uuid

from participant import Refused, serve

SCHEMA = """
CREATE TABLE IF NOT EXISTS letter (
    letter_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, order_id TEXT NOT NULL,
    text TEXT NOT NULL);
"""

# The customer whose mailbox takes nothing.
MAILBOX_FULL = "mailbox_full"


def send_order_confirmation(db, command):
    customer_id = command.get("customer_id")
    if not isinstance(customer_id, str) or not customer_id:
        raise Refused("NO_CUSTOMER", "the order has no customer")
    if customer_id == MAILBOX_FULL:
        raise Refused("MAILBOX_REFUSED", f"the mailbox of {customer_id} takes nothing")
    return {"letter_id": send(db, command, "your order is on its way")}


def send_cancellation_notice(db, command, sent):
    send(db, command, f"your order is cancelled; please forget {sent['letter_id']}")


def send(db, command, text):
    letter_id = f"letter-{uuid.uuid4()}"
    db.execute("INSERT INTO letter VALUES (?, ?, ?, ?)",
               (letter_id, str(command.get("customer_id")), str(command.get("order_id")), text))
    return letter_id


if __name__ == "__main__":
    serve("NotificationService", 7104, SCHEMA,
          actions={"SendOrderConfirmation": send_order_confirmation},
          compensations={"SendCancellationNotice": send_cancellation_notice})
