//! Opens a folder with the engine of today, lets every saga in it go on, and holds what comes of it
//! against the manifest.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use amends_core::saga::Saga;
use amends_engine::{HistoryItem, StartError, Unavailable};
use amends_store::Query;
use anyhow::{Context, ensure};

use crate::manifest::{Effects, Listed, Manifest, Seen};
use crate::process::{Process, Sky};
use crate::site::Site;
use crate::story::{audit, definitions};

/// How long nobody ran an engine on the folder: long enough to be an outage.
const AWAY_MS: u64 = 3_600_000;

/// How long after the opening people do what the manifest says.
const DEEDS_AFTER: Duration = Duration::from_secs(5);

/// Every deadline, retry and redrive of the cast is over by then.
const OVER_AFTER: Duration = Duration::from_secs(2 * 3600);

/// How often it is looked whether all have ended.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How long after the last end nothing more may happen.
const QUIET: Duration = Duration::from_secs(600);

/// Opens a folder and judges what becomes of it; says in words what is not as it must be.
pub async fn judge(folder: &Path, manifest: &Manifest) -> anyhow::Result<Vec<String>> {
    let before = manifest.sagas.iter();
    let site = Site::after(before.map(|s| (s.saga_id.as_str(), s.asked.as_slice(), &s.effects)));
    let sky = Sky::showing(manifest.ended_at + AWAY_MS);
    let process = Process::start(folder, &site, &sky).await?;
    let mut judge = Judge { process, site, manifest, wrong: Vec::new() };
    judge.as_it_was_left().await?;
    judge.go_on().await?;
    judge.ends().await?;
    let Judge { process, site, mut wrong, .. } = judge;
    process.stop().await;
    wrong.extend(site.faults());
    Ok(wrong)
}

struct Judge<'a> {
    process: Process,
    site: Site,
    manifest: &'a Manifest,
    wrong: Vec<String>,
}

