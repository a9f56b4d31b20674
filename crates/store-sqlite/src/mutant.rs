//! Mistakes that a store could make with its disk, built in on purpose for the tests to catch
//! (`semantics.md` S14, S18, S20, L6).
//!
//! In every other build there is nothing here that is ever true.

use crate::Options;

/// A mistake that loses something acknowledged, or takes something for written that was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Commit without syncing.
    SkipsTheSync,
    /// Answer a group before it is written.
    AcknowledgesBeforeTheSync,
    /// Take a record whose checksum does not fit.
    IgnoresTheChecksum,
    /// Leave a record that is not whole where it is.
    KeepsTheTornTail,
    /// Keep in memory alone who owns a shard.
    ForgetsTheOwners,
    /// Take what a replaced owner writes.
    TakesStaleOwners,
    /// Answer a group for which there was no room as if it were written.
    TakesFullForWritten,
    /// Answer a group whose sync failed as if it were written.
    TakesFailedSyncsForWritten,
    /// Write on after a failed sync.
    GoesOnAfterFailedSyncs,
}

/// Which mistake is built in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mutation {
    #[cfg(feature = "mutants")]
    built_in: Option<Mutant>,
}

impl Mutation {
    #[cfg(feature = "mutants")]
    pub(crate) const fn of(options: &Options) -> Self {
        Self { built_in: options.mutant }
    }

    #[cfg(not(feature = "mutants"))]
    pub(crate) const fn of(_: &Options) -> Self {
        Self {}
    }

    #[cfg(feature = "mutants")]
    pub(crate) fn is(self, mutant: Mutant) -> bool {
        self.built_in == Some(mutant)
    }

    #[cfg(not(feature = "mutants"))]
    pub(crate) const fn is(self, _: Mutant) -> bool {
        false
    }
}
