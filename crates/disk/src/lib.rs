//! A disk in memory that forgets what was not synced and fails when told to, for whoever wants to
//! see what the embedded store makes of crashes, power cuts and errors.
//!
//! A [`Disk`] keeps two things of every file: what a process sees, and what is sure to be there
//! after the power was cut. A [`Mount`] is one process's view of it: the embedded store opens a
//! data folder on it, SQLite's files included, and its operations are numbered. One of them can be
//! made to fail ([`Fault`]), and the whole mount can be killed, after which nothing that it does
//! arrives.
//!
//! The disk writes down all that was done to it, so that it can be had as it was after every single
//! act ([`Disk::after`]), and as a cut of the power at that moment may have left it ([`Loss`]). So one
//! run is enough to try a crash at every place in it.

mod disk;
mod fault;
mod locks;
mod loss;
mod mount;
mod state;
#[allow(unsafe_code)]
mod vfs;

pub use disk::Disk;
pub use fault::{Fault, Kind, Operation};
pub use loss::Loss;
pub use mount::{Hit, Mount};
