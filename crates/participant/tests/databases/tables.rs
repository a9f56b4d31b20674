//! The kit's tables are those of `testbed/tables.json`, as each database's catalogue says them, and
//! so those of the kit for Python: a service may change from one kit to the other on one database.

use std::collections::HashMap;

use serde::Deserialize;
use sqlx::{MySql, Pool, Postgres, Sqlite};

use crate::bed::{SERVICE, Tested};

/// What a database is asked for, and says.
#[derive(Deserialize)]
struct Golden {
    query: Vec<String>,
    rows: Vec<String>,
}

fn golden(database: &str) -> Golden {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testbed/tables.json");
    let mut all: HashMap<String, Golden> =
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    all.remove(database).unwrap()
}

/// A database whose catalogue is read.
trait Told: Tested {
    async fn texts(pool: &Pool<Self>, sql: String) -> Vec<String>;
}

macro_rules! told {
    ($($database:ty),*) => {
        $(impl Told for $database {
            async fn texts(pool: &Pool<Self>, sql: String) -> Vec<String> {
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(pool).await.unwrap()
            }
        })*
    };
}

told!(Postgres, MySql, Sqlite);

async fn check<D: Told>(pool: Pool<D>, database: &str) {
    let participant = amends_participant::Participant::builder(SERVICE, pool.clone()).build();
    participant.create_tables().await.unwrap();
    let Golden { query, rows } = golden(database);
    assert_equal(&D::texts(&pool, query.join("\n")).await, &rows);
}

fn assert_equal(said: &[String], rows: &[String]) {
    let more: Vec<_> = said.iter().filter(|row| !rows.contains(row)).collect();
    let less: Vec<_> = rows.iter().filter(|row| !said.contains(row)).collect();
    assert!(said == rows, "not in testbed/tables.json: {more:#?}\nonly there: {less:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_are_those_of_both_kits_on_postgres() {
    check(crate::bed::postgres_alone().await, "postgresql").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_are_those_of_both_kits_on_mariadb() {
    check(crate::bed::mariadb_alone().await, "mariadb").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_are_those_of_both_kits_on_sqlite() {
    check(crate::bed::sqlite().await, "sqlite").await;
}
