"""The inventory service: reserves what an order needs, and gives it back."""

import uuid

from participant import Refused, serve

SCHEMA = """
CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, available INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS reservation (
    reservation_id TEXT NOT NULL, order_id TEXT NOT NULL, sku TEXT NOT NULL,
    quantity INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS reservation_by_id ON reservation (reservation_id);
"""

# A shop that never runs dry, but for the one article that shows what a refusal looks like.
OPENING_STOCK = 1_000_000
SOLD_OUT = "OUT_OF_STOCK"


def reserve_items(db, command):
    items = command.get("items")
    if not isinstance(items, list) or not items:
        raise Refused("NO_ITEMS", "the order has no items")
    reservation_id = f"reservation-{uuid.uuid4()}"
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("sku"), str):
            raise Refused("BAD_ITEM", "an item has no sku")
        sku, quantity = item["sku"], item.get("quantity", 1)
        if not isinstance(quantity, int) or quantity < 1:
            raise Refused("BAD_ITEM", f"the quantity of {sku} is not a positive number")
        opening = 0 if sku == SOLD_OUT else OPENING_STOCK
        db.execute("INSERT OR IGNORE INTO stock VALUES (?, ?)", (sku, opening))
        taken = db.execute(
            "UPDATE stock SET available = available - ?2 WHERE sku = ?1 AND available >= ?2",
            (sku, quantity))
        if taken.rowcount == 0:
            raise Refused("OUT_OF_STOCK", f"there are not {quantity} of {sku}")
        db.execute("INSERT INTO reservation VALUES (?, ?, ?, ?)",
                   (reservation_id, str(command.get("order_id")), sku, quantity))
    return {"reservation_id": reservation_id}


def release_reservation(db, command, reserved):
    reservation_id = reserved["reservation_id"]
    db.execute(
        "UPDATE stock SET available = available + (SELECT sum(quantity) FROM reservation r"
        " WHERE r.reservation_id = ?1 AND r.sku = stock.sku)"
        " WHERE sku IN (SELECT sku FROM reservation WHERE reservation_id = ?1)", (reservation_id,))
    db.execute("DELETE FROM reservation WHERE reservation_id = ?", (reservation_id,))


if __name__ == "__main__":
    serve("InventoryService", 7101, SCHEMA,
          actions={"ReserveItems": reserve_items},
          compensations={"ReleaseReservation": release_reservation})