impl Judge<'_> {
    fn hold<T: PartialEq + std::fmt::Debug>(&mut self, of: &str, what: &str, is: &T, must: &T) {
        if is != must {
            self.wrong.push(format!("{of}: {what} is {is:?} and must be {must:?}"));
        }
    }

    /// Everything that was in the folder is there.
    async fn as_it_was_left(&mut self) -> anyhow::Result<()> {
        let manifest = self.manifest;
        let found = audit(&self.process).await?;
        self.hold("the folder", "its audit", &found, &manifest.audit);
        let orphans = self.process.handle.orphans(0, Query::default().limit).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let replies: Vec<_> = orphans.iter().map(|kept| text(&kept.orphan.reply)).collect();
        self.hold("the folder", "its orphans", &replies, &manifest.orphans);
        for saga in &manifest.sagas {
            self.saga_as_it_was_left(saga).await.with_context(|| saga.name.clone())?;
        }
        // The same files are served again: they are the versions that there are.
        let sources = self.process.store.catalog.definitions().await?;
        let newest: BTreeMap<_, _> =
            sources.iter().map(|d| (&d.saga_type, &d.source[..])).collect();
        let newest: Vec<&[u8]> = newest.into_values().collect();
        self.process.deploy(&newest).await?;
        let found = definitions(&self.process);
        self.hold("the folder", "its definitions", &found, &manifest.definitions);
        for saga in &manifest.sagas {
            self.started_again(saga).await;
        }
        Ok(())
    }

    async fn saga_as_it_was_left(&mut self, listed: &Listed) -> anyhow::Result<()> {
        let saga = listed.saga_id.parse()?;
        let handle = &self.process.handle;
        let Some(stood) = &listed.stood else {
            let answer = handle.get(saga).await;
            if !matches!(answer, Err(Unavailable::Unreadable(_))) {
                self.wrong.push(format!("{}: it can be read, {answer:?}", listed.name));
            }
            let row = handle.row(saga).await?.context("it has no row")?;
            let set_aside = row.quarantined.is_some() && row.attention != 0;
            self.hold(&listed.name, "that it is set aside", &set_aside, &true);
            return Ok(());
        };
        let snapshot = handle.get(saga).await?.context("it is not there")?;
        let history = self.process.history(saga).await?;
        let (then, now) =
            (past(&history, stood.seq)?, Seen::of(&snapshot.saga, &snapshot.deployed));
        let then = Seen::of(&then, &snapshot.deployed);
        self.hold(&listed.name, "how it stood by its history", &then, stood);
        let unmoved = Seen { seq: stood.seq, ..now.clone() };
        if now.seq < stood.seq || stood.paused || listed.stood_at_its_end() {
            self.hold(&listed.name, "how it stands", &unmoved, stood);
        }
        let pinned = &snapshot.saga.pinned;
        let of = (pinned.saga_type.to_string(), pinned.version);
        let begun = (listed.start.saga_type.clone(), listed.start.version);
        self.hold(&listed.name, "its definition", &of, &begun);
        Ok(())
    }

    /// Its idempotency key still finds it, and no other saga begins.
    async fn started_again(&mut self, listed: &Listed) {
        let (of, name) = (&listed.start.saga_type, &listed.name);
        let mut other = listed.start.data.clone();
        other["other"] = true.into();
        let again = self.process.begin(of, name, &other).await;
        let conflict = matches!(&again, Err(StartError::IdempotencyConflict { saga_id })
            if saga_id.to_string() == listed.saga_id);
        self.hold(name, "a start with its key and other data is a conflict", &conflict, &true);
        if listed.stood.is_some() {
            let again = self.process.begin(of, name, &listed.start.data).await;
            let found =
                again.map(|started| (started.existing, started.snapshot.saga.id.to_string()));
            self.hold(name, "a start with its key", &found, &Ok((true, listed.saga_id.clone())));
        }
    }

    /// Services answer, people act, and time passes until all have ended.
    async fn go_on(&mut self) -> anyhow::Result<()> {
        tokio::time::sleep(DEEDS_AFTER).await;
        for listed in self.manifest.sagas.iter().filter(|listed| listed.paused()) {
            let asked = self.site.asked_now(&listed.saga_id);
            self.hold(&listed.name, "what was asked while it is paused", &asked, &Vec::new());
        }
        for listed in &self.manifest.sagas {
            for deed in &listed.deeds {
                let done = self.process.act(listed.saga_id.parse()?, deed).await;
                done.with_context(|| format!("{}: {deed:?}", listed.name))?;
            }
        }
        let began = tokio::time::Instant::now();
        while began.elapsed() < OVER_AFTER && !self.over().await? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tokio::time::sleep(QUIET).await;
        Ok(())
    }

    async fn over(&self) -> anyhow::Result<bool> {
        for listed in self.manifest.sagas.iter().filter(|listed| listed.stood.is_some()) {
            let seen = self.process.look(listed.saga_id.parse()?).await?;
            if seen.end() != listed.end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn ends(&mut self) -> anyhow::Result<()> {
        for listed in &self.manifest.sagas {
            let name = &listed.name;
            let effects = self.site.effects(&listed.saga_id);
            let asked = self.site.asked_now(&listed.saga_id);
            let saga = listed.saga_id.parse()?;
            if listed.stood.is_none() {
                self.hold(name, "what was asked", &asked, &Vec::new());
                self.hold(name, "what it did", &effects, &listed.effects);
                continue;
            }
            let seen = self.process.look(saga).await?;
            self.hold(name, "its end", &seen.end(), &listed.end);
            let history = self.process.history(saga).await?;
            let replayed = past(&history, seen.seq)?;
            let events = history.len() as u64;
            self.hold(name, "its last event", &replayed.seq, &events);
            if listed.stood_at_its_end() {
                self.hold(name, "what was asked after its end", &asked, &Vec::new());
            }
            for (step, status) in &seen.steps {
                let effects = effects.get(step).copied().unwrap_or_default();
                let by_hand = seen.exceptions.iter().any(|text| text.ends_with(step.as_str()));
                let sends = self.site.asked(&listed.saga_id).iter().any(|asked| asked.is_of(step));
                if sends && !by_hand && !fits(effects, status) {
                    self.wrong.push(format!("{name}: {step} is {status}, and did {effects:?}"));
                }
            }
        }
        Ok(())
    }
}

impl Listed {
    fn paused(&self) -> bool {
        self.stood.as_ref().is_some_and(|stood| stood.paused)
    }

    /// It had ended as it must, and owed nothing.
    fn stood_at_its_end(&self) -> bool {
        let owes = |stood: &Seen| stood.steps.values().any(|status| status == "compensating");
        let stood = self.stood.as_ref().filter(|stood| !owes(stood));
        self.deeds.is_empty() && stood.is_some_and(|stood| stood.end() == self.end)
    }
}

/// A saga as it was after so many events.
fn past(history: &[HistoryItem], seq: u64) -> anyhow::Result<Saga> {
    ensure!(history.len() as u64 >= seq, "{} events are left of {seq}", history.len());
    let events = history.iter().take(seq as usize).map(|item| (item.at, &item.event));
    Ok(Saga::replay(events)?)
}

/// Does a step that ended so have had these effects (`semantics.md` S1, S2)? Of one that failed or
/// whose outcome is unknown at an end that is clean, none is left.
fn fits(Effects { done, undone }: Effects, status: &str) -> bool {
    match status {
        "completed" => (done, undone) == (1, 0),
        _ => done == undone && done <= 1,
    }
}
