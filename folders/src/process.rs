//! An engine on a data folder, on a clock of its own: everything in it happens in the same order at
//! every run.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amends_core::{SagaId, Time};
use amends_definition::{Surroundings, check};
use amends_engine::{
    Ask, AskError, Deployment, Engine, Handle, HistoryItem, Options, Outside, ReplyIn, SagaVerb,
    Start, StartError, Started,
};
use amends_store::Store;
use amends_store::conformance::inline;
use anyhow::{Context, anyhow, ensure};
use tokio::time::Instant;

use crate::manifest::{Deed, Seen};
use crate::site::Site;

/// The clock on the wall, and identities for sagas.
#[derive(Clone)]
pub struct Sky {
    wall_at_start: u64,
    start: Instant,
    ids: Arc<AtomicU64>,
}

impl Sky {
    /// One that shows this time now.
    pub fn showing(wall: u64) -> Self {
        Self { wall_at_start: wall, start: Instant::now(), ids: Arc::default() }
    }

    /// What it shows.
    pub fn now(&self) -> u64 {
        self.wall_at_start + self.start.elapsed().as_millis() as u64
    }
}

impl Outside for Sky {
    fn wall_clock(&self) -> Time {
        Time(self.now())
    }

    /// The time, and a number that is counted up and spread, so that every shard has sagas.
    fn saga_id(&self) -> SagaId {
        let number = self.ids.fetch_add(1, Ordering::Relaxed) + 1;
        let spread = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2);
        let (version, variant) = (0x7_u128 << 76, 0b10_u128 << 62);
        SagaId(u128::from(self.now()) << 80 | version | variant | spread)
    }
}

/// A running engine.
pub struct Process {
    /// The way to it.
    pub handle: Handle,
    /// Its store.
    pub store: Store,
    engine: Engine,
    site: Site,
    sky: Sky,
}

impl Process {
    /// Opens a folder and starts an engine on it.
    pub async fn start(folder: &Path, site: &Site, sky: &Sky) -> anyhow::Result<Self> {
        let options = amends_store_sqlite::Options::default();
        let store = inline(amends_store_sqlite::open(folder, &options)?);
        let outside = Arc::new(sky.clone());
        let binder = Arc::new(site.clone());
        let started = Engine::start_in(Options::default(), store.clone(), binder, outside).await;
        let engine = started?;
        let (site, sky) = (site.clone(), sky.clone());
        Ok(Self { handle: engine.handle(), store, engine, site, sky })
    }

    /// Ends it in order.
    pub async fn stop(self) {
        self.engine.stop().await;
    }

    /// Takes in definition files; nothing else is served from then on.
    pub async fn deploy(&self, sources: &[&[u8]]) -> anyhow::Result<()> {
        let mut files = Vec::new();
        for source in sources {
            let checked = check(source, "definition.yaml", &Surroundings::none());
            let why = checked.findings.first().map(|finding| finding.message.clone());
            let compiled = checked.compiled.with_context(|| why.unwrap_or_default())?;
            files.push(Deployment { compiled });
        }
        Ok(self.handle.deploy(files).await?)
    }

    /// Starts a saga under its name as the idempotency key.
    pub async fn begin(
        &self,
        saga_type: &str,
        name: &str,
        data: &serde_json::Value,
    ) -> Result<Started, StartError> {
        let start = Start {
            saga_type: saga_type.into(),
            version: None,
            data: data.to_string().into(),
            idempotency_key: Some(name.into()),
            wait: None,
        };
        self.handle.start(start).await
    }

    /// The saga now.
    pub async fn look(&self, saga: SagaId) -> anyhow::Result<Seen> {
        let snapshot = self.handle.get(saga).await?.context("the saga is not there")?;
        Ok(Seen::of(&snapshot.saga, &snapshot.deployed))
    }

    /// Its history, which must be without a gap.
    pub async fn history(&self, saga: SagaId) -> anyhow::Result<Vec<HistoryItem>> {
        let history = self.handle.history(saga).await?.context("the saga is not there")?;
        let numbered = history.iter().zip(1..).all(|(item, seq)| item.seq == seq);
        ensure!(numbered, "the history of {saga} is not numbered from 1 without a gap");
        let in_order = history.windows(2).all(|pair| pair[0].at <= pair[1].at);
        ensure!(in_order, "the history of {saga} goes back in time");
        Ok(history)
    }

    /// Does something to a saga.
    pub async fn act(&self, saga: SagaId, deed: &Deed) -> anyhow::Result<()> {
        let verb = match deed.clone() {
            Deed::Signal(name, body) => {
                let body = body.to_string().as_str().into();
                return self.ask(saga, Ask::Signal { name: name.into(), body }).await;
            }
            Deed::SucceedsLate(step) => {
                self.site.succeed_late(&saga.to_string(), &step);
                return Ok(());
            }
            Deed::RepliesLate(step) => return self.reply_late(saga, &step).await,
            Deed::Cancel => SagaVerb::Cancel,
            Deed::Pause => SagaVerb::Pause,
            Deed::Resume => SagaVerb::Resume,
            Deed::Retry(step) => SagaVerb::Retry { step },
            Deed::ResolveDone(step) => {
                let completed = Some(r#"{"by":"hand"}"#.into());
                SagaVerb::Resolve { step, completed, force: false }
            }
            Deed::ResolveRefused(step) => SagaVerb::Resolve { step, completed: None, force: false },
            Deed::Skip(step) => SagaVerb::Skip { step, force: false },
            Deed::Edit(step, body) => {
                let body = body.to_string().as_str().into();
                SagaVerb::Edit { step, body, force: false }
            }
            Deed::Extend(step) => {
                let deadline = Time(self.sky.now() + 3_600_000);
                SagaVerb::Extend { step: Some(step), deadline }
            }
            Deed::Acknowledge(step) => SagaVerb::Acknowledge { step },
        };
        self.ask(saga, Ask::Verb { verb, by: "ada".into(), reason: "as planned".into() }).await
    }

    /// Asks again while an attempt is in flight, as a person does.
    async fn ask(&self, saga: SagaId, ask: Ask) -> anyhow::Result<()> {
        const TRIES_MAX: usize = 30;
        for _ in 0..TRIES_MAX {
            match self.handle.ask(saga, ask.clone(), None).await {
                Ok(_) => return Ok(()),
                Err(AskError::Refused(amends_core::Refusal::AttemptInFlight)) => {}
                Err(why) => return Err(why.into()),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Err(anyhow!("an attempt is in flight for ever"))
    }

    async fn reply_late(&self, saga: SagaId, step: &str) -> anyhow::Result<()> {
        let name = saga.to_string();
        self.site.succeed_late(&name, step);
        let raw = format!(
            r#"{{"type":"SagaStepCompleted","saga_id":"{name}","step_name":"{step}","result":{{"of":"{step}"}}}}"#
        );
        self.reply(raw).await.map(drop)
    }

    /// A service's reply comes in by itself.
    pub async fn reply(&self, raw: String) -> anyhow::Result<amends_engine::Receipt> {
        let raw = bytes::Bytes::from(raw);
        let reply = amends_wire::Reply::parse(&(), &raw)?;
        let services = Some(["Post", "Ship"].map(str::to_owned).to_vec());
        let source = "a callback".to_owned();
        Ok(self.handle.reply(ReplyIn { reply, token: None, services, source, raw }).await?)
    }
}
