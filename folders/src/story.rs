//! Makes a folder: the whole cast is started, each saga so long before the end that it stands where
//! it is meant to stand; then the process ends, once killed and once in order.

use std::fs;
use std::path::Path;
use std::time::Duration;

use amends_core::SagaId;
use amends_store::{Batch, Entry, Events, Query};
use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::cast::{Part, SECOND_VERSION, cast};
use crate::manifest::{Begun, Deed, End, Formats, Listed, Manifest, Seen};
use crate::process::{Process, Sky};
use crate::site::Site;

/// The definitions of a new folder.
const FIRST: &[&[u8]] = &[
    include_bytes!("../definitions/order-1.yaml"),
    include_bytes!("../definitions/transfer.yaml"),
    include_bytes!("../definitions/trip.yaml"),
    include_bytes!("../definitions/errand.yaml"),
    include_bytes!("../definitions/letter.yaml"),
    include_bytes!("../definitions/rush.yaml"),
];

/// What is served in its last moment.
const SECOND: &[&[u8]] = &[include_bytes!("../definitions/order-2.yaml")];

/// Every event, field and code that there is.
const VOCABULARY: &[u8] = include_bytes!("../../crates/engine/tests/golden/events-format-1.txt");

/// The wall clock at the beginning: any time will do, as long as it is the same in every run.
const WALL_AT_START: u64 = 1_795_000_000_000;

/// The name of the saga that nobody can read.
const UNREADABLE: &str = "unreadable";

/// So long takes the work of a moment, and no timer of the engine.
const MOMENT: Duration = Duration::from_millis(20);

