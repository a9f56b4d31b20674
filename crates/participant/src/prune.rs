//! Pruning the guard: by age, and never sooner than a command of a saga may still come.

use std::time::Duration;

use tracing::{debug, info};

use crate::database::Database;
use crate::participant::Participant;

/// How long after a saga's end its last commands may still arrive, unless the engine says
/// otherwise.
pub const LATE_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// How many steps go in one statement: two rows each, so that no statement holds more than 1,000
/// rows' locks.
const STEPS_MAX: u16 = 500;

/// How often a batch is tried that lost a deadlock against a command, in a row: a loser of one
/// rarely loses the next.
const TRIES_MAX: u32 = 5;

/// How long a row of the guard is kept: all three together, from when it was written last.
///
/// ```
/// use std::time::Duration;
/// use amends_participant::Retention;
///
/// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// let retention = Retention::for_sagas_of_at_most(DAY * 21).behind_a_broker_that_keeps(DAY * 7);
/// assert_eq!(retention.age(), DAY * 29);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    late_window: Duration,
    longest: Duration,
    broker: Duration,
}

impl Retention {
    /// `longest` is the longest that a saga may take from this service's action to its
    /// compensation: its deadline, or the sum of its steps' deadlines, with the waiting for
    /// people in it. There is no default, so nobody prunes by accident what a saga of three weeks
    /// still needs.
    pub const fn for_sagas_of_at_most(longest: Duration) -> Self {
        Self { late_window: LATE_WINDOW, longest, broker: Duration::ZERO }
    }

    /// How long a broker may hold a message back: its retention.
    #[must_use]
    pub const fn behind_a_broker_that_keeps(mut self, retention: Duration) -> Self {
        self.broker = retention;
        self
    }

    /// The engine's `late_window`, where it is longer than a day. A shorter one changes nothing.
    #[must_use]
    pub fn with_a_late_window_of(mut self, late_window: Duration) -> Self {
        self.late_window = late_window.max(LATE_WINDOW);
        self
    }

    /// How old a row must be to go.
    pub const fn age(&self) -> Duration {
        self.late_window.saturating_add(self.longest).saturating_add(self.broker)
    }
}

impl<D: Database> Participant<D> {
    /// Deletes what is older than it needs to be, in batches, and says how many rows went. Both
    /// rows of a step go together, counted from the younger. Once a day is often enough.
    ///
    /// # Errors
    ///
    /// The database's; what was deleted until then stays so.
    pub async fn prune(&self, retention: Retention) -> sqlx::Result<u64> {
        let (mut pruned, mut tried) = (0, 0);
        loop {
            let mut connection = self.0.pool.acquire().await?;
            tried += 1;
            match D::prune(&mut connection, retention.age(), STEPS_MAX).await {
                Ok(0) => {
                    info!(rows = pruned, "pruned the guard");
                    return Ok(pruned);
                }
                Ok(rows) => (pruned, tried) = (pruned + rows, 0),
                Err(sqlx::Error::Database(e)) if D::is_conflict(&*e) && tried < TRIES_MAX => {
                    debug!(tried, "rolled back for a command's sake: {e}");
                }
                Err(e) => return Err(e),
            }
        }
    }
}
