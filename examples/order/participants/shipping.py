"""The shipping service: books a parcel to an order's address, and cancels it."""

import uuid

from participant import Refused, serve

SCHEMA = """
CREATE TABLE IF NOT EXISTS shipment (
    tracking_number TEXT PRIMARY KEY, order_id TEXT NOT NULL, address TEXT NOT NULL,
    status TEXT NOT NULL);
"""

# The address that no carrier finds.
UNKNOWN = "1 Nowhere Lane"


def create_shipment(db, command):
    address = command.get("shipping_address")
    if not isinstance(address, str) or not address:
        raise Refused("NO_ADDRESS", "the order has no shipping address")
    if address == UNKNOWN:
        raise Refused("ADDRESS_UNKNOWN", f"the carrier does not find {address}")
    tracking_number = f"track-{uuid.uuid4()}"
    db.execute("INSERT INTO shipment VALUES (?, ?, ?, 'booked')",
               (tracking_number, str(command.get("order_id")), address))
    return {"tracking_number": tracking_number}


def cancel_shipment(db, command, booked):
    db.execute("UPDATE shipment SET status = 'cancelled' WHERE tracking_number = ?",
               (booked["tracking_number"],))


if __name__ == "__main__":
    serve("ShippingService", 7103, SCHEMA,
          actions={"CreateShipment": create_shipment},
          compensations={"CancelShipment": cancel_shipment})
