//! A participant with a business that is a ledger, on each of the three databases.
//!
//! The ledger has no unique key on purpose: a guard that fails shows as a second entry.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use amends_participant::guard::Mistake;
use amends_participant::{
    About, Answer, Builder, Command, Database, Outcome, Participant, Refused, Tx, Undoing,
};
use amends_testbed::{Kind, Server};
use amends_wire::{ActionOutcome, CommandBody, SagaId, Undo};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, MySql, Pool, Postgres, Sqlite};
use tokio::sync::Semaphore;

pub(crate) const SERVICE: &str = "LedgerService";

/// Connections of one test: with these, two commands at once are at once in the database too.
pub(crate) const CONNECTIONS: u32 = 8;

/// What the business is asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) amount: i64,
    /// How it ends: `refuse`, `fail`, `panic`, `publish` three events, or well.
    #[serde(default)]
    pub(crate) end: String,
}

/// What the business answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) amount: i64,
    pub(crate) attempt: u32,
}

/// A database under test.
pub(crate) trait Tested: Database {
    /// Makes the ledger.
    const LEDGER_SQL: &'static str;

    fn enter(
        connection: &mut Self::Connection,
        saga_id: &str,
        step: &str,
        effect: &str,
        amount: i64,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Says a statement that cannot be prepared.
    fn say(
        connection: &mut Self::Connection,
        sql: &'static str,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    fn amounts(
        pool: &Pool<Self>,
        saga_id: &str,
        effect: &str,
    ) -> impl Future<Output = sqlx::Result<Vec<i64>>> + Send;

    /// Begins as who means to write does.
    fn begin_writing(
        pool: &Pool<Self>,
    ) -> impl Future<Output = sqlx::Transaction<'static, Self>> + Send;

    fn run(pool: &Pool<Self>, sql: String) -> impl Future<Output = sqlx::Result<u64>> + Send;

    fn number(
        pool: &Pool<Self>,
        sql: &'static str,
    ) -> impl Future<Output = sqlx::Result<i64>> + Send;
}

macro_rules! tested {
    ($database:ty, $begin:expr, $ledger:expr, $enter:expr, $amounts:expr) => {
        impl Tested for $database {
            const LEDGER_SQL: &'static str = $ledger;

            async fn enter(
                connection: &mut Self::Connection,
                saga_id: &str,
                step: &str,
                effect: &str,
                amount: i64,
            ) -> sqlx::Result<()> {
                let entry = sqlx::query($enter).bind(saga_id).bind(step).bind(effect).bind(amount);
                entry.execute(connection).await.map(drop)
            }

            async fn say(connection: &mut Self::Connection, sql: &'static str) -> sqlx::Result<()> {
                sqlx::raw_sql(sql).execute(connection).await.map(drop)
            }

            async fn amounts(
                pool: &Pool<Self>,
                saga_id: &str,
                effect: &str,
            ) -> sqlx::Result<Vec<i64>> {
                sqlx::query_scalar($amounts).bind(saga_id).bind(effect).fetch_all(pool).await
            }

            async fn begin_writing(pool: &Pool<Self>) -> sqlx::Transaction<'static, Self> {
                pool.begin_with($begin).await.unwrap()
            }

            async fn run(pool: &Pool<Self>, sql: String) -> sqlx::Result<u64> {
                let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(pool).await?;
                Ok(done.rows_affected())
            }

            async fn number(pool: &Pool<Self>, sql: &'static str) -> sqlx::Result<i64> {
                sqlx::query_scalar(sql).fetch_one(pool).await
            }
        }
    };
}

tested!(
    Postgres,
    "BEGIN",
    "CREATE TABLE IF NOT EXISTS ledger \
     (saga_id text NOT NULL, step text NOT NULL, effect text NOT NULL, amount bigint NOT NULL)",
    "INSERT INTO ledger (saga_id, step, effect, amount) VALUES ($1, $2, $3, $4)",
    "SELECT amount FROM ledger WHERE saga_id = $1 AND effect = $2"
);
tested!(
    MySql,
    "BEGIN",
    "CREATE TABLE IF NOT EXISTS ledger (saga_id CHAR(36) NOT NULL, step VARCHAR(80) NOT NULL, \
     effect VARCHAR(12) NOT NULL, amount BIGINT NOT NULL) ENGINE = InnoDB CHARACTER SET utf8mb4",
    "INSERT INTO ledger (saga_id, step, effect, amount) VALUES (?, ?, ?, ?)",
    "SELECT amount FROM ledger WHERE saga_id = ? AND effect = ?"
);
tested!(
    Sqlite,
    "BEGIN IMMEDIATE",
    "CREATE TABLE IF NOT EXISTS ledger \
     (saga_id TEXT NOT NULL, step TEXT NOT NULL, effect TEXT NOT NULL, amount INTEGER NOT NULL)",
    "INSERT INTO ledger (saga_id, step, effect, amount) VALUES (?, ?, ?, ?)",
    "SELECT amount FROM ledger WHERE saga_id = ? AND effect = ?"
);

