//! On something else than an `impl` block.

use amends_participant::{About, Outcome, Tx, Undoing, participant};
use sqlx::MySql;

#[derive(serde::Serialize, serde::Deserialize)]
struct Held;

#[derive(serde::Serialize, serde::Deserialize)]
struct Paid;

struct Inventory;

#[participant(service = "InventoryService")]
fn reserve() {}

fn main() {}
