"""The shipping service: books a parcel to an order's address, and cancels it.

On the kit, as two functions.
"""

import uuid
from dataclasses import dataclass

from kit import record, serve

from amends_participant import About, Database, Participant, Refused, SqliteHandle

SCHEMA = """
CREATE TABLE IF NOT EXISTS shipment (
    tracking_number TEXT PRIMARY KEY, order_id TEXT NOT NULL, address TEXT NOT NULL,
    status TEXT NOT NULL);
"""

# The address that no carrier finds.
UNKNOWN = "1 Nowhere Lane"


@dataclass
class Order:
    shipping_address: str
    order_id: str = ""


@dataclass
class Shipment:
    tracking_number: str


def shipping_service(database: Database) -> Participant:
    service = Participant("ShippingService", database, create_tables=True)

    @service.action("CreateShipment")
    async def create_shipment(order: Order, db: SqliteHandle, about: About) -> Shipment:
        if order.shipping_address == UNKNOWN:
            raise Refused("ADDRESS_UNKNOWN", "the carrier does not find the address")
        shipment = Shipment(f"track-{uuid.uuid4()}")
        await db.execute("INSERT INTO shipment VALUES (?, ?, ?, 'booked')",
                         (shipment.tracking_number, order.order_id, order.shipping_address))
        await record(db, about, shipment.tracking_number)
        return shipment

    @service.compensation("CancelShipment")
    async def cancel_shipment(
            order: Order, result: Shipment, db: SqliteHandle, about: About) -> None:
        await db.execute("UPDATE shipment SET status = 'cancelled' WHERE tracking_number = ?",
                         (result.tracking_number,))
        await record(db, about, result.tracking_number)

    return service


if __name__ == "__main__":
    serve(shipping_service, 7103, SCHEMA)
