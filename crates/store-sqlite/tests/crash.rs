//! What an opened folder makes of crashes, damage, and folders that are not for it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use amends_store::conformance::block_on;
use amends_store::{
    Batch, CatalogError, Checkpoint, Checkpointed, Entry, Events, JournalError, Position, SagaRow,
    ShardId, Store,
};
use amends_store_sqlite::{HEADER_BYTES, Mutant, OpenError, Options, open};
use bytes::Bytes;
use rusqlite::{Connection, params};
use tempfile::TempDir;

const SHARD: ShardId = ShardId(1);

fn events(seq: u64, length: usize) -> Events {
    Events { first_seq: seq, count: 1, bytes: Bytes::from(vec![seq as u8; length]) }
}

/// Appends event `seq` of saga 1.
fn append(store: &Store, seq: u64, length: usize) -> Result<Position, JournalError> {
    block_on(async {
        let epoch = store.journal.acquire(SHARD).await?;
        let events = events(seq, length);
        let entries = vec![Entry { saga: 1, events, claims: vec![], releases: vec![] }];
        Ok(store.journal.append(Batch { shard: SHARD, epoch, entries }).await?.position)
    })
}

/// Brings saga 1 up to `seq` to the catalog, which holds it up to `held`.
fn checkpoint(
    store: &Store,
    position: Position,
    held: u64,
    seq: u64,
    length: usize,
) -> Result<Position, CatalogError> {
    let row = SagaRow {
        saga: 1,
        shard: SHARD,
        saga_type: "Order".into(),
        definition_version: 1,
        definition_hash: [1; 32],
        state: 1,
        paused: false,
        live: true,
        seq,
        created_at: 1,
        updated_at: seq,
        ended_at: None,
        due_at: None,
        close_at: None,
        expires_at: None,
        business_key: None,
        attention: 0,
        stuck_at: None,
        error: None,
        quarantined: None,
    };
    let bytes = (held + 1..=seq).flat_map(|seq| vec![seq as u8; length]).collect::<Vec<_>>().into();
    let events = Events { first_seq: held + 1, count: (seq - held) as u32, bytes };
    let sagas = vec![Checkpointed { row, events }];
    block_on(store.catalog.checkpoint(Checkpoint { position, sagas }))
}

/// A folder with ten records, closed.
fn ten_records() -> TempDir {
    let folder = TempDir::new().unwrap();
    let store = opened(folder.path());
    for seq in 1..=10 {
        append(&store, seq, 100).unwrap();
    }
    block_on(store.close());
    folder
}

fn opened(folder: &Path) -> Store {
    open(folder, &Options::default()).unwrap()
}

