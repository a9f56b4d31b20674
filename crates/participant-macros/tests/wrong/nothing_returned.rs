//! A compensation that returns nothing.

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
    async fn reserve(&self, _tx: &mut Tx<MySql>, _order: String, _about: &About) -> Outcome<Held> {
        Ok(Held)
    }

    #[compensation("ReleaseReservation", undoes = "ReserveItems")]
    async fn release(&self, _tx: &mut Tx<MySql>, _held: Held, _about: &About) {
    }
}

fn main() {}
