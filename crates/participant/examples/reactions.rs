//! The reactions of `docs/participant-rust.md`, word for word. `cargo run -p amends-participant
//! --all-features --example reactions` prints what two services say of two orders.

use std::error::Error;
use std::time::Duration;

use amends_participant::{
    About, FreeChoreography, InMemory, Outcome, Participant, Reacting, Refused, Tx, Undoing,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{Sqlite, SqlitePool};

/// Of what the event carries, what this service needs.
#[derive(Deserialize)]
struct Order {
    items: Vec<String>,
}

/// `reservation_id` is what `InventoryReserved` adds; all of it is what the undo is given.
#[derive(Serialize, Deserialize)]
struct Reservation {
    reservation_id: String,
    items: Vec<String>,
}

async fn reserve(tx: &mut Tx<Sqlite>, order: Order, about: &About) -> Outcome<Reservation> {
    for item in &order.items {
        let sql = "UPDATE stock SET amount = amount - 1 WHERE sku = ? AND amount > 0";
        if sqlx::query(sql).bind(item).execute(&mut **tx).await?.rows_affected() == 0 {
            return Err(Refused::new("OUT_OF_STOCK", format!("no {item} is left")).into());
        }
    }
    Ok(Reservation { reservation_id: about.saga_id().to_owned(), items: order.items })
}

async fn release(tx: &mut Tx<Sqlite>, held: Reservation, _: &About) -> Undoing {
    for item in &held.items {
        let sql = "UPDATE stock SET amount = amount + 1 WHERE sku = ?";
        sqlx::query(sql).bind(item).execute(&mut **tx).await?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Bill {
    total_amount: i64,
}

async fn charge(_: &mut Tx<Sqlite>, bill: Bill, _: &About) -> Outcome<()> {
    if bill.total_amount > 1_000 {
        return Err(Refused::new("LIMIT", "that is too much for this card").into());
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL").unwrap_or("sqlite:shop.db?mode=rwc".to_owned());
    let pool = SqlitePool::connect(&url).await?;
    let file = include_bytes!("order.choreography.yaml");
    let orders = FreeChoreography::read(file, "order.choreography.yaml")?;

    let inventory = Participant::builder("InventoryService", pool.clone())
        .reactions(orders.clone())
        .on("OrderCreated", reserve)
        .undo("InventoryService.ReserveInventory", release)
        .build()?;
    let payment = Participant::builder("PaymentService", pool.clone())
        .reactions(orders)
        .on("InventoryReserved", charge)
        .build()?;
    inventory.create_tables().await?;
    let sql = "CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, amount INTEGER NOT NULL)";
    sqlx::query(sql).execute(&pool).await?;
    sqlx::query("INSERT OR REPLACE INTO stock VALUES ('kettle', 5)").execute(&pool).await?;

    // In earnest each is a process of its own, with a database of its own, behind NATS or Kafka.
    let broker = InMemory::new();
    for service in [inventory.clone(), payment] {
        let channel = broker.listener(service.participant().service());
        tokio::spawn(Reacting::new(service, channel).run(std::future::pending()));
    }

    for (order_id, total_amount) in [(17, 42), (18, 4_200)] {
        let order =
            json!({ "order_id": order_id, "items": ["kettle"], "total_amount": total_amount });
        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
        let run = inventory.start(&mut tx, "OrderCreated", &order).await?;
        tx.commit().await?;
        println!("order {order_id} is the run {run}");
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    for event in broker.events() {
        println!("{} {}", event.saga_id, event.name);
    }
    Ok(())
}
