//! A disk that several processes see one after the other, and all that was done to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::loss::Loss;
use crate::mount::Mount;
use crate::state::{Act, Node, State};

/// A disk. Clones are the same one.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Kept>>);

#[derive(Default)]
pub(crate) struct Kept {
    before: State,
    pub(crate) state: State,
    acts: Vec<Act>,
    /// Which process has locked which file. The system knows, the device does not.
    held: BTreeMap<Node, u64>,
}

/// A file is locked by a process, until this is dropped or the process is killed.
pub(crate) struct Hold {
    disk: Disk,
    node: Node,
    process: u64,
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new process comes to it.
    pub fn mount(&self) -> Mount {
        Mount::new(self.clone())
    }

    /// How many acts have changed it.
    pub fn acts(&self) -> usize {
        self.kept().acts.len()
    }

    /// Another disk, as this one was found when the power was cut after its first `acts` acts.
    ///
    /// # Panics
    /// When there were not so many.
    pub fn after(&self, acts: usize, loss: Loss) -> Self {
        let kept = self.kept();
        let mut state = kept.before.clone();
        kept.acts[..acts].iter().for_each(|act| state.apply(act));
        let state = state.lost(loss);
        let before = state.clone();
        Self(Arc::new(Mutex::new(Kept { before, state, ..Kept::default() })))
    }

    /// Says in a line what the act with this number did, for whoever looks for a fault.
    pub fn describe(&self, act: usize) -> String {
        match &self.kept().acts[act] {
            Act::Write { node, at, bytes } => {
                format!("write of {} bytes at {at} of file {node}", bytes.len())
            }
            other => format!("{other:?}"),
        }
    }

    /// Locks a file, unless it is locked.
    pub(crate) fn hold(&self, node: Node, process: u64) -> Option<Hold> {
        let held = &mut self.kept().held;
        if held.contains_key(&node) {
            return None;
        }
        held.insert(node, process);
        Some(Hold { disk: self.clone(), node, process })
    }

    /// A process is gone, and its locks with it.
    pub(crate) fn release(&self, process: u64) {
        self.kept().held.retain(|_, by| *by != process);
    }

    /// Does this process still have a file locked?
    pub(crate) fn holds(&self, process: u64) -> bool {
        self.kept().held.values().any(|by| *by == process)
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it is held, but a test that fails elsewhere may.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let held = &mut self.disk.kept().held;
        if held.get(&self.node) == Some(&self.process) {
            held.remove(&self.node);
        }
    }
}

impl Kept {
    pub(crate) fn act(&mut self, act: Act) {
        self.state.apply(&act);
        self.acts.push(act);
    }
}
