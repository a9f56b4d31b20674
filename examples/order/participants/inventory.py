"""The inventory service: reserves what an order needs, and gives it back.

On the kit, as a class with a method for each command. What comes twice, late or in the wrong order
is the guard's affair; a method is the business and nothing else.
"""

import uuid
from dataclasses import dataclass

from kit import record, serve

from amends_participant import About, Refused, SqliteHandle

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


@dataclass
class Item:
    sku: str
    quantity: int = 1


@dataclass
class Order:
    items: list[Item]
    order_id: str = ""


@dataclass
class Reservation:
    reservation_id: str


class InventoryService:
    async def handle_reserve_items(
            self, order: Order, db: SqliteHandle, about: About) -> Reservation:
        if not order.items:
            raise Refused("NO_ITEMS", "the order has no items")
        reservation = Reservation(f"reservation-{uuid.uuid4()}")
        for item in order.items:
            await take(db, item)
            await db.execute("INSERT INTO reservation VALUES (?, ?, ?, ?)",
                             (reservation.reservation_id, order.order_id, item.sku, item.quantity))
        await record(db, about, reservation.reservation_id)
        return reservation

    async def handle_release_reservation(
            self, order: Order, result: Reservation, db: SqliteHandle, about: About) -> None:
        reserved = (result.reservation_id,)
        await db.execute(
            "UPDATE stock SET available = available + (SELECT sum(quantity) FROM reservation r"
            " WHERE r.reservation_id = ?1 AND r.sku = stock.sku)"
            " WHERE sku IN (SELECT sku FROM reservation WHERE reservation_id = ?1)", reserved)
        await db.execute("DELETE FROM reservation WHERE reservation_id = ?", reserved)
        await record(db, about, result.reservation_id)


async def take(db: SqliteHandle, item: Item) -> None:
    """Out of the stock; a refusal half way leaves nothing behind, since all of it is rolled back."""
    if item.quantity < 1:
        raise Refused("BAD_ITEM", f"the quantity of {item.sku} is not a positive number")
    opening = 0 if item.sku == SOLD_OUT else OPENING_STOCK
    await db.execute("INSERT OR IGNORE INTO stock VALUES (?, ?)", (item.sku, opening))
    taken = await db.execute(
        "UPDATE stock SET available = available - ?2 WHERE sku = ?1 AND available >= ?2",
        (item.sku, item.quantity))
    if taken == 0:
        raise Refused("OUT_OF_STOCK", f"there are not {item.quantity} of {item.sku}")


if __name__ == "__main__":
    serve(InventoryService, 7101, SCHEMA)
