//! A writer beside the engine, of a shard that no engine has: each process replaces the one of the
//! process before it, which then cannot write (`semantics.md` S14).

use amends_store::conformance::block_on;
use amends_store::{Batch, Epoch, JournalError, ShardId, Store};

const SHARD: ShardId = ShardId(u32::MAX);

/// The writers that there have been, and after how many acts of the disk each was told that it is
/// one.
#[derive(Clone, Default)]
pub struct Owners(Vec<(usize, Epoch)>);

impl Owners {
    /// Those that were told so by then.
    pub fn as_of(&self, moment: usize) -> Self {
        Self(self.0.iter().filter(|(told, _)| *told <= moment).copied().collect())
    }

    /// The next one takes over, and the one before it tries to write.
    pub fn replace(&mut self, store: &Store, acts: impl Fn() -> usize) -> Result<(), String> {
        let own = block_on(store.journal.acquire(SHARD)).map_err(|error| error.to_string())?;
        let newest = self.0.iter().map(|(_, epoch)| *epoch).max();
        // That it is the owner was an acknowledgement, too.
        assert!(newest.is_none_or(|newest| own > newest), "{own:?} after {newest:?} (S14) (S18)");
        self.0.push((acts(), own));
        let replaced = Batch { shard: SHARD, epoch: Epoch(own.0 - 1), entries: Vec::new() };
        match block_on(store.journal.append(replaced)) {
            Err(JournalError::StaleOwner { .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(_) => panic!("who was replaced by {own:?} has written (S14)"),
        }
    }
}
