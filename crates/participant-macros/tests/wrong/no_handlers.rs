//! Nothing in it is a handler.

use amends_participant::{About, Outcome, Tx, Undoing, participant};
use sqlx::MySql;

#[derive(serde::Serialize, serde::Deserialize)]
struct Held;

#[derive(serde::Serialize, serde::Deserialize)]
struct Paid;

struct Inventory;

#[participant(service = "InventoryService")]
impl Inventory {
    fn reserve(&self) {}
}

fn main() {}
