//! What is held of the outbox while it is published, so that no other relay publishes the same.

use std::time::Instant;

use sqlx::Transaction;
use sqlx::pool::PoolConnection;

use super::turn::Turn;
use super::{AGAIN_MAX, BATCH_MAX};
use crate::database::{Database, OutboxRow};
use crate::participant::Participant;

/// What is held.
pub(super) enum Held<D: Database> {
    /// Rows, in a transaction that is open meanwhile.
    Rows(Transaction<'static, D>),
    /// No rows, but the turn.
    Turn { connection: PoolConnection<D>, _turn: Turn },
}

impl<D: Database> Held<D> {
    /// None where it is another process's turn.
    pub(super) async fn begin(participant: &Participant<D>) -> sqlx::Result<Option<Self>> {
        let pool = participant.pool();
        if D::HOLDS_ROWS {
            return Ok(Some(Self::Rows(D::begin_relay(pool).await?)));
        }
        let mut connection = pool.acquire().await?;
        let file = D::file(&mut connection).await?;
        Ok(Turn::take(file.as_deref())?.map(|_turn| Self::Turn { connection, _turn }))
    }

    pub(super) fn connection(&mut self) -> &mut D::Connection {
        match self {
            Self::Rows(transaction) => transaction,
            Self::Turn { connection, .. } => connection,
        }
    }

    /// The first messages of sagas: none of them has one before it that is not published yet. It
    /// is asked after the rows are held, so that what came before one of them is seen. Where all
    /// of the first rows were refused before, those behind them are looked at; what was refused,
    /// and may be tried now, comes last, and only some of it.
    pub(super) async fn batch(
        &mut self,
        participant: &Participant<D>,
    ) -> sqlx::Result<Vec<(i64, OutboxRow)>> {
        let (mut after, mut batch, mut again) = (0, Vec::new(), Vec::new());
        while batch.is_empty() {
            let first = D::first(self.connection(), after, BATCH_MAX).await?;
            let Some((last, _)) = first.last() else { break };
            after = *last;
            let heads = D::heads(self.connection(), after).await?;
            let (aside, now) = (participant.aside(), Instant::now());
            for (id, row) in first.into_iter().filter(|(id, _)| heads.contains(id)) {
                if aside.is_new(id) {
                    batch.push((id, row));
                } else if again.len() < AGAIN_MAX && aside.is_due(id, now) {
                    again.push((id, row));
                }
            }
        }
        batch.append(&mut again);
        Ok(batch)
    }

    pub(super) async fn end(self) -> sqlx::Result<()> {
        match self {
            Self::Rows(transaction) => transaction.commit().await,
            Self::Turn { .. } => Ok(()),
        }
    }
}