fn refused(folder: &Path) -> OpenError {
    match open(folder, &Options::default()) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

fn journal(folder: &Path) -> Connection {
    Connection::open(folder.join("journal.db")).unwrap()
}

fn records(store: &Store) -> Vec<u64> {
    let records = block_on(store.journal.replay(Position::START)).unwrap();
    records.iter().map(|record| record.position.0).collect()
}

/// Changes the bytes of one record behind the store's back.
fn damage(folder: &Path, position: i64, change: impl FnOnce(&mut Vec<u8>)) {
    let journal = journal(folder);
    let mut bytes: Vec<u8> = journal
        .query_row("SELECT bytes FROM record WHERE position = ?1", [position], |row| row.get(0))
        .unwrap();
    change(&mut bytes);
    journal
        .execute("UPDATE record SET bytes = ?2 WHERE position = ?1", params![position, bytes])
        .unwrap();
}

#[track_caller]
fn assert_damaged_at(error: OpenError, at: u64, why: &str) {
    let OpenError::Journal { source: JournalError::Damaged { position, what }, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*position, Position(at));
    assert!(what.contains(why), "{what}");
    assert!(error.to_string().contains(&format!("damaged at {at}")), "{error}");
}

#[test]
fn dropped_without_closing_everything_acknowledged_is_there() {
    let folder = TempDir::new().unwrap();
    for seq in 1..=5 {
        append(&opened(folder.path()), seq, 100).unwrap();
    }
    assert_eq!(records(&opened(folder.path())), [1, 2, 3, 4, 5]);
}

#[test]
fn a_copy_of_the_files_at_any_moment_has_everything_acknowledged() {
    let folder = TempDir::new().unwrap();
    let store = opened(folder.path());
    for seq in 1..=20 {
        let position = append(&store, seq, 3000).unwrap();
        if seq % 7 == 0 {
            checkpoint(&store, position, seq - 7, seq, 3000).unwrap();
        }
        let copy = TempDir::new().unwrap();
        for file in ["journal.db", "journal.db-wal", "catalog.db", "catalog.db-wal", "format"] {
            fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
        }
        let copied = opened(copy.path());
        assert_eq!(records(&copied), (1..=seq).collect::<Vec<_>>());
        assert_eq!(copied.catalog.position(), Position(seq / 7 * 7));
        append(&copied, seq + 1, 10).unwrap();
    }
}

const CHILD_FOLDER: &str = "AMENDS_TEST_CHILD_FOLDER";

/// The process that is killed below; on its own it has nothing to do.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let store = opened(Path::new(&folder));
    for seq in 1.. {
        let position = append(&store, seq, 500).unwrap();
        println!("acknowledged {position}");
        if seq % 50 == 0 {
            checkpoint(&store, position, seq - 50, seq, 500).unwrap();
            block_on(store.journal.cut(Position(position.0 - 10))).unwrap();
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_acknowledged_and_leaves_no_lock() {
    const ACKNOWLEDGED: u64 = 220;
    let folder = TempDir::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_appends_until_it_is_killed", "--nocapture"])
        .env(CHILD_FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut last = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some(position) = line.unwrap().strip_prefix("acknowledged ") {
            last = position.parse().unwrap();
        }
        if last == ACKNOWLEDGED {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let store = opened(folder.path());
    let journal = store.journal.size();
    assert!(journal.last >= Position(last), "{journal:?} and {last} was acknowledged");
    assert!(store.catalog.position() >= Position(200));
    let saga = block_on(store.catalog.read(1)).unwrap().unwrap();
    assert_eq!(saga.row.seq, store.catalog.position().0);
    assert_eq!(saga.events.bytes.len(), saga.row.seq as usize * 500);
    append(&store, journal.last.0 + 1, 1).unwrap();
}

#[test]
fn a_last_record_that_is_not_whole_is_cut_and_put_aside() {
    for length in [0, 10, HEADER_BYTES, HEADER_BYTES + 50] {
        let folder = ten_records();
        damage(folder.path(), 10, |bytes| bytes.truncate(length));
        let store = opened(folder.path());
        assert_eq!(records(&store), (1..=9).collect::<Vec<_>>());
        assert_eq!(append(&store, 10, 7), Ok(Position(10)));
        block_on(store.close());
        let aside: (i64, i64) = journal(folder.path())
            .query_row("SELECT position, length(bytes) FROM torn", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(aside, (10, length as i64));
        assert_eq!(records(&opened(folder.path())).len(), 10);
    }
}

#[test]
fn garbage_after_the_last_record_is_cut() {
    let folder = ten_records();
    journal(folder.path())
        .execute("INSERT INTO record VALUES (11, ?1)", [vec![0xa5_u8; 300]])
        .unwrap();
    assert_eq!(records(&opened(folder.path())).len(), 10);
}

#[test]
fn a_torn_record_that_was_acknowledged_halts() {
    let folder = TempDir::new().unwrap();
    let store = opened(folder.path());
    let position = append(&store, 1, 100).unwrap();
    checkpoint(&store, position, 0, 1, 100).unwrap();
    block_on(store.close());
    damage(folder.path(), 1, |bytes| bytes.truncate(50));
    assert_damaged_at(refused(folder.path()), 1, "not whole");

    let folder = ten_records();
    let store = opened(folder.path());
    block_on(store.journal.advance("kafka", Position(10))).unwrap();
    block_on(store.close());
    damage(folder.path(), 10, |bytes| bytes.truncate(50));
    assert_damaged_at(refused(folder.path()), 10, "not whole");
}

#[test]
fn a_flipped_bit_halts_wherever_it_is() {
    for position in [1, 5, 10] {
        let folder = ten_records();
        damage(folder.path(), position, |bytes| bytes[HEADER_BYTES + 70] ^= 0x10);
        assert_damaged_at(refused(folder.path()), position as u64, "checksum");
    }
    for at in 0..HEADER_BYTES {
        let folder = ten_records();
        damage(folder.path(), 5, |bytes| bytes[at] ^= 1);
        assert_damaged_at(refused(folder.path()), 5, "");
    }
}

#[test]
fn a_torn_record_in_the_middle_halts() {
    let folder = ten_records();
    damage(folder.path(), 5, |bytes| bytes.truncate(50));
    assert_damaged_at(refused(folder.path()), 5, "not whole");
}

#[test]
fn a_missing_record_halts() {
    for missing in [1, 5] {
        let folder = ten_records();
        journal(folder.path())
            .execute("DELETE FROM record WHERE position = ?1", [missing as i64])
            .unwrap();
        assert_damaged_at(refused(folder.path()), missing, "missing");
    }
}

#[test]
fn a_record_that_was_put_in_the_place_of_another_halts() {
    let folder = ten_records();
    let six: Vec<u8> = journal(folder.path())
        .query_row("SELECT bytes FROM record WHERE position = 6", [], |row| row.get(0))
        .unwrap();
    damage(folder.path(), 5, |bytes| *bytes = six);
    assert_damaged_at(refused(folder.path()), 5, "says that it is record 6");
}

#[test]
fn damage_under_an_open_store_halts_the_replay() {
    let folder = ten_records();
    let store = opened(folder.path());
    damage(folder.path(), 4, |bytes| bytes[HEADER_BYTES + 70] ^= 0x10);
    let error = block_on(store.journal.replay(Position::START)).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { position: Position(4), .. }), "{error}");
    let error = block_on(store.journal.replay(Position(3))).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { position: Position(4), .. }), "{error}");
}

#[test]
fn a_catalog_from_before_stuck_sagas_were_kept_goes_on() {
    let folder = ten_records();
    let database = Connection::open(folder.path().join("catalog.db")).unwrap();
    let before = "DROP INDEX saga_stuck; ALTER TABLE saga DROP COLUMN stuck_at";
    database.execute_batch(before).unwrap();
    drop(database);
    for _ in 0..2 {
        let store = opened(folder.path());
        assert_eq!(block_on(store.catalog.stuck(u64::MAX)).unwrap(), []);
        assert_eq!(records(&store).len(), 10);
        block_on(store.close());
    }
}

#[test]
fn a_second_opener_is_refused_and_told_who_holds_the_folder() {
    let folder = TempDir::new().unwrap();
    let store = opened(folder.path());
    let error = refused(folder.path());
    let OpenError::Held { pid, since, .. } = &error else { panic!("{error}") };
    assert_eq!(*pid, std::process::id().to_string());
    assert!(since.starts_with("20") && since.len() == "2026-01-31 23:59:58".len(), "{since}");
    append(&store, 1, 10).unwrap();
    block_on(store.close());
    // Closing frees it, even while somebody still has the handles.
    assert_eq!(records(&opened(folder.path())).len(), 1);
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("catalog.db"), "photographs").unwrap();
    assert!(matches!(refused(folder.path()), OpenError::Foreign { .. }));

    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("format"), "something else").unwrap();
    assert!(matches!(refused(folder.path()), OpenError::Foreign { .. }));

    let folder = ten_records();
    let (journal, catalog) = (folder.path().join("journal.db"), folder.path().join("catalog.db"));
    fs::copy(catalog, journal).unwrap();
    assert!(matches!(refused(folder.path()), OpenError::Foreign { .. }));

    let folder = ten_records();
    let catalog = folder.path().join("catalog.db");
    fs::remove_file(&catalog).unwrap();
    let other = Connection::open(&catalog).unwrap();
    other.pragma_update(None, "application_id", 7).unwrap();
    other.execute_batch("CREATE TABLE photograph (bytes BLOB)").unwrap();
    drop(other);
    let before = fs::read(&catalog).unwrap();
    assert!(matches!(refused(folder.path()), OpenError::Foreign { .. }));
    assert!(fs::read(&catalog).unwrap() == before, "what is not ours was changed");
}

