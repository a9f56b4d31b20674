//! The notices: what was sent cannot be taken back, so the undo sends another.

use amends_participant::{About, Outcome, Tx, Undoing, participant};
use serde::{Deserialize, Serialize};
use sqlx::Sqlite;

pub const TABLES: &str = "
CREATE TABLE IF NOT EXISTS notice (
    notice INTEGER PRIMARY KEY AUTOINCREMENT,
    recipient TEXT NOT NULL, words TEXT NOT NULL, saga_id TEXT NOT NULL);
";

pub struct Notices;

#[derive(Deserialize)]
pub struct Transfer {
    transfer_id: String,
    source_account: String,
}

#[derive(Serialize, Deserialize)]
pub struct Told {
    recipient: String,
    transfer_id: String,
}

#[participant(service = "NotificationService")]
impl Notices {
    #[action("SendTransferConfirmation")]
    async fn confirm(tx: &mut Tx<Sqlite>, transfer: Transfer, about: &About) -> Outcome<Told> {
        let Transfer { transfer_id, source_account: recipient } = transfer;
        send(tx, &recipient, &format!("transfer {transfer_id} is done"), about).await?;
        Ok(Told { recipient, transfer_id })
    }

    #[compensation("SendTransferFailureNotice", undoes = "SendTransferConfirmation")]
    async fn correct(tx: &mut Tx<Sqlite>, told: Told, about: &About) -> Undoing {
        let words = format!("transfer {} was taken back", told.transfer_id);
        send(tx, &told.recipient, &words, about).await?;
        Ok(())
    }
}

async fn send(
    tx: &mut Tx<Sqlite>,
    recipient: &str,
    words: &str,
    about: &About,
) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO notice (recipient, words, saga_id) VALUES (?, ?, ?)")
        .bind(recipient)
        .bind(words)
        .bind(about.saga_id())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
