//! What the services themselves know of their sagas, and what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::service::acknowledgements;
use crate::judge::served::Served;
use crate::order::STEPS;
use crate::service::database;

/// As which sagas each order was acknowledged.
pub fn acknowledged(folder: &Path) -> Result<BTreeMap<u64, BTreeSet<String>>, String> {
    let text = std::fs::read_to_string(acknowledgements(folder));
    let text = text.map_err(|error| format!("what was acknowledged cannot be read: {error}"))?;
    let mut heard: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    // A last line without its end was being written when its service was killed.
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let (n, saga) = line.trim_end().split_once(' ').ok_or("a line without a saga")?;
        let n = n.parse().map_err(|_| format!("{line:?} is no order"))?;
        heard.entry(n).or_default().insert(saga.to_owned());
    }
    Ok(heard)
}

/// How many sagas have ended, as far as a service knows.
pub async fn ended(folder: &Path, place: usize) -> Result<u64, String> {
    let count = "SELECT count(*) FROM amends_saga WHERE state IN ('completed', 'failed')";
    let counted = async {
        let pool = open(folder, place).await?;
        let ended: i64 = sqlx::query_scalar(count).fetch_one(&pool).await?;
        pool.close().await;
        Ok::<_, sqlx::Error>(ended)
    };
    // Not made yet, or being written.
    Ok(counted.await.map_or(0, |ended| u64::try_from(ended).unwrap_or(0)))
}

/// Every saga as the first service knows it, with what others know otherwise.
pub async fn told(folder: &Path) -> Result<Vec<Served>, String> {
    let mut by_service = Vec::new();
    for (place, step) in STEPS.iter().enumerate() {
        let read = rows(folder, place).await;
        by_service.push(read.map_err(|error| format!("what {} knows: {error}", step.service))?);
    }
    let mut told: BTreeMap<String, Served> = BTreeMap::new();
    for rows in &by_service {
        for (saga_id, row) in rows {
            if !told.contains_key(saga_id) {
                told.insert(saga_id.clone(), row.served(saga_id)?);
            }
        }
    }
    for (rows, step) in by_service.iter().zip(&STEPS) {
        for (saga_id, served) in &mut told {
            let row = rows.get(saga_id);
            let state = row.map_or("unheard of", |row| &row.state);
            if state != served.state {
                served.trouble.push(format!("{} has it as {state}", step.service));
            }
            served.is_live |= row.is_some_and(|row| row.is_due);
        }
    }
    Ok(told.into_values().collect())
}

/// The same, with what the observer has otherwise.
pub fn with_the_observer(mut told: Vec<Served>, observed: &[Served]) -> Vec<Served> {
    let observed: BTreeMap<&str, &Served> =
        observed.iter().map(|saga| (&*saga.saga_id, saga)).collect();
    for saga in &mut told {
        let seen = observed.get(&*saga.saga_id);
        let state = seen.map_or("unheard of", |seen| &seen.state);
        if state != saga.state {
            saga.trouble.push(format!("the observer has it as {state}"));
        }
        let trouble = seen.iter().flat_map(|seen| &seen.trouble);
        saga.trouble.extend(trouble.map(|what| format!("the observer: {what}")));
    }
    told
}

struct Row {
    state: String,
    is_due: bool,
    record: String,
}

impl Row {
    fn served(&self, saga_id: &str) -> Result<Served, String> {
        let record: Value = serde_json::from_str(&self.record).map_err(|e| e.to_string())?;
        let order = record["data"]["order_id"].as_str().and_then(|id| id.strip_prefix("order-"));
        let n =
            order.and_then(|n| n.parse().ok()).ok_or_else(|| format!("{saga_id} is no order"))?;
        Ok(Served { state: self.state.clone(), ..Served::as_it_should_be(n, saga_id) })
    }
}

async fn rows(folder: &Path, place: usize) -> sqlx::Result<BTreeMap<String, Row>> {
    let pool = open(folder, place).await?;
    let all = "SELECT saga_id, state, due_at IS NOT NULL, record FROM amends_saga";
    let rows: Vec<(String, String, bool, String)> = sqlx::query_as(all).fetch_all(&pool).await?;
    pool.close().await;
    let row = |(saga_id, state, is_due, record)| (saga_id, Row { state, is_due, record });
    Ok(rows.into_iter().map(row).collect())
}

async fn open(folder: &Path, place: usize) -> sqlx::Result<SqlitePool> {
    let options = SqliteConnectOptions::new().filename(database(folder, &STEPS[place]));
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await
}
