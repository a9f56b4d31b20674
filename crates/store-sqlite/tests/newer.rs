//! A folder that a newer version has written is refused, and left as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use amends_store::conformance::block_on;
use amends_store::{Batch, Entry, Events, Position, ShardId, Store};
use amends_store_sqlite::{OpenError, Options, open};
use bytes::Bytes;
use rusqlite::{Connection, params};
use tempfile::TempDir;
use twox_hash::XxHash3_64;

const RECORDS: u64 = 10;

fn opened(folder: &Path) -> Store {
    open(folder, &Options::default()).unwrap()
}

fn refused(folder: &Path) -> OpenError {
    open(folder, &Options::default()).err().expect("it is to be refused")
}

fn filled(folder: &Path) -> Store {
    let store = opened(folder);
    let shard = ShardId(1);
    block_on(async {
        let epoch = store.journal.acquire(shard).await.unwrap();
        for seq in 1..=RECORDS {
            let bytes = Bytes::from(vec![seq as u8; 100]);
            let events = Events { first_seq: seq, count: 1, bytes };
            let entry = Entry { saga: 1, events, claims: vec![], releases: vec![] };
            let batch = Batch { shard, epoch, entries: vec![entry] };
            store.journal.append(batch).await.unwrap();
        }
    });
    store
}

/// A folder whose process stopped in order.
fn stopped() -> TempDir {
    let folder = TempDir::new().unwrap();
    block_on(filled(folder.path()).close());
    folder
}

/// A folder whose process was killed: what was written is in the write-ahead files.
fn killed() -> TempDir {
    let (open, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let _store = filled(open.path());
    for (name, bytes) in content(open.path()) {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let wal = fs::metadata(folder.path().join("journal.db-wal")).unwrap();
    assert!(wal.len() > 0 && folder.path().join("journal.db-shm").exists());
    folder
}

/// Every file of a folder.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let named =
        files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()));
    named.collect()
}

/// Rewrites the folder's format.
fn set_format(folder: &Path, from: u32, to: u32) {
    let path = folder.join("format");
    let text = fs::read_to_string(&path).unwrap();
    let changed = text.replace(&format!("format {from}\n"), &format!("format {to}\n"));
    assert_ne!(text, changed);
    fs::write(&path, changed).unwrap();
}

fn assert_whole(folder: &Path) {
    let store = opened(folder);
    let records = block_on(store.journal.replay(Position::START)).unwrap();
    assert_eq!(records.len() as u64, RECORDS);
    block_on(store.close());
}

#[test]
fn a_newer_format_is_refused_and_not_a_byte_is_changed() {
    for folder in [stopped(), killed()] {
        let path = folder.path();
        set_format(path, 1, 2);
        let before = content(path);
        let error = refused(path);
        assert!(matches!(error, OpenError::NewerFormat { found: 2, .. }), "{error}");
        let said = error.to_string();
        for part in [
            path.to_str().unwrap(),
            "has format 2",
            "reads formats up to 1",
            "open it with the version that wrote it, or a newer one",
            "nothing has been changed",
        ] {
            assert!(said.contains(part), "it does not say {part:?}: {said}");
        }
        assert!(content(path) == before, "the refused opening has changed something");
        set_format(path, 2, 1);
        assert_whole(path);
    }
}

/// The number of the folder is raised before that of a file, so only a folder that was put together
/// by hand is like this.
#[test]
fn a_newer_file_in_an_older_folder_is_refused_and_keeps_its_facts() {
    for file in ["journal.db", "catalog.db"] {
        let folder = stopped();
        let path = folder.path().join(file);
        let set = |version: u32| {
            let database = Connection::open(&path).unwrap();
            database.pragma_update(None, "user_version", version).unwrap();
        };
        set(7);
        let error = refused(folder.path());
        assert!(matches!(error, OpenError::NewerFormat { found: 7, .. }), "{error}");
        assert!(error.to_string().contains(file), "{error}");
        set(1);
        assert_whole(folder.path());
    }
}

#[test]
fn a_newer_record_is_refused_as_newer_and_not_as_damage() {
    let folder = stopped();
    let path = folder.path().join("journal.db");
    // The last one also: it could be taken for a tail that is not whole, and cut.
    for at in [4, RECORDS] {
        let record = |version: u8| {
            let database = Connection::open(&path).unwrap();
            let read = "SELECT bytes FROM record WHERE position = ?1";
            let mut bytes: Vec<u8> =
                database.query_row(read, params![at as i64], |row| row.get(0)).unwrap();
            bytes[2] = version;
            let header = XxHash3_64::oneshot(&bytes[..32]) as u32;
            bytes[32..36].copy_from_slice(&header.to_le_bytes());
            let write = "UPDATE record SET bytes = ?2 WHERE position = ?1";
            database.execute(write, params![at as i64, bytes]).unwrap();
        };
        record(2);
        let error = refused(folder.path());
        let position = Position(at);
        let newer = matches!(&error, OpenError::NewerRecord { position: found_at, found: 2, .. }
            if *found_at == position);
        assert!(newer, "{error}");
        let said = error.to_string();
        assert!(said.contains("open the folder with the version that wrote it"), "{said}");
        assert!(!said.contains("restore"), "it is no damage: {said}");
        record(1);
        assert_whole(folder.path());
    }
}
