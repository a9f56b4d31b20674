//! What is on a disk: for a process, and for whoever comes after the power was cut.
//!
//! A file's changes lie in the order in which they were made until they are synced. A name that was
//! given, taken away or changed lies in wait in the same way, until the folder it is in is synced.
//! What a failed sync should have made durable is *lost to syncs*: it can be read, a later sync does
//! not bring it to the disk, and only writing it again does.

use std::collections::BTreeMap;

/// A file, whatever it is called.
pub(crate) type Node = usize;

/// Something that was done to the disk.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    MakeFolder(String),
    Create(String),
    Rename { from: String, to: String },
    Delete(String),
    SyncFolder(String),
    Write { node: Node, at: usize, bytes: Vec<u8> },
    Truncate { node: Node, length: usize },
    Sync(Node),
    FailSync(Node),
}

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Folder,
    File(Node),
}

pub(crate) type Names = BTreeMap<String, Place>;

#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Unsynced,
    LostToSyncs,
    Synced,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    /// What a process reads.
    pub(crate) seen: Vec<u8>,
    /// What was there before the oldest change.
    pub(crate) base: Vec<u8>,
    pub(crate) changes: Vec<(Change, Fate)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Naming {
    Add(String, Place),
    Remove(String),
    Rename { from: String, to: String },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) names: Names,
    /// The names that are sure to be there.
    pub(crate) kept_names: Names,
    /// What happened to names and was not synced.
    pub(crate) namings: Vec<Naming>,
    pub(crate) files: Vec<File>,
}

impl State {
    pub(crate) fn node(&self, name: &str) -> Option<Node> {
        match self.names.get(name) {
            Some(Place::File(node)) => Some(*node),
            Some(Place::Folder) | None => None,
        }
    }

    pub(crate) fn apply(&mut self, act: &Act) {
        match act {
            Act::MakeFolder(name) => self.naming(Naming::Add(name.clone(), Place::Folder)),
            Act::Create(name) => {
                self.files.push(File::default());
                self.naming(Naming::Add(name.clone(), Place::File(self.files.len() - 1)));
            }
            Act::Rename { from, to } => {
                self.naming(Naming::Rename { from: from.clone(), to: to.clone() });
            }
            Act::Delete(name) => self.naming(Naming::Remove(name.clone())),
            Act::SyncFolder(folder) => {
                let of_it = |naming: &Naming| parent(naming.name()) == folder;
                for naming in self.namings.extract_if(.., |naming| of_it(naming)) {
                    naming.apply(&mut self.kept_names);
                }
            }
            Act::Write { node, at, bytes } => {
                self.files[*node].change(Change::Write { at: *at, bytes: bytes.clone() });
            }
            Act::Truncate { node, length } => {
                self.files[*node].change(Change::Truncate { length: *length });
            }
            Act::Sync(node) => self.files[*node].settle(Fate::Synced),
            Act::FailSync(node) => self.files[*node].settle(Fate::LostToSyncs),
        }
    }

    fn naming(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.namings.push(naming);
    }
}

impl Naming {
    pub(crate) fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(name, place) => drop(names.insert(name.clone(), *place)),
            Self::Remove(name) => drop(names.remove(name)),
            Self::Rename { from, to } => {
                if let Some(place) = names.remove(from) {
                    names.insert(to.clone(), place);
                }
            }
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Add(name, _) | Self::Remove(name) | Self::Rename { to: name, .. } => name,
        }
    }
}

/// The folder that a name is in.
pub(crate) fn parent(name: &str) -> &str {
    match name.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

impl Change {
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes: written } => write(bytes, *at, written),
            Self::Truncate { length } => bytes.resize(*length, 0),
        }
    }
}

/// What lies between the end and the place that is written is zeros.
pub(crate) fn write(bytes: &mut Vec<u8>, at: usize, written: &[u8]) {
    if bytes.len() < at + written.len() {
        bytes.resize(at + written.len(), 0);
    }
    bytes[at..at + written.len()].copy_from_slice(written);
}

impl File {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.changes.push((change, Fate::Unsynced));
    }

    fn settle(&mut self, as_what: Fate) {
        for (_, fate) in &mut self.changes {
            if *fate == Fate::Unsynced {
                *fate = as_what;
            }
        }
        let synced = self.changes.iter().take_while(|(_, fate)| *fate == Fate::Synced).count();
        for (change, _) in self.changes.drain(..synced) {
            change.apply(&mut self.base);
        }
    }
}