/// The formats that this version writes.
pub fn formats() -> Formats {
    let sha256 = Sha256::digest(VOCABULARY);
    Formats {
        folder: amends_store_sqlite::FORMAT,
        events: amends_engine::persist::FORMAT,
        vocabulary_sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// When the write-ahead files are written back, in seconds before the end: what comes after is in
/// them when the process is killed, and is as much as that needs.
const WRITTEN_BACK: u64 = 8;

/// Makes both folders, and says what is in them.
pub async fn make(version: &str, killed: &Path, stopped: &Path) -> anyhow::Result<Manifest> {
    let (site, sky) = (Site::new(), Sky::showing(WALL_AT_START));
    let unreadable = damage_one(stopped, &site, &sky).await?;

    let process = Process::start(stopped, &site, &sky).await?;
    process.deploy(FIRST).await?;
    let begun = play(&process, || write_back(stopped)).await?;
    let orphan = orphan(&process, &sky).await?;

    let mut sagas = vec![unreadable];
    let mut wrong = Vec::new();
    for (part, saga, version) in &begun {
        let seen = process.look(*saga).await?;
        wrong.extend(misplaced(part, &seen));
        sagas.push(listed(part, *saga, *version, seen, &site));
    }
    ensure!(wrong.is_empty(), "the story has gone another way:\n{}", wrong.join("\n"));
    let size = process.store.journal.size();
    ensure!(
        process.store.catalog.position() < size.last && size.cut.0 > 0,
        "the journal is to have a tail that the catalog does not know, and to have been cut: {size:?}"
    );
    let manifest = Manifest {
        version: version.to_owned(),
        formats: formats(),
        ended_at: sky.now(),
        definitions: definitions(&process),
        audit: audit(&process).await?,
        orphans: vec![orphan],
        sagas,
    };
    copy(stopped, killed)?;
    process.stop().await;
    Ok(manifest)
}

/// Starts the cast in its order, and does to it what is to be done.
async fn play(
    process: &Process,
    write_back: impl Fn() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<(Part, SagaId, u32)>> {
    enum Beat {
        WriteBack,
        Start(usize),
        Deed(usize, Deed),
    }
    let cast = cast();
    let mut beats = vec![(WRITTEN_BACK, Beat::WriteBack)];
    for (at, part) in cast.iter().enumerate() {
        beats.push((part.starts, Beat::Start(at)));
        beats.extend(
            part.before.iter().map(|(seconds, deed)| (*seconds, Beat::Deed(at, deed.clone()))),
        );
    }
    beats.sort_by_key(|(before_the_end, _)| std::cmp::Reverse(*before_the_end));
    let length = beats.first().map_or(0, |(seconds, _)| *seconds);
    let began = Instant::now();
    let mut begun: Vec<Option<(SagaId, u32)>> = vec![None; cast.len()];
    for (before_the_end, beat) in beats {
        tokio::time::sleep_until(began + Duration::from_secs(length - before_the_end)).await;
        match beat {
            Beat::WriteBack => write_back()?,
            Beat::Start(at) => {
                let part = &cast[at];
                if SECOND_VERSION.contains(&part.name) {
                    process.deploy(SECOND).await?;
                }
                let data = part.data.clone().into();
                let started = process.begin(part.saga_type, part.name, &data).await;
                let saga = started.with_context(|| part.name)?.snapshot.saga;
                begun[at] = Some((saga.id, saga.pinned.version));
            }
            Beat::Deed(at, deed) => {
                let (saga, _) = begun[at].context("a deed before its saga")?;
                process
                    .act(saga, &deed)
                    .await
                    .with_context(|| format!("{}: {deed:?}", cast[at].name))?;
            }
        }
    }
    tokio::time::sleep(MOMENT).await;
    let begun = cast.into_iter().zip(begun).map(|(part, begun)| {
        let (saga, version) = begun.context("it was never started")?;
        Ok((part, saga, version))
    });
    begun.collect()
}

/// How a saga does not stand where its part says.
fn misplaced(part: &Part, seen: &Seen) -> Option<String> {
    let paused = part.before.iter().any(|(_, deed)| matches!(deed, Deed::Pause));
    let (mut needs, mut found) = (part.attention.clone(), seen.attention.clone());
    needs.sort();
    found.sort();
    let as_said = part.stands == seen.state && needs == found && paused == seen.paused;
    (!as_said).then(|| format!("{}: {} with {needs:?}, and found {seen:?}", part.name, part.stands))
}

fn listed(part: &Part, saga: SagaId, version: u32, seen: Seen, site: &Site) -> Listed {
    let saga_id = saga.to_string();
    Listed {
        name: part.name.to_owned(),
        start: Begun {
            saga_type: part.saga_type.to_owned(),
            version,
            data: part.data.clone().into(),
        },
        stood: Some(seen),
        asked: site.asked(&saga_id),
        effects: site.effects(&saga_id),
        deeds: part.after.clone(),
        end: part.end.clone(),
        saga_id,
    }
}

/// A saga whose history goes on with bytes that nobody has written: in the folder from the beginning,
/// so that the engine sets it aside and keeps it.
async fn damage_one(folder: &Path, site: &Site, sky: &Sky) -> anyhow::Result<Listed> {
    let process = Process::start(folder, site, sky).await?;
    process.deploy(FIRST).await?;
    let data = serde_json::json!({ "order": UNREADABLE });
    let started = process.begin("Order", UNREADABLE, &data).await?;
    let saga = started.snapshot.saga.id;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let row = process.handle.row(saga).await?.context("the catalog has it")?;
    let store = process.store.clone();
    drop(process);
    let epoch = store.journal.acquire(row.shard).await?;
    let bytes = bytes::Bytes::from_static(b"\x01\x03???");
    let events = Events { first_seq: row.seq + 1, count: 1, bytes };
    let entry = Entry { saga: saga.0, events, claims: vec![], releases: vec![] };
    store.journal.append(Batch { shard: row.shard, epoch, entries: vec![entry] }).await?;
    store.close().await;
    let (saga_id, version) = (saga.to_string(), row.definition_version);
    Ok(Listed {
        name: UNREADABLE.to_owned(),
        start: Begun { saga_type: "Order".to_owned(), version, data },
        stood: None,
        asked: site.asked(&saga_id),
        effects: site.effects(&saga_id),
        deeds: Vec::new(),
        end: End { state: String::new(), exceptions: Vec::new(), attention: Vec::new() },
        saga_id,
    })
}

/// A reply to a saga that is gone.
async fn orphan(process: &Process, sky: &Sky) -> anyhow::Result<String> {
    let gone = SagaId(u128::from(sky.now() - 1000) << 80 | 0x7 << 76 | 0b10 << 62 | 9);
    let raw = format!(
        r#"{{"type":"SagaStepCompleted","saga_id":"{gone}","step_name":"post","result":{{}}}}"#
    );
    let receipt = process.reply(raw.clone()).await?;
    ensure!(receipt == amends_engine::Receipt::Orphan, "it was not kept as an orphan: {receipt:?}");
    Ok(raw)
}

/// Every definition that an engine has: type, version, and hash.
pub fn definitions(process: &Process) -> Vec<(String, u32, String)> {
    let all = process.handle.definitions().into_iter().map(|deployed| {
        let pinned = deployed.pinned();
        let hash = pinned.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        (pinned.saga_type.to_string(), pinned.version, hash)
    });
    all.collect()
}

/// The verbs of the audit.
pub async fn audit(process: &Process) -> anyhow::Result<Vec<String>> {
    let entries = process.handle.audits(None, 0, Query::default().limit).await?;
    Ok(entries.into_iter().map(|entry| entry.audit.action).collect())
}

fn write_back(folder: &Path) -> anyhow::Result<()> {
    for name in ["journal.db", "catalog.db"] {
        let database = rusqlite::Connection::open(folder.join(name))?;
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(())
}

/// The files as they lie there, those beside the databases too.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}