/// What holds a handler up until it is let go: shut when a test wants to look in between.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) open: Arc<Semaphore>,
    pub(crate) at_work: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn standing_open() -> Self {
        Self { open: Arc::new(Semaphore::new(1_000_000)), at_work: Arc::new(Semaphore::new(0)) }
    }

    pub(crate) fn shut() -> Self {
        Self { open: Arc::new(Semaphore::new(0)), at_work: Arc::new(Semaphore::new(0)) }
    }

    pub(crate) async fn pass(&self) {
        self.at_work.add_permits(1);
        self.open.acquire().await.expect("the gate is never closed for good").forget();
    }

    /// Waits until a handler stands at the gate.
    pub(crate) async fn arrival(&self) {
        self.at_work.acquire().await.expect("the gate is never closed for good").forget();
    }
}

/// A participant on a database.
pub(crate) struct Bed<D: Database> {
    pub(crate) pool: Pool<D>,
    pub(crate) participant: Participant<D>,
}

impl<D: Tested> Bed<D> {
    pub(crate) async fn on(pool: Pool<D>, mistake: Option<Mistake>, gate: Gate) -> Self {
        // Another test may be making it at the same moment, and PostgreSQL then says so.
        if D::run(&pool, D::LEDGER_SQL.to_owned()).await.is_err() {
            D::run(&pool, D::LEDGER_SQL.to_owned()).await.unwrap();
        }
        let mut builder = business(Participant::builder(SERVICE, pool.clone()), gate);
        if let Some(mistake) = mistake {
            builder = builder.with_mistake(mistake);
        }
        let participant = builder.build();
        participant.create_tables().await.unwrap();
        Self { pool, participant }
    }

    /// The same database, with handlers that stand at this gate.
    pub(crate) async fn behind(&self, gate: &Gate) -> Self {
        Self::on(self.pool.clone(), None, gate.clone()).await
    }

    pub(crate) async fn tell(&self, body: &Bytes) -> Answer {
        let command = Command::read(SERVICE, None, &(), body).unwrap();
        self.participant.carry_out(&command).await
    }

    /// How often a saga's step was carried out, and undone.
    pub(crate) async fn effects(&self, saga: Saga) -> (usize, usize) {
        let id = saga.0.to_string();
        let count = async |effect| D::amounts(&self.pool, &id, effect).await.unwrap().len();
        (count("action").await, count("compensation").await)
    }
}

/// The business, behind a gate.
pub(crate) fn business<D: Tested>(builder: Builder<D>, gate: Gate) -> Builder<D> {
    let at_undo = gate.clone();
    builder
        .action_boxed("Act", move |tx, work, about| Box::pin(act(gate.clone(), tx, work, about)))
        .compensation_boxed("Undo", move |tx, receipt, about| {
            Box::pin(undo(at_undo.clone(), tx, receipt, about))
        })
}

