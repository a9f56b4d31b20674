//! A start that whoever asks for it may ask for twice: the same key is the same saga.

use amends_wire::SagaId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::NotStarted;
use crate::database::Database;
use crate::inbox::INBOX_CHARS_MAX;

/// A start under a key, which is its service's own.
pub(crate) struct Start<'a> {
    /// Of the key: the same whoever asks.
    pub(crate) saga_id: SagaId,
    /// In the inbox; services may share a database.
    source: String,
    key: &'a str,
}

impl<'a> Start<'a> {
    pub(crate) fn of(service: &str, saga_type: &str, key: &'a str) -> Result<Self, NotStarted> {
        if key.is_empty() || key.chars().count() > INBOX_CHARS_MAX {
            let why = format!("a key has 1 to {INBOX_CHARS_MAX} characters");
            return Err(NotStarted::BadData(vec![why]));
        }
        let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _]: [u8; 32] =
            Sha256::digest(format!("{service}\n{saga_type}\n{key}")).into();
        let saga_id = SagaId(Uuid::new_v8(id).as_u128());
        Ok(Self { saga_id, source: format!("start {service} {saga_type}"), key })
    }

    /// Notes it with its data, a JSON text; `false` where it was before, with the same.
    pub(crate) async fn is_new<D: Database>(
        &self,
        connection: &mut D::Connection,
        data: &str,
    ) -> Result<bool, NotStarted> {
        let with_data = format!("{} {:032x}", self.source, same_data(data));
        if D::note(connection, &self.source, self.key).await? {
            D::note(connection, &with_data, self.key).await?;
            return Ok(true);
        }
        if !D::is_noted(connection, &with_data, self.key).await? {
            return Err(NotStarted::KeyReused(self.key.to_owned()));
        }
        Ok(false)
    }
}

/// The same for the same data, in whatever order its fields stand.
fn same_data(text: &str) -> u128 {
    // It was read as JSON before.
    let mut data: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    data.sort_all_objects();
    let [digest @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _]: [u8; 32] =
        Sha256::digest(data.to_string()).into();
    u128::from_be_bytes(digest)
}
