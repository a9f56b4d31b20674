//! Sagas of the engine against two services of the kit, by message.

use std::sync::Arc;
use std::time::Duration;

use amends_core::saga::State;
use amends_definition::{Surroundings, check};
use amends_engine::{Binder, Carrier, Deployment, Engine, Options, Start};
use amends_participant::{About, InMemory, Outcome, Participant, Refused, Serving, Tx, Undoing};
use amends_store::memory::Disk;
use amends_transport::ByMessage;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{Sqlite, SqlitePool};

const DEFINITION: &str = "
saga: Order
steps:
  - name: reserve
    action: Stock.Take
    compensation: Stock.GiveBack
  - name: pay
    action: Account.Charge
    compensation: Account.Refund
services:
  Stock: { fence: barrier, http: { url: \"http://127.0.0.1:1\" } }
  Account: { fence: barrier, http: { url: \"http://127.0.0.1:1\" } }
";

#[derive(Deserialize)]
struct Order {
    amount: i64,
}

#[derive(Serialize, Deserialize)]
struct Taken {
    amount: i64,
}

/// Takes from what is there, or refuses.
async fn take(tx: &mut Tx<Sqlite>, order: Order, _: &About) -> Outcome<Taken> {
    let sql = "UPDATE holding SET amount = amount - ?1 WHERE amount >= ?1";
    let taken = sqlx::query(sql).bind(order.amount).execute(&mut **tx).await?;
    if taken.rows_affected() == 0 {
        return Err(Refused::new("TOO_LITTLE", "there is not enough").into());
    }
    tx.publish("Taken", &order.amount).await?;
    Ok(Taken { amount: order.amount })
}

async fn give_back(tx: &mut Tx<Sqlite>, taken: Taken, _: &About) -> Undoing {
    let sql = "UPDATE holding SET amount = amount + ?1";
    sqlx::query(sql).bind(taken.amount).execute(&mut **tx).await?;
    Ok(())
}

/// A service with a holding, behind a broker.
struct Service {
    broker: InMemory,
    pool: SqlitePool,
    serving: tokio::task::JoinHandle<()>,
}

impl Service {
    async fn start(folder: &std::path::Path, name: &str, commands: [&str; 2], amount: i64) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(folder.join(name))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
        sqlx::query("CREATE TABLE holding (amount INTEGER NOT NULL)").execute(&pool).await.unwrap();
        let sql = "INSERT INTO holding VALUES (?)";
        sqlx::query(sql).bind(amount).execute(&pool).await.unwrap();
        let participant = Participant::builder(name, pool.clone())
            .action(commands[0], take)
            .compensation(commands[1], give_back)
            .build();
        participant.create_tables().await.unwrap();
        let broker = InMemory::new();
        let serving = Serving::new(participant, broker.service());
        let serving = tokio::spawn(serving.run(std::future::pending()));
        Self { broker, pool, serving }
    }

    async fn holding(&self) -> i64 {
        sqlx::query_scalar("SELECT amount FROM holding").fetch_one(&self.pool).await.unwrap()
    }
}

struct Brokers {
    stock: InMemory,
    account: InMemory,
}

impl Binder for Brokers {
    fn bind(&self, service: &str, _: &amends_definition::Binding) -> Option<Carrier> {
        let broker = if service == "Stock" { &self.stock } else { &self.account };
        let runtime = tokio::runtime::Handle::current();
        let transport = Arc::new(ByMessage::new(broker.engine(), service, runtime));
        Some(Carrier { transport, answers_by_message: true })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sagas_complete_and_roll_back_by_message() {
    let folder = tempfile::tempdir().unwrap();
    let stock = Service::start(folder.path(), "Stock", ["Take", "GiveBack"], 1000).await;
    let account = Service::start(folder.path(), "Account", ["Charge", "Refund"], 35).await;
    let brokers = Brokers { stock: stock.broker.clone(), account: account.broker.clone() };
    let disk = Disk::new();
    let engine = Engine::start(Options::default(), disk.open(), Arc::new(brokers)).await.unwrap();
    let checked = check(DEFINITION.as_bytes(), "order.yaml", &Surroundings::none());
    let compiled = checked.compiled.unwrap_or_else(|| panic!("{:?}", checked.findings));
    engine.handle().deploy(vec![Deployment { compiled }]).await.unwrap();

    let orders = futures_util::future::join_all((0..10).map(|_| async {
        let start = Start {
            saga_type: "Order".into(),
            version: None,
            data: json!({"amount": 10}).to_string().into(),
            idempotency_key: None,
            wait: None,
        };
        let saga = engine.handle().start(start).await.unwrap().snapshot.saga.id;
        let ended = engine.handle().wait(saga, Duration::from_secs(600)).await.unwrap();
        ended.expect("it was acknowledged").saga.state
    }));
    let states = orders.await;
    // The account has enough for three; the other seven take their stock back.
    let count = |state| states.iter().filter(|other| **other == state).count();
    assert_eq!((count(State::Completed), count(State::Failed)), (3, 7), "{states:?}");
    assert_eq!((stock.holding().await, account.holding().await), (970, 5));
    assert_eq!(stock.broker.dead_letters(), []);
    stock.serving.abort();
    account.serving.abort();
}
