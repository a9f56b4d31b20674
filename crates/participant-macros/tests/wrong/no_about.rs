//! Two arguments of three.

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
    async fn reserve(&self, _tx: &mut Tx<MySql>, _order: String) -> Outcome<Held> {
        Ok(Held)
    }
}

// Of this nothing is wrong, and nothing is said.
fn main() {
    let _ = |pool: sqlx::MySqlPool| Inventory.participant(pool).build();
}