async fn act<D: Tested>(gate: Gate, tx: &mut Tx<D>, work: Work, about: &About) -> Outcome<Receipt> {
    D::enter(tx, about.saga_id(), about.step(), "action", work.amount).await?;
    gate.pass().await;
    if let Some(end) = work.end.strip_prefix("roll back, enter and ") {
        D::say(tx, "ROLLBACK").await?;
        D::enter(tx, about.saga_id(), about.step(), "action", work.amount).await?;
        return match end {
            "refuse" => Err(Refused::new("NO", "after its own rollback").into()),
            "fail" => Err(std::io::Error::other("after its own rollback").into()),
            "panic" => panic!("as the test has it"),
            _ => Ok(Receipt { amount: work.amount, attempt: about.attempt() }),
        };
    }
    if work.end.starts_with("publish") {
        for n in 1..=3 {
            tx.publish("Acted", &n).await?;
        }
    }
    const WRONG: &str = "INSERT INTO no_such_table VALUES (1)";
    if work.end.starts_with("swallow") {
        assert!(D::say(tx, WRONG).await.is_err());
    }
    if work.end == "make a savepoint" {
        let mut savepoint = tx.begin().await?;
        assert!(D::say(&mut savepoint, WRONG).await.is_err());
        savepoint.rollback().await?;
    }
    match work.end.as_str() {
        "swallow and refuse" => Err(Refused::new("NO", format!("round {}", about.round())).into()),
        "commit and fail" => {
            D::say(tx, "COMMIT").await?;
            Err(std::io::Error::other("after its own commit").into())
        }
        "commit and panic" => {
            D::say(tx, "COMMIT").await?;
            panic!("as the test has it")
        }
        "commit and refuse" => {
            D::say(tx, "COMMIT").await?;
            Err(Refused::new("NO", "after its own commit").into())
        }
        "roll back" => {
            D::say(tx, "ROLLBACK").await?;
            Ok(Receipt { amount: work.amount, attempt: about.attempt() })
        }
        "publish and fail" => Err(std::io::Error::other("after it published").into()),
        "refuse" => Err(Refused::new("NO", format!("round {}", about.round())).into()),
        end if end
            .strip_prefix("refuse until round ")
            .is_some_and(|n| about.round() < n.parse().unwrap()) =>
        {
            Err(Refused::new("NO", format!("round {}", about.round())).into())
        }
        "fail" => Err(std::io::Error::other("the secret host db-7 is away").into()),
        "panic" => panic!("as the test has it"),
        _ => Ok(Receipt { amount: work.amount, attempt: about.attempt() }),
    }
}

async fn undo<D: Tested>(gate: Gate, tx: &mut Tx<D>, done: Receipt, about: &About) -> Undoing {
    D::enter(tx, about.saga_id(), about.step(), "compensation", done.amount).await?;
    gate.pass().await;
    match about.data_as::<Work>()?.end.as_str() {
        "fail to undo" => Err(std::io::Error::other("not yet").into()),
        "commit and fail to undo" => {
            D::say(tx, "COMMIT").await?;
            Err(std::io::Error::other("after its own commit").into())
        }
        "roll back, enter and fail to undo" => {
            D::say(tx, "ROLLBACK").await?;
            D::enter(tx, about.saga_id(), about.step(), "compensation", done.amount).await?;
            Err(std::io::Error::other("after its own rollback").into())
        }
        "roll back the undo" => Ok(D::say(tx, "ROLLBACK").await?),
        _ => Ok(()),
    }
}

/// A saga of one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saga(pub(crate) SagaId);

impl Saga {
    /// One that no other test has.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let run = u128::from(std::process::id());
        Self(SagaId(run << 64 | u128::from(NEXT.fetch_add(1, Ordering::Relaxed))))
    }

    pub(crate) fn action(self) -> Bytes {
        self.action_of(1, Work { amount: 5, ..Work::default() })
    }

    pub(crate) fn action_that(self, end: &str) -> Bytes {
        self.action_of(1, Work { amount: 5, end: end.to_owned() })
    }

    pub(crate) fn action_of(self, round: u16, work: Work) -> Bytes {
        self.body("Act", round, &serde_json::to_vec(&work).unwrap(), None)
    }

    pub(crate) fn undo(self) -> Bytes {
        self.undo_of(1, None)
    }

    /// With what the saga knows of the action: its result.
    pub(crate) fn undo_of(self, round: u16, result: Option<&[u8]>) -> Bytes {
        self.undo_with(round, result, b"{\"amount\":5}")
    }

    pub(crate) fn undo_with(self, round: u16, result: Option<&[u8]>, data: &[u8]) -> Bytes {
        let outcome =
            if result.is_some() { ActionOutcome::Completed } else { ActionOutcome::Unknown };
        let undo = Undo { action_round: 1, outcome, original_result: result };
        self.body("Undo", round, data, Some(undo))
    }

    fn body(self, command: &str, round: u16, data: &[u8], undo: Option<Undo<'_>>) -> Bytes {
        let body = CommandBody {
            saga_id: self.0,
            saga_type: "Test",
            step_name: "step",
            command: &format!("{SERVICE}.{command}"),
            round,
            data,
            flat: true,
            undo,
        };
        body.render().unwrap()
    }
}

/// The result of an action, as it is stored.
pub(crate) const RESULT: &str = r#"{"amount":5,"attempt":0}"#;

pub(crate) fn completed() -> Answer {
    Answer::Completed(RESULT.to_owned())
}

