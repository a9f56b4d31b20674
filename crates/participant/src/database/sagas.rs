//! What the databases do for sagas without a coordinator: a row each, for each service that hears of
//! it, with all that it has heard.

use std::future::Future;
use std::time::Duration;

/// The SQL of `amends_saga`.
pub trait Sagas: sqlx::Database {
    /// Takes hold of a saga's row until the transaction ends, waiting for whoever holds it: its record;
    /// an empty text where nothing was known of the saga. Such a row is to be written.
    fn hold(
        connection: &mut Self::Connection,
        row: Row<'_>,
        saga_type: &str,
    ) -> impl Future<Output = sqlx::Result<String>> + Send;

    /// Writes the row that is held.
    fn keep(
        connection: &mut Self::Connection,
        kept: &Kept<'_>,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Some sagas in which there is something to do by then, those that wait longest first; none that
    /// another holds, where that can be told. Each is put off to `later`, so that others look elsewhere.
    fn due(
        connection: &mut Self::Connection,
        service: &str,
        by: i64,
        later: i64,
        sagas_max: u16,
    ) -> impl Future<Output = sqlx::Result<Vec<(String, String)>>> + Send;

    /// The record of a saga, held or not.
    fn look_up(
        connection: &mut Self::Connection,
        row: Row<'_>,
    ) -> impl Future<Output = sqlx::Result<Option<String>>> + Send;

    /// Deletes at most `rows_max` rows of sagas that have ended, and of which nothing was written for `age`.
    /// One that has not may owe an undo yet, however long others take.
    fn prune_sagas(
        connection: &mut Self::Connection,
        age: Duration,
        rows_max: u16,
    ) -> impl Future<Output = sqlx::Result<u64>> + Send;
}

/// Which row: services may share a database, and each knows what it has heard itself.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The saga.
    pub saga_id: &'a str,
    /// The service.
    pub service: &'a str,
}

/// A row as it is written.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// Which.
    pub row: Row<'a>,
    /// How far it is, for people who look.
    pub state: &'static str,
    /// When there is something to do by itself, in milliseconds since 1970.
    pub due_at: Option<i64>,
    /// All that is known.
    pub record: &'a str,
}
