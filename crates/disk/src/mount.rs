//! One process's view of a disk: its operations are numbered, one of them may fail, and it may be
//! killed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use amends_store_sqlite::{FileSystem, Locked};

use crate::disk::Disk;
use crate::fault::{Fault, Kind, Operation};
use crate::locks::Locks;
use crate::state::{Act, Node, Place, parent};
use crate::vfs;

/// Where mounts are found by the paths that lead into them.
static MOUNTS: Mutex<BTreeMap<u64, Weak<Inner>>> = Mutex::new(BTreeMap::new());

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A mount. Clones are the same one.
#[derive(Clone)]
pub struct Mount(Arc<Inner>);

pub(crate) struct Inner {
    number: u64,
    disk: Disk,
    life: Mutex<Life>,
    locks: Mutex<Locks>,
}

struct Life {
    is_alive: bool,
    is_full: bool,
    operations: u64,
    fault: Option<Fault>,
    /// Of the operations that the fault may befall.
    counted: u64,
    hit: Option<Hit>,
}

/// A fault that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// To which operation.
    pub operation: Operation,
    /// Of which file.
    pub name: String,
    /// How many acts had changed the disk by then.
    pub acts: usize,
}

/// How an operation is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Well,
    Wrong(Kind),
    /// The process is dead: nothing arrives.
    Dead,
}

impl Mount {
    pub(crate) fn new(disk: Disk) -> Self {
        vfs::register();
        let life = Life {
            is_alive: true,
            is_full: false,
            operations: 0,
            fault: None,
            counted: 0,
            hit: None,
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let inner = Inner { number, disk, life: Mutex::new(life), locks: Mutex::default() };
        let inner = Arc::new(inner);
        mounts().insert(number, Arc::downgrade(&inner));
        Self(inner)
    }

    /// Where the disk's root is, for this process.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/mount-{}", self.0.number))
    }

    /// Makes something go wrong. What was to go wrong before, and has not, never will.
    pub fn fail(&self, fault: Fault) {
        let mut life = self.0.life();
        (life.fault, life.counted, life.hit) = (Some(fault), 0, None);
    }

    /// What met the fault.
    pub fn hit(&self) -> Option<Hit> {
        self.0.life().hit.clone()
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.0.life().operations
    }

    /// There is room again.
    pub fn make_room(&self) {
        self.0.life().is_full = false;
    }

    /// The process is dead: whatever it still tries fails, and changes nothing.
    pub fn kill(&self) {
        self.0.life().is_alive = false;
        self.0.disk.release(self.0.number);
    }

    /// Does the process still have a file locked, as it has the data folder that it works in?
    pub fn holds(&self) -> bool {
        self.0.disk.holds(self.0.number)
    }
}

fn mounts() -> MutexGuard<'static, BTreeMap<u64, Weak<Inner>>> {
    MOUNTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The mount that a path leads into, and what the disk calls that place.
pub(crate) fn find(path: &str) -> Option<(Arc<Inner>, String)> {
    let (number, name) = path.strip_prefix("/mount-")?.split_once('/')?;
    let inner = mounts().get(&number.parse().ok()?)?.upgrade()?;
    Some((inner, format!("/{name}")))
}

impl Drop for Inner {
    fn drop(&mut self) {
        mounts().remove(&self.number);
    }
}

impl Inner {
    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn locks(&self) -> MutexGuard<'_, Locks> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Counts an operation and says how it is to go.
    pub(crate) fn way(&self, operation: Operation, name: &str) -> Way {
        let mut life = self.life();
        if !life.is_alive {
            return Way::Dead;
        }
        life.operations += 1;
        if let Some(Fault { at, kind }) = life.fault.filter(|fault| fault.kind.befalls(operation)) {
            let is_it = life.counted == at;
            life.counted += 1;
            if is_it {
                let acts = self.disk.acts();
                life.hit = Some(Hit { operation, name: name.to_owned(), acts });
                life.is_full = kind == Kind::Full;
                return Way::Wrong(kind);
            }
        }
        if life.is_full && Kind::Full.befalls(operation) {
            return Way::Wrong(Kind::Full);
        }
        Way::Well
    }

