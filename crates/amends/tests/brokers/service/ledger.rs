//! The business of a service: a ledger of what it did and undid, and what it holds, both written in
//! the transaction of the guard.

use std::path::Path;

use amends_participant::{About, Outcome, Participant, Refused, Tx, Undoing};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{Sqlite, SqlitePool};

use crate::order::{Order, STEPS};

/// Nothing in it forbids to do something twice: that is the guard's.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS ledger (
    saga_id TEXT NOT NULL, is_undo INTEGER NOT NULL, amount INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS holding (amount INTEGER NOT NULL);
INSERT INTO holding SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM holding);
";

/// What an action says, and its compensation is given.
#[derive(Serialize, Deserialize)]
struct Moved {
    amount: i64,
}

/// The service of a step.
pub async fn participant(place: usize, file: &Path) -> sqlx::Result<Participant<Sqlite>> {
    let pool = open(file, true).await?;
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    let step = &STEPS[place];
    let participant = Participant::builder(step.service, pool)
        .action_boxed(step.action, move |tx, order: Order, about| {
            Box::pin(act(place, tx, order, about))
        })
        .compensation(step.compensation, undo)
        .build();
    participant.create_tables().await?;
    Ok(participant)
}

async fn act(place: usize, tx: &mut Tx<Sqlite>, order: Order, about: &About) -> Outcome<Moved> {
    let amount = order.amount(place);
    // Before it refuses, so that a refusal has something to roll back.
    enter(tx, about, false, amount).await?;
    if order.is_refused_at(place) {
        return Err(Refused::new(STEPS[place].refusal, "it is one of the ten").into());
    }
    Ok(Moved { amount })
}

async fn undo(tx: &mut Tx<Sqlite>, moved: Moved, about: &About) -> Undoing {
    Ok(enter(tx, about, true, moved.amount).await?)
}

async fn enter(tx: &mut Tx<Sqlite>, about: &About, is_undo: bool, amount: i64) -> sqlx::Result<()> {
    let entry = sqlx::query("INSERT INTO ledger VALUES (?, ?, ?)");
    entry.bind(about.saga_id()).bind(is_undo).bind(amount).execute(&mut **tx).await?;
    let holding = sqlx::query("UPDATE holding SET amount = amount + ?");
    holding.bind(if is_undo { -amount } else { amount }).execute(&mut **tx).await?;
    Ok(())
}

async fn open(file: &Path, create: bool) -> sqlx::Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(create)
        .journal_mode(SqliteJournalMode::Wal);
    SqlitePoolOptions::new().connect_with(options).await
}

/// What a service did.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub entries: Vec<Entry>,
    /// What all of that came to, as the service itself kept it.
    pub holding: i64,
    /// Messages that it has committed and not published.
    pub unpublished: i64,
}

/// Something done, or undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub saga_id: String,
    pub is_undo: bool,
    pub amount: i64,
}

/// Reads it when the service has stopped.
pub async fn read(file: &Path) -> sqlx::Result<Ledger> {
    let pool = open(file, false).await?;
    let rows: Vec<(String, bool, i64)> =
        sqlx::query_as("SELECT saga_id, is_undo, amount FROM ledger").fetch_all(&pool).await?;
    let entry = |(saga_id, is_undo, amount)| Entry { saga_id, is_undo, amount };
    let number = async |sql: &'static str| sqlx::query_scalar(sql).fetch_one(&pool).await;
    let ledger = Ledger {
        entries: rows.into_iter().map(entry).collect(),
        holding: number("SELECT amount FROM holding").await?,
        unpublished: number("SELECT count(*) FROM amends_outbox").await?,
    };
    pool.close().await;
    Ok(ledger)
}
