"""The payment service: charges an order's card, and refunds it.

Without any kit: a participant needs none. What makes it safe stands in participant.py beside it.
"""

import uuid

from participant import Refused, serve

SCHEMA = """
CREATE TABLE IF NOT EXISTS payment (
    payment_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, amount INTEGER NOT NULL,
    status TEXT NOT NULL);
"""

# The payment method whose bank always says no.
DECLINED = "card_declined"


def process_payment(db, command):
    method = command.get("payment_method")
    if not isinstance(method, str) or not method:
        raise Refused("NO_PAYMENT_METHOD", "the order has no payment method")
    if method == DECLINED:
        raise Refused("CARD_DECLINED", "the bank declines the card")
    amount = command.get("total", 0)
    if not isinstance(amount, int) or amount < 0:
        raise Refused("BAD_AMOUNT", "the total is not a whole number of cents")
    payment_id = f"payment-{uuid.uuid4()}"
    db.execute("INSERT INTO payment VALUES (?, ?, ?, 'charged')",
               (payment_id, str(command.get("order_id")), amount))
    return {"payment_id": payment_id, "amount": amount}


def refund_payment(db, command, charged):
    db.execute("UPDATE payment SET status = 'refunded' WHERE payment_id = ?",
               (charged["payment_id"],))


if __name__ == "__main__":
    serve("PaymentService", 7102, SCHEMA,
          actions={"ProcessPayment": process_payment},
          compensations={"RefundPayment": refund_payment})
