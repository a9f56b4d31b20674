//! A folder in which a newer version has written facts is refused by the engine too, should its
//! number ever not speak for them, and keeps every fact as it was.

use std::path::Path;
use std::sync::Arc;

use amends_engine::{Engine, Error, Options};
use amends_folders::{ENDINGS, VERSION, place, unpack};
use amends_store::conformance::inline;
use amends_store::{Batch, Entry, Events, Query, Record, StoredSaga};
use amends_transport::InProcess;

struct Nobody;

impl amends_engine::Binder for Nobody {
    fn bind(&self, _: &str, _: &amends_definition::Binding) -> Option<amends_engine::Carrier> {
        let transport = Arc::new(InProcess::new(tokio::runtime::Handle::current()));
        Some(amends_engine::Carrier { transport, answers_by_message: false })
    }
}

fn opened(folder: &Path) -> amends_store::Store {
    inline(amends_store_sqlite::open(folder, &amends_store_sqlite::Options::default()).unwrap())
}

/// Every fact in a folder.
async fn facts(folder: &Path) -> (Vec<Record>, Vec<StoredSaga>) {
    let store = opened(folder);
    let records = store.journal.replay(store.journal.size().cut).await.unwrap();
    let mut sagas = Vec::new();
    for row in store.catalog.list(Query::default()).await.unwrap().rows {
        sagas.push(store.catalog.read(row.saga).await.unwrap().unwrap());
    }
    store.close().await;
    (records, sagas)
}

/// Adds to a running saga what a version of the future might write.
async fn add(folder: &Path, bytes: &'static [u8]) {
    let store = opened(folder);
    let rows = store.catalog.list(Query::default()).await.unwrap().rows;
    let row = rows.iter().find(|row| row.live && row.state == 2 && row.quarantined.is_none());
    let row = row.expect("one is pending");
    // The journal may know more of it than the catalog.
    let records = store.journal.replay(store.journal.size().cut).await.unwrap();
    let entries = records.iter().flat_map(|r| &r.batches).flat_map(|b| &b.entries);
    let of_it = entries.filter(|entry| entry.saga == row.saga);
    let last = of_it.map(|entry| entry.events.last_seq()).fold(row.seq, u64::max);
    let epoch = store.journal.acquire(row.shard).await.unwrap();
    let events = Events { first_seq: last + 1, count: 1, bytes: bytes.into() };
    let entry = Entry { saga: row.saga, events, claims: vec![], releases: vec![] };
    let batch = Batch { shard: row.shard, epoch, entries: vec![entry] };
    store.journal.append(batch).await.unwrap();
    store.close().await;
}

#[tokio::test(start_paused = true)]
async fn facts_of_a_newer_version_are_refused_and_none_is_changed() {
    let newer: [(&'static [u8], &str); 3] = [
        (b"\x02\x04\x00\x01\x01\x00", "format 2 begins, and this build reads none above 1"),
        (b"\x01\x04\x00\x01\xfa\x00", "the event has tag 250, which this build does not know"),
        (b"\x01\x06\x00\x01\x01\xfa\x00\x00", "field 250, which this build does not know there"),
    ];
    for ending in ENDINGS {
        for (bytes, words) in newer {
            let folder = tempfile::tempdir().unwrap();
            unpack(&place().join(VERSION).join(ending), folder.path()).unwrap();
            add(folder.path(), bytes).await;
            let before = facts(folder.path()).await;
            let store = opened(folder.path());
            let started = Engine::start(Options::default(), store.clone(), Arc::new(Nobody)).await;
            let error = started.err().expect("it is to be refused");
            assert!(matches!(error, Error::Newer(_)), "{error}");
            let said = error.to_string();
            assert!(said.contains(words), "{said}");
            assert!(said.contains("run that version or a later one"), "{said}");
            store.close().await;
            assert!(facts(folder.path()).await == before, "the refused start has changed a fact");
        }
    }
}