    pub(crate) fn write(&self, name: &str, node: Node, at: usize, bytes: &[u8]) -> Way {
        let way = self.way(Operation::Write, name);
        let arrives = match way {
            Way::Well => bytes,
            Way::Wrong(Kind::Torn) => &bytes[..bytes.len() / 2],
            Way::Wrong(_) | Way::Dead => &[],
        };
        if !arrives.is_empty() {
            self.disk.kept().act(Act::Write { node, at, bytes: arrives.to_owned() });
        }
        way
    }

    pub(crate) fn sync(&self, name: &str, node: Node) -> Way {
        let way = self.way(Operation::Sync, name);
        match way {
            Way::Well => self.disk.kept().act(Act::Sync(node)),
            Way::Wrong(_) => self.disk.kept().act(Act::FailSync(node)),
            Way::Dead => {}
        }
        way
    }

    /// Does what changes names, when it is to go well.
    pub(crate) fn act(&self, operation: Operation, name: &str, act: Act) -> Way {
        let way = self.way(operation, name);
        if way == Way::Well {
            self.disk.kept().act(act);
        }
        way
    }

    fn check(&self, operation: Operation, name: &str) -> io::Result<()> {
        told(self.way(operation, name))
    }

    fn node(&self, name: &str) -> io::Result<Node> {
        self.disk.kept().state.node(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// As the system says it.
fn told(way: Way) -> io::Result<()> {
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    match way {
        Way::Well => Ok(()),
        Way::Wrong(Kind::Full) => Err(io::Error::from_raw_os_error(ENOSPC)),
        Way::Wrong(_) | Way::Dead => Err(io::Error::from_raw_os_error(EIO)),
    }
}

impl Mount {
    fn name(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.root()).unwrap_or(path);
        format!("/{}", below.display())
    }
}

/// What the store asks of the file system beside SQLite.
impl FileSystem for Mount {
    fn vfs(&self) -> Option<&str> {
        Some(vfs::NAME)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let name = self.name(path);
        self.0.check(Operation::Look, &name)?;
        Ok(name == "/" || self.0.disk.kept().state.names.contains_key(&name))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let name = self.name(path);
        told(self.0.act(Operation::MakeFolder, &name, Act::MakeFolder(name.clone())))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let name = self.name(path);
        told(self.0.act(Operation::SyncFolder, &name, Act::SyncFolder(name.clone())))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let name = self.name(path);
        self.0.check(Operation::Read, &name)?;
        let node = self.0.node(&name)?;
        Ok(self.0.disk.kept().state.files[node].seen.clone())
    }

    fn create(&self, path: &Path) -> io::Result<()> {
        let name = self.name(path);
        if self.0.disk.kept().state.names.get(parent(&name)) != Some(&Place::Folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        told(self.0.act(Operation::Create, &name, Act::Create(name.clone())))
    }

    fn write_synced(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let name = self.name(path);
        if let Ok(node) = self.0.node(&name) {
            told(self.0.act(Operation::Truncate, &name, Act::Truncate { node, length: 0 }))?;
        } else {
            self.create(path)?;
        }
        let node = self.0.node(&name)?;
        told(self.0.write(&name, node, 0, bytes))?;
        told(self.0.sync(&name, node))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.name(from), self.name(to));
        told(self.0.act(Operation::Rename, &to, Act::Rename { from, to: to.clone() }))
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Locked> {
        let name = self.name(path);
        self.0.check(Operation::Lock, &name)?;
        if self.0.node(&name).is_err() {
            self.create(path)?;
        }
        let node = self.0.node(&name)?;
        let Some(hold) = self.0.disk.hold(node, self.0.number) else {
            let text = self.0.disk.kept().state.files[node].seen.clone();
            return Ok(Locked::Elsewhere(String::from_utf8_lossy(&text).into_owned()));
        };
        told(self.0.write(&name, node, 0, holder.as_bytes()))?;
        Ok(Locked::Here(Box::new(hold)))
    }
}

#[cfg(test)]
mod tests {
    use amends_store::ShardId;
    use amends_store::conformance::block_on;
    use amends_store_sqlite::{Options, open_on};

    use super::*;
    use crate::loss::Loss;

    fn open(mount: &Mount) -> Result<amends_store::Store, String> {
        let opened =
            open_on(Arc::new(mount.clone()), &mount.root().join("data"), &Options::default());
        opened.map_err(|error| error.to_string())
    }

    #[test]
    fn a_second_process_does_not_open_a_folder_while_the_first_has_it_open() {
        let disk = Disk::new();
        let (first, second) = (disk.mount(), disk.mount());
        let store = open(&first).unwrap();
        let why = open(&second).err().expect("two processes have one folder open");
        assert!(why.contains("is open in process"), "{why}");
        assert!(first.holds() && !second.holds());
        drop(store);
        assert!(!first.holds());
        open(&second).unwrap();
    }

    /// Acquires, and cuts the power: what was acquired then is known afterwards.
    fn acquire(disk: &Disk, store: &amends_store::Store, hit: &Hit) {
        let acquire = |store: &amends_store::Store| block_on(store.journal.acquire(ShardId(0)));
        let Ok(before) = acquire(store) else { return };
        let later = disk.after(disk.acts(), Loss::Everything).mount();
        let after = open(&later).map(|store| acquire(&store).unwrap());
        assert!(after.as_ref().is_ok_and(|after| *after > before), "{hit:?}: {after:?}");
    }

    /// Every other kind leaves nothing of what was to be written, and a torn write leaves the first half.
    #[test]
    fn what_is_left_of_a_write_is_what_its_fault_says() {
        for (kind, left) in [(Kind::Torn, "half"), (Kind::Error, ""), (Kind::Full, "")] {
            let disk = Disk::new();
            let mount = disk.mount();
            let folder = mount.root().join("data");
            mount.make_folder(&folder).unwrap();
            let path = folder.join("letter");
            mount.write_synced(&path, b"before").unwrap();
            let at = match kind {
                // Of those that befall any operation it is the second, after the cutting.
                Kind::Error => 1,
                _ => 0,
            };
            mount.fail(Fault { at, kind });
            mount.write_synced(&path, b"half gone").map(|()| kind).unwrap_err();
            assert_eq!(mount.hit().map(|hit| hit.operation), Some(Operation::Write), "{kind:?}");
            assert_eq!(mount.read(&path).unwrap(), left.as_bytes(), "{kind:?}");
        }
    }

    #[test]
    fn an_error_at_any_operation_of_opening_is_told_and_loses_nothing() {
        for kind in [Kind::Error, Kind::Full, Kind::Torn] {
            for at in 0.. {
                let disk = Disk::new();
                let mount = disk.mount();
                mount.fail(Fault { at, kind });
                let opened = open(&mount);
                let Some(hit) = mount.hit() else { break };
                match opened {
                    Ok(store) => acquire(&disk, &store, &hit),
                    Err(why) => {
                        let root = mount.root().display().to_string();
                        assert!(why.contains(&root), "{hit:?}: {why}");
                    }
                }
                mount.make_room();
                match open(&mount) {
                    Ok(store) => acquire(&disk, &store, &hit),
                    Err(why) => panic!("after {hit:?}: {why}"),
                }
            }
        }
    }

    #[test]
    fn what_a_reader_keeps_in_the_write_ahead_file_is_not_built_upon() {
        let disk = Disk::new();
        let mount = disk.mount();
        let store = open(&mount).unwrap();
        let path = mount.root().join("data/journal.db");
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
        let other = rusqlite::Connection::open_with_flags_and_vfs(path, flags, vfs::NAME).unwrap();
        other.execute_batch("BEGIN; SELECT * FROM owner").unwrap();
        block_on(store.journal.acquire(ShardId(0))).unwrap();
        drop(store);
        let why = open(&mount).err().expect("it is built upon");
        assert!(why.contains("another program reads"), "{why}");
        drop(other);
        open(&mount).unwrap();
    }

    #[test]
    fn a_process_that_is_killed_has_nothing_open_even_if_parts_of_it_linger() {
        let disk = Disk::new();
        let (first, second) = (disk.mount(), disk.mount());
        let lingering = open(&first).unwrap();
        first.kill();
        let store = open(&second).unwrap();
        drop(lingering);
        assert!(second.holds(), "what lingered has let go of what is not its own");
        drop(store);
    }
}