pub(crate) fn refused(round: u16) -> Answer {
    Answer::Refused(format!(r#"{{"code":"NO","message":"round {round}"}}"#))
}

/// The code in an answer's body.
pub(crate) fn code_of(answer: &Answer) -> String {
    let body: serde_json::Value = serde_json::from_str(&answer.body()).unwrap();
    body["error"]["code"].as_str().unwrap_or_default().to_owned()
}

/// The server that the tests of this program share. It goes with the program.
fn shared(server: &'static OnceLock<Mutex<Server>>, make: fn() -> Box<dyn Kind>) -> String {
    let server = server.get_or_init(|| Mutex::new(Server::start(make()).unwrap()));
    server.lock().unwrap().url()
}

pub(crate) async fn postgres_pool(url: &str) -> Pool<Postgres> {
    PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await.unwrap()
}

pub(crate) async fn mariadb_pool(url: &str) -> Pool<MySql> {
    MySqlPoolOptions::new().max_connections(CONNECTIONS).connect(url).await.unwrap()
}

pub(crate) fn postgres_url() -> String {
    static SERVER: OnceLock<Mutex<Server>> = OnceLock::new();
    shared(&SERVER, amends_testbed::postgres)
}

pub(crate) fn mariadb_url() -> String {
    static SERVER: OnceLock<Mutex<Server>> = OnceLock::new();
    mysql_url().unwrap_or_else(|| shared(&SERVER, amends_testbed::mariadb))
}

/// A database on a MySQL, which Debian has no package of: where it is said, it stands in for
/// MariaDB. See `docs/guard.md`.
pub(crate) fn mysql_url() -> Option<String> {
    std::env::var("AMENDS_TEST_MYSQL_URL").ok()
}

pub(crate) async fn postgres() -> Pool<Postgres> {
    postgres_pool(&tokio::task::spawn_blocking(postgres_url).await.unwrap()).await
}

pub(crate) async fn mariadb() -> Pool<MySql> {
    mariadb_pool(&tokio::task::spawn_blocking(mariadb_url).await.unwrap()).await
}

/// A file of its own for each, which goes when the process does.
pub(crate) async fn sqlite() -> Pool<Sqlite> {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap());
    let file = folder.path().join(format!("{}.db", NEXT.fetch_add(1, Ordering::Relaxed)));
    sqlite_pool(file).await
}

pub(crate) async fn sqlite_pool(file: std::path::PathBuf) -> Pool<Sqlite> {
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS);
    pool.connect_with(sqlite_options(file)).await.unwrap()
}

pub(crate) fn sqlite_options(file: std::path::PathBuf) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // A machine that is busy may take long to write.
        .busy_timeout(std::time::Duration::from_secs(60))
}

/// A database of its own, on the shared server: for what looks at whole tables.
pub(crate) async fn postgres_alone() -> Pool<Postgres> {
    postgres_pool(&postgres_alone_url().await).await
}

pub(crate) async fn postgres_alone_url() -> String {
    let name = format!("alone_{}", Saga::new().0.0 as u64);
    Postgres::run(&postgres().await, format!("CREATE DATABASE {name}")).await.unwrap();
    format!("{}/{name}", postgres_url().rsplit_once('/').unwrap().0)
}

/// The same.
pub(crate) async fn mariadb_alone() -> Pool<MySql> {
    mariadb_pool(&mariadb_alone_url().await).await
}

pub(crate) async fn mariadb_alone_url() -> String {
    let name = format!("alone_{}", Saga::new().0.0 as u64);
    MySql::run(&mariadb().await, format!("CREATE DATABASE {name}")).await.unwrap();
    format!("{}/{name}", mariadb_url().rsplit_once('/').unwrap().0)
}

/// Makes a test of each case on each database; `alone` in one of its own.
macro_rules! on_each_database {
    (alone $($case:ident)*) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(crate::bed::postgres_alone().await).await;
            })*
        }
        mod mariadb {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(crate::bed::mariadb_alone().await).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(crate::bed::sqlite().await).await;
            })*
        }
    };
    ($($case:ident)*) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let pool = crate::bed::postgres().await;
                let gate = crate::bed::Gate::standing_open();
                super::$case(&crate::bed::Bed::on(pool, None, gate).await).await;
            })*
        }
        mod mariadb {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let pool = crate::bed::mariadb().await;
                let gate = crate::bed::Gate::standing_open();
                super::$case(&crate::bed::Bed::on(pool, None, gate).await).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let pool = crate::bed::sqlite().await;
                let gate = crate::bed::Gate::standing_open();
                super::$case(&crate::bed::Bed::on(pool, None, gate).await).await;
            })*
        }
    };
}
pub(crate) use on_each_database;
