//! The ledger: a record of every transfer, which is voided and not deleted.

use amends_participant::{About, Outcome, Tx, Undoing, participant};
use serde::{Deserialize, Serialize};
use sqlx::Sqlite;

pub const TABLES: &str = "
CREATE TABLE IF NOT EXISTS transfer (
    record INTEGER PRIMARY KEY AUTOINCREMENT, transfer_id TEXT NOT NULL,
    cents INTEGER NOT NULL, voided INTEGER NOT NULL DEFAULT 0, saga_id TEXT NOT NULL);
";

pub struct Transfers;

#[derive(Deserialize)]
pub struct Transfer {
    transfer_id: String,
    amount: u32,
}

#[derive(Serialize, Deserialize)]
pub struct Recorded {
    record: i64,
}

#[participant(service = "LedgerService")]
impl Transfers {
    #[action("CreateTransfer")]
    async fn record(tx: &mut Tx<Sqlite>, transfer: Transfer, about: &About) -> Outcome<Recorded> {
        let insert = "INSERT INTO transfer (transfer_id, cents, saga_id) VALUES (?, ?, ?)";
        let done = sqlx::query(insert)
            .bind(&transfer.transfer_id)
            .bind(transfer.amount)
            .bind(about.saga_id())
            .execute(&mut **tx)
            .await?;
        Ok(Recorded { record: done.last_insert_rowid() })
    }

    #[compensation("VoidTransfer", undoes = "CreateTransfer")]
    async fn void(tx: &mut Tx<Sqlite>, recorded: Recorded, _about: &About) -> Undoing {
        let void = "UPDATE transfer SET voided = 1 WHERE record = ?";
        sqlx::query(void).bind(recorded.record).execute(&mut **tx).await?;
        Ok(())
    }
}