#[test]
fn a_closed_folder_has_no_write_ahead_files() {
    let folder = ten_records();
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["catalog.db", "format", "journal.db", "lock"]);
}

#[test]
fn files_of_two_folders_are_refused() {
    let (one, other) = (ten_records(), ten_records());
    fs::copy(other.path().join("catalog.db"), one.path().join("catalog.db")).unwrap();
    let error = refused(one.path());
    assert!(matches!(error, OpenError::Torn { .. }), "{error}");
}

#[test]
fn a_catalog_that_is_ahead_of_the_journal_is_refused() {
    let folder = TempDir::new().unwrap();
    let store = opened(folder.path());
    append(&store, 1, 100).unwrap();
    block_on(store.close());
    let old = fs::read(folder.path().join("journal.db")).unwrap();
    let store = opened(folder.path());
    let position = append(&store, 2, 100).unwrap();
    checkpoint(&store, position, 0, 2, 100).unwrap();
    block_on(store.close());
    fs::write(folder.path().join("journal.db"), old).unwrap();
    let error = refused(folder.path());
    assert!(error.to_string().contains("up to 2, the journal ends at 1"), "{error}");
}

#[test]
fn a_full_journal_takes_nothing_keeps_what_it_has_and_goes_on_when_there_is_room() {
    let folder = TempDir::new().unwrap();
    let limited = Options { journal_bytes_max: Some(400_000), ..Options::default() };
    let store = open(folder.path(), &limited).unwrap();
    let mut seq = 0;
    let error = loop {
        match append(&store, seq + 1, 30_000) {
            Ok(_) => seq += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Full { .. }) && error.may_be_retried(), "{error}");
    assert!((5..15).contains(&seq), "{seq}");
    assert_eq!(records(&store).len() as u64, seq);
    let last = store.journal.size().last;
    checkpoint(&store, last, 0, seq, 30_000).unwrap();
    assert_eq!(block_on(store.journal.cut(last)), Ok(last));
    assert_eq!(append(&store, seq + 1, 30_000), Ok(last.next()));
    drop(store);
    let store = opened(folder.path());
    let saga = block_on(store.catalog.read(1)).unwrap().unwrap();
    assert_eq!(saga.events.bytes.len() as u64, seq * 30_000);
    assert_eq!(block_on(store.journal.replay(last)).unwrap().len(), 1);
}

