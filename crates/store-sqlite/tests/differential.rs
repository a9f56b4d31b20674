//! Whatever is done to it in whatever order, this store answers as the one in memory does.

use amends_store::conformance::differential::Differential;
use amends_store::conformance::{BEHAVIOURS, Installation};
use amends_store::{BoxFuture, Store};
use amends_store_sqlite::{Options, open};
use tempfile::TempDir;

/// The fewest operations that are compared, and the fewest readings after each of them.
const COMPARED_MIN: (u64, u64) = (400, 50);

struct InFolder(TempDir);

impl Installation for InFolder {
    fn open(&self) -> BoxFuture<'_, Store> {
        Box::pin(async { open(&self.0.path().join("data"), &Options::default()).unwrap() })
    }
}

#[test]
fn it_is_as_the_store_in_memory() {
    let compared = Differential::default().run(|| Box::new(InFolder(TempDir::new().unwrap())));
    let compared = compared.unwrap_or_else(|difference| panic!("{difference}"));
    println!("{} behaviours; {compared}", BEHAVIOURS.len());
    let (operations, readings) = COMPARED_MIN;
    assert!(compared.operations >= operations, "{compared}");
    assert!(compared.readings >= readings * compared.operations, "{compared}");
}
