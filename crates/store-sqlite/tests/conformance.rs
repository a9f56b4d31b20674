//! The SQLite store does what every store does.

use amends_store::conformance::Installation;
use amends_store::{BoxFuture, Store};
use amends_store_sqlite::{Options, open};
use tempfile::TempDir;

struct InFolder(TempDir);

impl Installation for InFolder {
    fn open(&self) -> BoxFuture<'_, Store> {
        Box::pin(async { open(&self.0.path().join("data"), &Options::default()).unwrap() })
    }
}

amends_store::conformance_tests!(InFolder(TempDir::new().unwrap()));
