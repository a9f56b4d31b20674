//! What can go wrong, and at which operation.

/// What was asked of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// A file was opened.
    Open,
    /// A file was made.
    Create,
    /// A file was read.
    Read,
    /// A file's size was asked for.
    Size,
    /// Is there such a file?
    Look,
    /// A file was written.
    Write,
    /// A file was cut, or made longer.
    Truncate,
    /// A file was synced.
    Sync,
    /// A folder was synced.
    SyncFolder,
    /// A file was deleted.
    Delete,
    /// A file was renamed.
    Rename,
    /// A folder was made.
    MakeFolder,
    /// A lock was taken, on a file or on the memory that connections share.
    Lock,
    /// Memory that connections share was asked for.
    Share,
}

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The device reports an error and has done nothing. Of a sync: what it should have made durable
    /// never will be, though it can be read until the power is cut and a later sync says that all
    /// is well.
    Error,
    /// The same of a sync alone.
    FailedSync,
    /// There is no room, for this operation and for all that want room, until it is made.
    Full,
    /// Half of what was to be written is there, and an error is reported.
    Torn,
}

impl Kind {
    /// Can this operation go wrong in this way?
    pub const fn befalls(self, operation: Operation) -> bool {
        match self {
            Self::Error => true,
            Self::FailedSync => matches!(operation, Operation::Sync | Operation::SyncFolder),
            Self::Full => {
                matches!(operation, Operation::Create | Operation::Write | Operation::MakeFolder)
            }
            Self::Torn => matches!(operation, Operation::Write),
        }
    }
}

/// Something that is to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// At which of the mount's operations that can go wrong in this way, counted from 0.
    pub at: u64,
    /// How.
    pub kind: Kind,
}
