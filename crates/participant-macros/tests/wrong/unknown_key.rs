//! A key that there is not.

use amends_participant::{About, Outcome, Tx, Undoing, participant};
use sqlx::MySql;

#[derive(serde::Serialize, serde::Deserialize)]
struct Held;

#[derive(serde::Serialize, serde::Deserialize)]
struct Paid;

struct Inventory;

#[participant(name = "InventoryService")]
impl Inventory {
    #[action("ReserveItems")]
    async fn reserve(&self, _tx: &mut Tx<MySql>, _order: String, _about: &About) -> Outcome<Held> {
        Ok(Held)
    }
}

fn main() {}
