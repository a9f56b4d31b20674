//! The quick start of `docs/participant-rust.md`, word for word.

use amends_participant::{
    About, Http, Outcome, Refused, Tx, Undoing, ensure_or_refuse, participant,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Postgres};

#[derive(Deserialize)]
struct Order {
    sku: String,
    quantity: i64,
}

#[derive(Serialize, Deserialize)]
struct Reservation {
    sku: String,
    quantity: i64,
}

struct Inventory;

#[participant(service = "InventoryService")]
impl Inventory {
    #[action("ReserveItems")]
    async fn reserve(
        &self,
        tx: &mut Tx<Postgres>,
        order: Order,
        _: &About,
    ) -> Outcome<Reservation> {
        ensure_or_refuse!(order.quantity >= 1, "BAD_QUANTITY", "a quantity is 1 or more");
        let sql = "UPDATE stock SET amount = amount - $2 WHERE sku = $1 AND amount >= $2";
        let taken = sqlx::query(sql).bind(&order.sku).bind(order.quantity);
        if taken.execute(&mut **tx).await?.rows_affected() == 0 {
            return Err(Refused::new("OUT_OF_STOCK", format!("too few {}", order.sku)).into());
        }
        Ok(Reservation { sku: order.sku, quantity: order.quantity })
    }

    #[compensation("ReleaseReservation", undoes = "ReserveItems")]
    async fn release(&self, tx: &mut Tx<Postgres>, held: Reservation, _: &About) -> Undoing {
        let sql = "UPDATE stock SET amount = amount + $2 WHERE sku = $1";
        sqlx::query(sql).bind(&held.sku).bind(held.quantity).execute(&mut **tx).await?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    let inventory = Inventory.participant(pool).build();
    inventory.create_tables().await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:7101").await?;
    axum::serve(listener, Http::new(inventory).router()).await?;
    Ok(())
}
