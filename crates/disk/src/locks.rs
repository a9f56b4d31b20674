//! The locks of one process: those on databases, and those on the memory that the connections to a
//! write-ahead file share. They go with the process.

use std::collections::HashMap;

use crate::state::Node;

/// Who holds a lock: an open file.
pub(crate) type Holder = u64;

/// How strongly a database is locked, in SQLite's numbers: 0 not at all, 4 exclusively.
pub(crate) type Level = i32;

const SHARED: Level = 1;
const RESERVED: Level = 2;
const PENDING: Level = 3;
const EXCLUSIVE: Level = 4;

/// How many locks the shared memory of a write-ahead file has.
const SHARED_LOCKS: usize = 8;

/// Pages of shared memory, in words, so that they are aligned as SQLite wants them.
type Region = Box<[u64]>;

#[derive(Default)]
pub(crate) struct Locks {
    files: HashMap<Node, HashMap<Holder, Level>>,
    shared: HashMap<Node, Shared>,
}

#[derive(Default)]
struct Shared {
    regions: Vec<Region>,
    /// Of each lock who holds it; exclusively when the flag is set.
    held: [Vec<(Holder, bool)>; SHARED_LOCKS],
    holders: Vec<Holder>,
}

/// Somebody else holds it.
pub(crate) struct Busy;

impl Locks {
    pub(crate) fn lock(&mut self, node: Node, holder: Holder, level: Level) -> Result<(), Busy> {
        let levels = self.files.entry(node).or_default();
        let own = levels.get(&holder).copied().unwrap_or_default();
        if own >= level {
            return Ok(());
        }
        let others = || levels.iter().filter(|(other, _)| **other != holder).map(|(_, l)| *l);
        let strongest = others().max().unwrap_or_default();
        let granted = match level {
            SHARED => (strongest < PENDING).then_some(SHARED),
            RESERVED => (strongest < RESERVED).then_some(RESERVED),
            _ if strongest >= RESERVED => None,
            // Those that read may go on to their end; nobody new comes in.
            _ if strongest >= SHARED => Some(PENDING),
            _ => Some(EXCLUSIVE),
        };
        let Some(granted) = granted else { return Err(Busy) };
        levels.insert(holder, granted);
        if granted < level { Err(Busy) } else { Ok(()) }
    }

    pub(crate) fn unlock(&mut self, node: Node, holder: Holder, level: Level) {
        let levels = self.files.entry(node).or_default();
        if level == 0 {
            levels.remove(&holder);
        } else {
            levels.insert(holder, level);
        }
    }

    /// Does anybody mean to write?
    pub(crate) fn reserved(&self, node: Node) -> bool {
        self.files.get(&node).is_some_and(|levels| levels.values().any(|l| *l >= RESERVED))
    }

    /// A page of shared memory; none when it is not there and not to be made.
    pub(crate) fn region(
        &mut self,
        node: Node,
        holder: Holder,
        page: usize,
        bytes: usize,
        make: bool,
    ) -> Option<*mut u64> {
        let shared = self.shared.entry(node).or_default();
        if !shared.holders.contains(&holder) {
            shared.holders.push(holder);
        }
        while make && shared.regions.len() <= page {
            shared.regions.push(vec![0; bytes / size_of::<u64>()].into_boxed_slice());
        }
        // The region stays where it is while anybody holds the memory.
        shared.regions.get_mut(page).map(|region| region.as_mut_ptr())
    }

    pub(crate) fn lock_shared(
        &mut self,
        node: Node,
        holder: Holder,
        which: std::ops::Range<usize>,
        exclusive: bool,
    ) -> Result<(), Busy> {
        let shared = self.shared.entry(node).or_default();
        let barred = |held: &Vec<(Holder, bool)>| {
            held.iter().any(|(other, excludes)| *other != holder && (exclusive || *excludes))
        };
        if shared.held[which.clone()].iter().any(barred) {
            return Err(Busy);
        }
        for held in &mut shared.held[which] {
            held.retain(|(other, _)| *other != holder);
            held.push((holder, exclusive));
        }
        Ok(())
    }

    pub(crate) fn unlock_shared(
        &mut self,
        node: Node,
        holder: Holder,
        which: std::ops::Range<usize>,
    ) {
        let shared = self.shared.entry(node).or_default();
        for held in &mut shared.held[which] {
            held.retain(|(other, _)| *other != holder);
        }
    }

    /// The holder needs the shared memory no more; with the last one it goes.
    pub(crate) fn leave(&mut self, node: Node, holder: Holder) {
        self.unlock_shared(node, holder, 0..SHARED_LOCKS);
        if let Some(shared) = self.shared.get_mut(&node) {
            shared.holders.retain(|other| *other != holder);
            if shared.holders.is_empty() {
                self.shared.remove(&node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writes_while_others_read_and_a_writer_that_wants_all_waits_for_them() {
        let mut locks = Locks::default();
        assert!(locks.lock(0, 1, SHARED).is_ok() && locks.lock(0, 2, SHARED).is_ok());
        assert!(locks.lock(0, 1, RESERVED).is_ok() && locks.lock(0, 2, RESERVED).is_err());
        assert!(locks.lock(0, 1, EXCLUSIVE).is_err(), "2 still reads");
        assert!(locks.lock(0, 3, SHARED).is_err(), "nobody new comes in");
        locks.unlock(0, 2, 0);
        assert!(locks.lock(0, 1, EXCLUSIVE).is_ok());
        locks.unlock(0, 1, 0);
        assert!(!locks.reserved(0) && locks.lock(0, 3, SHARED).is_ok());
    }

    #[test]
    fn a_shared_lock_is_held_by_many_and_an_exclusive_one_by_one() {
        let mut locks = Locks::default();
        assert!(locks.lock_shared(0, 1, 3..4, false).is_ok());
        assert!(locks.lock_shared(0, 2, 3..4, false).is_ok());
        assert!(locks.lock_shared(0, 3, 2..5, true).is_err());
        locks.leave(0, 1);
        locks.leave(0, 2);
        assert!(locks.lock_shared(0, 3, 2..5, true).is_ok());
        assert!(locks.lock_shared(0, 1, 4..5, false).is_err());
    }
}
