//! What a cut of the power leaves.

use crate::state::{Change, Fate, File, Naming, Place, State, parent, write};

/// What a device writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Which of the things that were not synced are there all the same. What was synced always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// All of them: it was the process that died, and the system wrote everything in time.
    Nothing,
    /// None of them.
    Everything,
    /// Some, by chance: of every write each sector for itself, of the names the first few.
    Some {
        /// The chance.
        seed: u64,
    },
}

impl State {
    /// The disk as it is found afterwards; all that is on it is durable.
    pub(crate) fn lost(&self, loss: Loss) -> Self {
        let mut chance = Chance::new(loss);
        let mut names = self.kept_names.clone();
        let kept = chance.some_of(self.namings.len());
        for naming in &self.namings[..kept] {
            Naming::apply(naming, &mut names);
        }
        // What is in a folder that is not there is not there either.
        let all = names.clone();
        let is_there = |name: &str| {
            let mut folder = parent(name);
            while folder != "/" {
                if all.get(folder) != Some(&Place::Folder) {
                    return false;
                }
                folder = parent(folder);
            }
            true
        };
        names.retain(|name, _| is_there(name));
        let files = self.files.iter().map(|file| file.lost(&mut chance)).collect();
        Self { kept_names: names.clone(), names, namings: Vec::new(), files }
    }
}

impl File {
    fn lost(&self, chance: &mut Chance) -> Self {
        let mut bytes = self.base.clone();
        for (change, fate) in &self.changes {
            match (change, fate) {
                (_, Fate::Synced) => change.apply(&mut bytes),
                (Change::Truncate { .. }, _) => {
                    if chance.keeps() {
                        change.apply(&mut bytes);
                    }
                }
                (Change::Write { at, bytes: written }, _) => {
                    let mut from = 0;
                    while from < written.len() {
                        let end = (*at + from) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES - *at;
                        let to = end.min(written.len());
                        if chance.keeps() {
                            write(&mut bytes, at + from, &written[from..to]);
                        }
                        from = to;
                    }
                }
            }
        }
        Self { seen: bytes.clone(), base: bytes, changes: Vec::new() }
    }
}

struct Chance {
    loss: Loss,
    state: u64,
}

impl Chance {
    fn new(loss: Loss) -> Self {
        let state = if let Loss::Some { seed } = loss { seed } else { 0 };
        Self { loss, state }
    }

    fn keeps(&mut self) -> bool {
        match self.loss {
            Loss::Nothing => true,
            Loss::Everything => false,
            Loss::Some { .. } => self.next() & 1 == 0,
        }
    }

    fn some_of(&mut self, count: usize) -> usize {
        match self.loss {
            Loss::Nothing => count,
            Loss::Everything => 0,
            Loss::Some { .. } => self.next() as usize % (count + 1),
        }
    }

    /// splitmix64: the same choices for the same seed.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) >> 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Act;

    fn written(acts: &[Act]) -> State {
        let mut state = State::default();
        state.apply(&Act::Create("/f".to_owned()));
        state.apply(&Act::SyncFolder("/".to_owned()));
        for act in acts {
            state.apply(act);
        }
        state
    }

    fn put(at: usize, byte: u8) -> Act {
        Act::Write { node: 0, at, bytes: vec![byte; 1024] }
    }

    fn bytes(state: &State, loss: Loss) -> Vec<u8> {
        let lost = state.lost(loss);
        lost.files[lost.node("/f").expect("its name was synced")].seen.clone()
    }

    #[test]
    fn what_was_synced_is_there_and_the_rest_may_be() {
        let state = written(&[put(0, 1), Act::Sync(0), put(512, 2)]);
        assert_eq!(bytes(&state, Loss::Everything), [1; 1024]);
        assert_eq!(bytes(&state, Loss::Nothing), [[1; 512], [2; 512], [2; 512]].concat());
        let torn = [[1; 512], [1; 512], [2; 512]].concat();
        let found = (0..64).any(|seed| bytes(&state, Loss::Some { seed }) == torn);
        assert!(found, "a write is torn between its sectors");
    }

    #[test]
    fn what_a_failed_sync_lost_is_not_there_after_one_that_went_well_until_it_is_written_again() {
        let state = written(&[put(0, 1), Act::FailSync(0), put(1024, 2), Act::Sync(0)]);
        assert_eq!(bytes(&state, Loss::Everything), [[0; 1024], [2; 1024]].concat());
        assert_eq!(bytes(&state, Loss::Nothing), [[1; 1024], [2; 1024]].concat());
        let again = written(&[put(0, 1), Act::FailSync(0), put(0, 1), Act::Sync(0)]);
        assert_eq!(bytes(&again, Loss::Everything), [1; 1024]);
    }

    #[test]
    fn a_name_is_lost_without_a_sync_of_its_folder_and_all_in_a_folder_with_it() {
        let mut state = State::default();
        for act in [
            Act::MakeFolder("/data".to_owned()),
            Act::Create("/data/f".to_owned()),
            Act::SyncFolder("/data".to_owned()),
        ] {
            state.apply(&act);
        }
        assert!(state.lost(Loss::Everything).names.is_empty());
        state.apply(&Act::SyncFolder("/".to_owned()));
        assert!(state.lost(Loss::Everything).node("/data/f").is_some());
    }

    #[test]
    fn a_rename_is_there_whole_or_not_at_all() {
        let mut state = written(&[]);
        state.apply(&Act::Rename { from: "/f".to_owned(), to: "/g".to_owned() });
        for loss in (0..16).map(|seed| Loss::Some { seed }) {
            let names = state.lost(loss).names;
            assert_eq!(names.len(), 1, "{names:?}");
        }
    }
}
