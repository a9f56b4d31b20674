//! The simulated disk is a store like every other, as long as nothing goes wrong.

use amends_sim::chance::Chance;
use amends_sim::disk::Disk;
use amends_store::conformance::{BEHAVIOURS, Installation};
use amends_store::{BoxFuture, Store};

struct Simulated(Disk);

impl Installation for Simulated {
    fn open(&self) -> BoxFuture<'_, Store> {
        Box::pin(async { self.0.open().0 })
    }
}

#[test]
fn it_does_what_every_store_does() {
    for (seed, behaviour) in (0..).zip(BEHAVIOURS) {
        let time = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime of one thread");
        println!("{}::{}", behaviour.topic, behaviour.name);
        time.block_on(async {
            let disk = Disk::new(Chance::named(seed, "disk"), None);
            (behaviour.run)(&Simulated(disk)).await;
        });
    }
}
