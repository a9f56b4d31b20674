//! The audit: who did what, each entry chained to the one before by its hash, so that a change
//! made later to any of them shows.

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// A SHA-256.
pub type AuditHash = [u8; 32];

/// Something a person did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// When, in milliseconds of the Unix epoch.
    pub at: u64,
    /// Who.
    pub actor: String,
    /// Which verb.
    pub action: String,
    /// To which saga.
    pub saga: Option<u128>,
    /// Reason and circumstances, which the store does not read.
    pub detail: Bytes,
}

/// An entry of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place, counted from 1 without a gap.
    pub number: u64,
    /// The hash of this entry and the hash before it.
    pub hash: AuditHash,
    /// What was done.
    pub audit: Audit,
}

/// An entry that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "audit entry {number} does not follow from the one before it: it, or one before, was changed or taken out"
)]
pub struct AuditBreak {
    /// The first entry that does not fit.
    pub number: u64,
}

impl AuditEntry {
    /// The entry that follows `before`.
    pub fn following(before: Option<(u64, AuditHash)>, audit: Audit) -> Self {
        let (number, hash) = before.unwrap_or_default();
        let number = number + 1;
        Self { number, hash: chain(number, &hash, &audit), audit }
    }
}

/// Checks that entries follow from each other, the first from `before`.
pub fn check_audit(
    mut before: Option<(u64, AuditHash)>,
    entries: &[AuditEntry],
) -> Result<(), AuditBreak> {
    for entry in entries {
        let expected = AuditEntry::following(before, entry.audit.clone());
        if expected != *entry {
            return Err(AuditBreak { number: expected.number });
        }
        before = Some((entry.number, entry.hash));
    }
    Ok(())
}

/// Every field with its length before it, so that no two entries have the same bytes.
fn chain(number: u64, before: &AuditHash, audit: &Audit) -> AuditHash {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(number.to_le_bytes());
    hash.update(audit.at.to_le_bytes());
    for text in [&audit.actor, &audit.action] {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.update([u8::from(audit.saga.is_some())]);
    hash.update(audit.saga.unwrap_or_default().to_le_bytes());
    hash.update((audit.detail.len() as u64).to_le_bytes());
    hash.update(&audit.detail);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit(action: &str) -> Audit {
        Audit {
            at: 5,
            actor: "ada".into(),
            action: action.into(),
            saga: Some(7),
            detail: Bytes::from_static(b"why"),
        }
    }

    #[test]
    fn a_changed_a_missing_and_a_moved_entry_show() {
        let mut entries = vec![];
        let mut before = None;
        for action in ["retry", "skip", "cancel"] {
            let entry = AuditEntry::following(before, audit(action));
            before = Some((entry.number, entry.hash));
            entries.push(entry);
        }
        assert_eq!(check_audit(None, &entries), Ok(()));

        let mut changed = entries.clone();
        changed[1].audit.actor = "eve".into();
        assert_eq!(check_audit(None, &changed), Err(AuditBreak { number: 2 }));

        let mut missing = entries.clone();
        missing.remove(0);
        assert_eq!(check_audit(None, &missing), Err(AuditBreak { number: 1 }));

        let mut moved = entries;
        moved.swap(1, 2);
        assert_eq!(check_audit(None, &moved), Err(AuditBreak { number: 2 }));
    }

    #[test]
    fn text_that_moves_from_one_field_to_the_next_has_another_hash() {
        let one = Audit { actor: "ab".into(), action: "c".into(), ..audit("") };
        let other = Audit { actor: "a".into(), action: "bc".into(), ..audit("") };
        assert_ne!(AuditEntry::following(None, one).hash, AuditEntry::following(None, other).hash);
    }
}
