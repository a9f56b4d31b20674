//! Definition files on their way into service, and why one does not come in.

use std::sync::Arc;

use amends_definition::Compiled;
use amends_store::CatalogError;

/// A definition file to take in, checked.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The checked file.
    pub compiled: Compiled,
}

/// Why a definition was not taken in. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The version it says exists with other content.
    #[error(
        "{saga_type} version {version} exists with other content: running sagas are pinned to it, so give the changed file version {next} (or no version)"
    )]
    Conflict {
        /// The type.
        saga_type: Arc<str>,
        /// The version.
        version: u32,
        /// The next free one.
        next: u32,
        /// The pinned form that exists.
        held: Arc<[u8]>,
        /// The pinned form of the file.
        got: Arc<[u8]>,
    },
    /// Two files define one type.
    #[error("{0} is defined by two files: keep one")]
    Twice(Arc<str>),
    /// It could not be kept.
    #[error("the definition could not be stored: {0}")]
    Catalog(#[from] CatalogError),
}

impl DeployError {
    /// Where a version that exists differs from the file, a line a place: `-` what exists, `+` what
    /// the file says. Nothing for any other reason.
    pub fn difference(&self) -> Vec<String> {
        match self {
            Self::Conflict { held, got, .. } => crate::difference::difference(held, got),
            Self::Twice(_) | Self::Catalog(_) => Vec::new(),
        }
    }
}
