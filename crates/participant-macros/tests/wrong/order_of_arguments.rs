//! The data before the transaction.

use amends_participant::{About, Outcome, Tx, Undoing, participant};
use sqlx::MySql;

#[derive(serde::Serialize, serde::Deserialize)]
struct Held;

#[derive(serde::Serialize, serde::Deserialize)]
struct Paid;

struct Inventory;

#[participant(service = "InventoryService")]
impl Inventory {
    #[action("ReserveItems")]
    async fn reserve(&self, _order: String, _tx: &mut Tx<MySql>, _about: &About) -> Outcome<Held> {
        Ok(Held)
    }
}

fn main() {}
