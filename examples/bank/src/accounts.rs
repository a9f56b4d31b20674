//! The accounts: money is taken from one and given to another, and each has one undo.

use amends_participant::{About, Outcome, Refused, Tx, Undoing, participant};
use serde::{Deserialize, Serialize};
use sqlx::Sqlite;

pub const TABLES: &str = "
CREATE TABLE IF NOT EXISTS account (
    name TEXT PRIMARY KEY, cents INTEGER NOT NULL, closed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS booking (   -- every movement of money, never changed
    booking INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL, cents INTEGER NOT NULL, saga_id TEXT NOT NULL, step TEXT NOT NULL);
INSERT OR IGNORE INTO account VALUES ('account-closed', 0, 1), ('account-empty', 0, 0);
";

/// What an account opens with: this bank opens each that it is asked for, so that a transfer can
/// be tried without more ado.
const OPENING_CENTS: i64 = 1_000_000;

pub struct Accounts;

/// What a transfer brings; the accounts look at no more of it.
#[derive(Deserialize)]
pub struct Transfer {
    source_account: String,
    destination_account: String,
    amount: u32,
}

/// Money that was moved: what its undo needs to know.
#[derive(Serialize, Deserialize)]
pub struct Moved {
    account: String,
    cents: i64,
}

#[participant(service = "AccountService")]
impl Accounts {
    #[action("DebitAccount")]
    async fn debit(tx: &mut Tx<Sqlite>, transfer: Transfer, about: &About) -> Outcome<Moved> {
        let cents = i64::from(transfer.amount);
        let has = balance(tx, &transfer.source_account).await?;
        if has < cents {
            let why = format!("{} has {has} cents", transfer.source_account);
            return Err(Refused::new("INSUFFICIENT_FUNDS", why).into());
        }
        Ok(book(tx, transfer.source_account, -cents, about).await?)
    }

    /// An undo asks nothing: the money goes back into an account that was closed since, too.
    #[compensation("CreditAccount", undoes = "DebitAccount")]
    async fn give_back(tx: &mut Tx<Sqlite>, taken: Moved, about: &About) -> Undoing {
        book(tx, taken.account, -taken.cents, about).await?;
        Ok(())
    }

    #[action("CreditDestinationAccount")]
    async fn credit(tx: &mut Tx<Sqlite>, transfer: Transfer, about: &About) -> Outcome<Moved> {
        balance(tx, &transfer.destination_account).await?;
        Ok(book(tx, transfer.destination_account, i64::from(transfer.amount), about).await?)
    }

    /// Under the name of an action: a definition may have one command serve two steps. What was
    /// given is taken back even from an account that has spent it, and is then overdrawn.
    #[compensation("DebitAccount", undoes = "CreditDestinationAccount")]
    async fn take_back(tx: &mut Tx<Sqlite>, given: Moved, about: &About) -> Undoing {
        book(tx, given.account, -given.cents, about).await?;
        Ok(())
    }
}

/// How much an account has, if money may move on it.
async fn balance(tx: &mut Tx<Sqlite>, account: &str) -> Outcome<i64> {
    let open = "INSERT OR IGNORE INTO account (name, cents) VALUES (?, ?)";
    sqlx::query(open).bind(account).bind(OPENING_CENTS).execute(&mut **tx).await?;
    let (cents, closed): (i64, bool) =
        sqlx::query_as("SELECT cents, closed FROM account WHERE name = ?")
            .bind(account)
            .fetch_one(&mut **tx)
            .await?;
    if closed {
        return Err(Refused::new("ACCOUNT_CLOSED", format!("{account} is closed")).into());
    }
    Ok(cents)
}

async fn book(
    tx: &mut Tx<Sqlite>,
    account: String,
    cents: i64,
    about: &About,
) -> sqlx::Result<Moved> {
    sqlx::query("UPDATE account SET cents = cents + ? WHERE name = ?")
        .bind(cents)
        .bind(&account)
        .execute(&mut **tx)
        .await?;
    sqlx::query("INSERT INTO booking (account, cents, saga_id, step) VALUES (?, ?, ?, ?)")
        .bind(&account)
        .bind(cents)
        .bind(about.saga_id())
        .bind(about.step())
        .execute(&mut **tx)
        .await?;
    Ok(Moved { account, cents })
}
