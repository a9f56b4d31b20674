//! A data folder whose files were damaged while it was closed: opening says which file, what is wrong
//! and what to do, or all of the journal is there. It never panics, and never begins anew.

use std::fs;
use std::path::Path;

use amends_store::conformance::block_on;
use amends_store::{Batch, Definition, Entry, Events, Position, Record, ShardId, Store};
use amends_store_sqlite::{OpenError, Options, open};
use bytes::Bytes;
use tempfile::TempDir;

const FILES: [&str; 2] = ["journal.db", "catalog.db"];

/// A folder that was in use, closed: a definition, a note, forty records of a hundred bytes and more.
fn used() -> TempDir {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path(), &Options::default()).unwrap();
    block_on(async {
        let definition = Definition {
            saga_type: "Order".into(),
            version: 1,
            hash: [1; 32],
            source: Bytes::from(vec![b'd'; 3_000]),
            created_at: 1,
        };
        store.catalog.put_definition(definition).await.unwrap();
        store.catalog.put_note("alive", Bytes::from_static(b"1")).await.unwrap();
        let shard = ShardId(1);
        let epoch = store.journal.acquire(shard).await.unwrap();
        for saga in 1..=40 {
            let bytes = Bytes::from(vec![saga as u8; 100 * saga as usize]);
            let events = Events { first_seq: 1, count: 1, bytes };
            let entries = vec![Entry { saga, events, claims: vec![], releases: vec![] }];
            store.journal.append(Batch { shard, epoch, entries }).await.unwrap();
        }
        store.close().await;
    });
    folder
}

fn records(store: &Store) -> Result<Vec<Record>, String> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(Position::START, |record: &Record| record.position);
        let page = block_on(store.journal.replay(after)).map_err(|error| error.to_string())?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// A folder with these files, of which one has been changed.
fn damaged(sound: &Path, file: &str, change: impl Fn(&mut Vec<u8>)) -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["format", "journal.db", "catalog.db"] {
        let mut bytes = fs::read(sound.join(name)).unwrap();
        if name == file {
            let before = bytes.clone();
            change(&mut bytes);
            assert_ne!(bytes, before);
        }
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// What the opening says, when it does not open.
fn refusal(folder: &Path) -> Option<OpenError> {
    open(folder, &Options::default()).err()
}

/// It names the file, or the folder, and what to do.
fn is_clear(error: &OpenError, folder: &Path) -> bool {
    let text = error.to_string();
    let what_to_do = ["restore both", "choose an empty folder", "use the version"];
    text.contains(&folder.display().to_string()) && what_to_do.iter().any(|to| text.contains(to))
}

#[test]
fn a_file_that_is_empty_gone_cut_or_of_other_bytes_is_refused_and_said_to_be_so() {
    let sound = used();
    for file in FILES {
        let length = fs::metadata(sound.path().join(file)).unwrap().len() as usize;
        let halves = [length / 2, length - 1, 4_096, 1_000, 99, 1, 0];
        for kept in halves {
            let folder = damaged(sound.path(), file, |bytes| bytes.truncate(kept));
            let error = refusal(folder.path());
            let error = error.unwrap_or_else(|| panic!("{file} of {kept} bytes is opened"));
            assert!(is_clear(&error, folder.path()), "{file} of {kept} bytes: {error}");
        }
        let folder = damaged(sound.path(), file, |bytes| bytes.fill(0x5a));
        let error = refusal(folder.path()).expect("garbage is opened");
        assert!(is_clear(&error, folder.path()), "garbage for {file}: {error}");

        fs::remove_file(folder.path().join(file)).unwrap();
        for _ in 0..2 {
            let error = refusal(folder.path()).expect("a folder without it is opened");
            assert!(is_clear(&error, folder.path()), "no {file}: {error}");
        }
    }
}

#[test]
fn a_flipped_bit_is_told_or_is_where_nothing_of_the_journal_is() {
    /// So far apart: some in each page.
    const EVERY: usize = 1_999;
    let sound = used();
    let told = records(&open(sound.path(), &Options::default()).unwrap()).unwrap();
    for file in FILES {
        let (mut seen, mut unseen) = (0, 0);
        let length = fs::metadata(sound.path().join(file)).unwrap().len() as usize;
        for at in (0..100).chain((100..length).step_by(EVERY)) {
            let folder = damaged(sound.path(), file, |bytes| bytes[at] ^= 0x10);
            match open(folder.path(), &Options::default()) {
                Err(error) => {
                    seen += 1;
                    let text = error.to_string();
                    let root = folder.path().display().to_string();
                    assert!(text.contains(&root), "byte {at} of {file}: {text}");
                }
                Ok(store) => match records(&store) {
                    Ok(found) => {
                        unseen += 1;
                        assert_eq!(found, told, "byte {at} of {file}");
                    }
                    Err(_) => seen += 1,
                },
            }
        }
        println!("{file}: {seen} flipped bits are told, {unseen} change nothing of the journal");
        assert!(seen > 0 && unseen > 0);
    }
}
