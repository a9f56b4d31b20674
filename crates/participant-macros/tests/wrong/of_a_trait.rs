//! On the `impl` block of a trait.

use amends_participant::{About, Outcome, Tx, Undoing, participant};
use sqlx::MySql;

#[derive(serde::Serialize, serde::Deserialize)]
struct Held;

#[derive(serde::Serialize, serde::Deserialize)]
struct Paid;

struct Inventory;

#[participant(service = "InventoryService")]
impl Clone for Inventory {
    fn clone(&self) -> Self {
        Self
    }
}

fn main() {}