#[test]
fn a_full_catalog_takes_nothing_and_the_journal_goes_on() {
    let folder = TempDir::new().unwrap();
    let limited = Options { catalog_bytes_max: Some(400_000), ..Options::default() };
    let store = open(folder.path(), &limited).unwrap();
    for seq in 1..=20 {
        append(&store, seq, 30_000).unwrap();
    }
    let last = store.journal.size().last;
    let error = checkpoint(&store, last, 0, 20, 30_000).unwrap_err();
    assert!(matches!(error, CatalogError::Full { .. }) && error.may_be_retried(), "{error}");
    assert_eq!(store.catalog.position(), Position::START);
    assert_eq!(block_on(store.journal.cut(last)), Ok(Position::START));
    append(&store, 21, 100).unwrap();
    drop(store);
    let store = opened(folder.path());
    checkpoint(&store, last, 0, 20, 30_000).unwrap();
    assert_eq!(store.catalog.position(), last);
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("data");
    let store = opened(&folder);
    append(&store, 1, 10).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let mut files = 0;
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert!(files >= 6, "two databases with their write-ahead files, format and lock");
}

/// A folder whose fifth record has a flipped bit is refused.
fn a_flipped_bit_is_seen(options: &Options) -> bool {
    let folder = ten_records();
    damage(folder.path(), 5, |bytes| bytes[HEADER_BYTES + 70] ^= 0x10);
    open(folder.path(), options).is_err()
}

/// A folder whose last record is not whole goes on without it.
fn a_torn_tail_is_cut(options: &Options) -> bool {
    let folder = ten_records();
    damage(folder.path(), 10, |bytes| bytes.truncate(HEADER_BYTES + 50));
    let store = open(folder.path(), options).unwrap();
    append(&store, 10, 7) == Ok(Position(10)) && {
        drop(store);
        open(folder.path(), options).is_ok_and(|store| records(&store).len() == 10)
    }
}

#[test]
fn stores_that_ignore_checksums_or_keep_torn_tails_are_caught() {
    let sound = Options::default();
    assert!(a_flipped_bit_is_seen(&sound) && a_torn_tail_is_cut(&sound));
    let mutant = |mutant| Options { mutant: Some(mutant), ..Options::default() };
    assert!(!a_flipped_bit_is_seen(&mutant(Mutant::IgnoresTheChecksum)));
    assert!(!a_torn_tail_is_cut(&mutant(Mutant::KeepsTheTornTail)));
}
