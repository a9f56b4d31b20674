//! The inbox: what was received is taken in once.

use std::time::Duration;

use crate::database::Database;
use crate::ending::Failed;
use crate::participant::Participant;

/// The longest source, and the longest id, in characters: MySQL keeps both in its key.
pub const INBOX_CHARS_MAX: usize = 200;

/// How many rows go in one statement.
const ROWS_MAX: u16 = 1000;

pub(crate) async fn once<D: Database>(
    connection: &mut D::Connection,
    source: &str,
    id: &str,
) -> Result<bool, Failed> {
    for (what, text) in [("source", source), ("id", id)] {
        if text.chars().count() > INBOX_CHARS_MAX || text.trim() != text {
            return Err(Failed::new(format!(
                "the {what} of what was received has at most {INBOX_CHARS_MAX} characters, and \
                 no space at its ends"
            )));
        }
    }
    Ok(D::note(connection, source, id).await?)
}

impl<D: Database> Participant<D> {
    /// Notes in a transaction of the service's own that something was received: `false` if it
    /// was before, and then there is nothing to do. For consumers of events; a command needs none
    /// of it.
    ///
    /// # Errors
    ///
    /// A text that is too long, or the database's.
    pub async fn once(
        &self,
        connection: &mut D::Connection,
        source: &str,
        id: &str,
    ) -> Result<bool, Failed> {
        once::<D>(connection, source, id).await
    }

    /// Forgets what was received longer ago than its sender would send it again: the retention
    /// of the broker, say. How many rows went.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn forget_received(&self, age: Duration) -> sqlx::Result<u64> {
        let mut forgotten = 0;
        loop {
            let mut connection = self.0.pool.acquire().await?;
            match D::forget(&mut connection, age, ROWS_MAX).await? {
                0 => return Ok(forgotten),
                rows => forgotten += rows,
            }
        }
    }
}
