//! The rows of `testbed/rows.json`, which the kit for Python writes and reads the same: a service
//! may change from one kit to the other on one table.

use amends_participant::Command;
use serde::Deserialize;
use sqlx::{MySql, Pool, Postgres, Sqlite};

use crate::bed::{self, Bed, Gate, SERVICE, Tested};

#[derive(Deserialize)]
struct Case {
    name: String,
    commands: Vec<Told>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Told {
    body: String,
    status: u16,
    answer: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Row {
    direction: String,
    round: i64,
    /// As hexadecimal digits.
    body_sha256: String,
    state: String,
    reply: Option<String>,
}

fn cases() -> Vec<Case> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testbed/rows.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// A database whose guard is read and written by hand.
trait Bare: Tested {
    /// The digest as hexadecimal digits in lower case.
    const HEX: &'static str;
    /// The digest of such digits.
    const UNHEX: (&'static str, &'static str);
    const NOW: &'static str;

    fn texts(
        pool: &Pool<Self>,
        sql: String,
    ) -> impl Future<Output = Vec<(String, String, String, String, Option<String>)>>;
}

macro_rules! bare {
    ($database:ty, $hex:expr, $unhex:expr, $now:expr) => {
        impl Bare for $database {
            const HEX: &'static str = $hex;
            const UNHEX: (&'static str, &'static str) = $unhex;
            const NOW: &'static str = $now;

            async fn texts(
                pool: &Pool<Self>,
                sql: String,
            ) -> Vec<(String, String, String, String, Option<String>)> {
                sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(pool).await.unwrap()
            }
        }
    };
}

bare!(Postgres, "encode(body_sha256, 'hex')", ("decode('", "', 'hex')"), "now()");
bare!(MySql, "lower(hex(body_sha256))", ("x'", "'"), "UTC_TIMESTAMP(6)");
bare!(Sqlite, "lower(hex(body_sha256))", ("x'", "'"), "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')");

async fn tell<D: Tested>(bed: &Bed<D>, told: &Told, name: &str) {
    let sending = [("amends-attempt", "1")];
    let body = told.body.clone().into();
    let command = Command::read(SERVICE, None, &sending[..], &body).unwrap();
    let answer = bed.participant.carry_out(&command).await;
    assert_eq!((answer.status(), answer.body()), (told.status, told.answer.clone()), "{name}");
}

async fn rows<D: Bare>(bed: &Bed<D>) -> Vec<Row> {
    let round = if D::NAME == "MySQL" { "CAST(round AS CHAR)" } else { "CAST(round AS text)" };
    let sql = format!(
        "SELECT direction, {round}, {}, state, reply FROM amends_guard ORDER BY direction",
        D::HEX
    );
    let found = D::texts(&bed.pool, sql).await.into_iter();
    let row = |(direction, round, body_sha256, state, reply): (String, String, _, _, _)| Row {
        direction,
        round: round.parse().unwrap(),
        body_sha256,
        state,
        reply,
    };
    found.map(row).collect()
}

async fn check<D: Bare>(pool: Pool<D>) {
    let bed = Bed::on(pool, None, Gate::standing_open()).await;
    let empty = async || D::run(&bed.pool, "DELETE FROM amends_guard".to_owned()).await.unwrap();
    for Case { name, commands, rows: golden } in cases() {
        empty().await;
        for told in &commands {
            tell(&bed, told, &name).await;
        }
        assert_eq!(rows(&bed).await, golden, "{name}");
        // Written by another, and read by this one.
        empty().await;
        let saga_id = &commands[0].body[12..48];
        for row in &golden {
            let reply = row.reply.as_ref().map_or("NULL".to_owned(), |text| format!("'{text}'"));
            let (before, after) = D::UNHEX;
            let sql = format!(
                "INSERT INTO amends_guard \
                 (saga_id, step, direction, round, body_sha256, state, reply, written_at) VALUES \
                 ('{saga_id}', 'pay', '{}', {}, {before}{}{after}, '{}', {reply}, {})",
                row.direction,
                row.round,
                row.body_sha256,
                row.state,
                D::NOW
            );
            D::run(&bed.pool, sql).await.unwrap();
        }
        let effects = "SELECT count(*) FROM ledger";
        let before = D::number(&bed.pool, effects).await.unwrap();
        tell(&bed, commands.last().unwrap(), &name).await;
        assert_eq!(D::number(&bed.pool, effects).await.unwrap(), before, "{name} ran again");
        assert_eq!(rows(&bed).await, golden, "{name}, told again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_are_those_of_both_kits_on_postgres() {
    check(bed::postgres_alone().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_are_those_of_both_kits_on_mariadb() {
    check(bed::mariadb_alone().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_are_those_of_both_kits_on_sqlite() {
    check(bed::sqlite().await).await;
}
