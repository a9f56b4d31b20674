//! An action with its undo, one without, and one without `self`.

use amends_participant::{About, Outcome, Tx, Undoing, participant};
use sqlx::MySql;

#[derive(serde::Serialize, serde::Deserialize)]
struct Held;

struct Inventory;

#[participant(service = "InventoryService")]
impl Inventory {
    #[action("ReserveItems")]
    async fn reserve(&self, _tx: &mut Tx<MySql>, _order: String, _about: &About) -> Outcome<Held> {
        Ok(Held)
    }

    #[compensation("ReleaseReservation", undoes = "ReserveItems")]
    async fn release(&self, _tx: &mut Tx<MySql>, _held: Held, _about: &About) -> Undoing {
        Ok(())
    }

    #[action("Notify")]
    async fn notify(_tx: &mut Tx<MySql>, _to: String, _about: &About) -> Outcome<()> {
        Ok(())
    }

    fn no_handler(&self) {}
}

fn built(pool: sqlx::Pool<MySql>) -> amends_participant::Participant<MySql> {
    Inventory.no_handler();
    Inventory.participant(pool).build()
}

/// It compiles, and its commands are known by their names.
#[tokio::test]
async fn the_handlers_are_those_of_the_participant() {
    let pool = sqlx::mysql::MySqlPoolOptions::new().connect_lazy("mysql://127.0.0.1/none").unwrap();
    let participant = built(pool);
    assert_eq!(participant.service(), "InventoryService");
    let known = format!("{participant:?}");
    for name in ["ReserveItems", "ReleaseReservation", "Notify"] {
        assert!(known.contains(name), "{known}");
    }
}
