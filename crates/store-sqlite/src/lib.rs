//! The embedded store: two SQLite files in one data folder, opened by one process at a time.
//!
//! | File | What it is |
//! |---|---|
//! | `journal.db` | the write-ahead log: one blob row and one sync a group commit |
//! | `catalog.db` | the checkpoint and archive: sagas, claims, definitions, orphans, audit |
//! | `format` | the format's number; an older binary refuses a newer one |
//! | `lock` | held while the folder is open, and who holds it |
//!
//! Both files are in WAL mode with `synchronous=FULL`. For the journal that is what an
//! acknowledgement means. For the catalog `NORMAL` would stay consistent too, since its place is
//! written in the transaction that holds the rows, but a power cut could take both back behind
//! what the journal has cut by then; one sync a checkpoint, a second's worth of work, buys that
//! off. The two files belong together and are backed up together.

mod catalog;
mod files;
mod folder;
mod journal;
mod lane;
mod mutant;
mod record;
mod sqlite;

use std::path::Path;
use std::sync::Arc;

use amends_store::Store;

pub use files::{FileSystem, Locked};
pub use folder::{FORMAT, OpenError};
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
pub use record::{Fault as RecordFault, HEADER_BYTES, decode, encode};

/// How a data folder is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The most bytes `journal.db` may grow to; what does not fit is answered `Full`. The engine
    /// stops starts at 1 GiB already, so this is for disks that are shared.
    pub journal_bytes_max: Option<u64>,
    /// The most bytes `catalog.db` may grow to.
    pub catalog_bytes_max: Option<u64>,
    /// A mistake to build in, for the tests that must catch it.
    #[cfg(feature = "mutants")]
    pub mutant: Option<Mutant>,
    /// Sagas are read by one thread alone, for tests in which the same calls are to be the same
    /// operations of the disk in every run.
    #[cfg(feature = "mutants")]
    pub one_reader: bool,
}

/// Opens a data folder, which is made when it is not there, and reads the journal's tail back.
///
/// This blocks: it reads all of the journal once, to check it.
pub fn open(folder: &Path, options: &Options) -> Result<Store, OpenError> {
    open_on(Arc::new(files::System), folder, options)
}

/// The same on another file system than the operating system's.
pub fn open_on(
    files: Arc<dyn FileSystem>,
    folder: &Path,
    options: &Options,
) -> Result<Store, OpenError> {
    let folder = Arc::new(folder::Folder::open(folder, files)?);
    let origin = folder.origin()?;
    let opened = catalog::prepare(&folder, options, &origin)?;
    let journal = journal::start(&folder, options, &origin, opened.position())?;
    let catalog = catalog::start(folder.clone(), opened, journal.link())?;
    // Both files and their write-ahead files are there by now, and nothing has been acknowledged.
    folder.sync()?;
    Ok(Store { journal: Arc::new(journal), catalog: Arc::new(catalog) })
}
