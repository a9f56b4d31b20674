//! The engine's public face: a cheap handle that starts sagas, asks things of them and looks at
//! them.
//!
//! A call returns once what it says is durable (S18). What is said of a saga goes through the shard
//! that owns it; lists come from the catalog.

use std::sync::Arc;
use std::time::Duration;

use amends_core::{Event, SagaId, Time};
use amends_store::{
    Audit, AuditEntry, CatalogError, Count, Page, Position, Query, SagaRow, StoredOrphan,
};
use sha2::{Digest, Sha256};
use tokio::sync::{broadcast, oneshot};

use crate::deployed::Deployed;
use crate::deployment::{DeployError, Deployment};
use crate::engine::Shared;
use crate::metrics::Metrics;
use crate::request::{
    Ask, AskError, Observation, Receipt, ReplyError, ReplyIn, Snapshot, Start, StartError, Started,
    Unavailable, Unobserved,
};
use crate::shard::message::Request;
use crate::transition::Transition;

/// The engine, for whoever uses it. Clones are the same engine.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

/// How the engine is.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// It takes work: recovery is over and the journal can be written.
    pub ready: bool,
    /// Why not, in words.
    pub why: Option<String>,
    /// Sagas in memory.
    pub sagas_in_memory: u64,
    /// Records that the catalog is behind the journal.
    pub catalog_lag_records: u64,
    /// The journal's bytes.
    pub journal_bytes: u64,
}

/// One event of a saga's history.
#[derive(Clone, Debug)]
pub struct HistoryItem {
    /// Its place, counted from 1.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// What.
    pub event: Event,
}

impl Handle {
    /// Starts a saga. With `wait` it answers when the saga has ended, or the time is up.
    pub async fn start(&self, start: Start) -> Result<Started, StartError> {
        crate::starting::start(&self.shared, start).await
    }

    /// A saga as it is durably.
    pub async fn get(&self, saga: SagaId) -> Result<Option<Snapshot>, Unavailable> {
        self.request(saga, |reply| Request::Get { saga, reply }).await?
    }

    /// A saga's row in the catalog, which is there for one that cannot be read, too.
    pub async fn row(&self, saga: SagaId) -> Result<Option<SagaRow>, CatalogError> {
        let stored = self.shared.store.catalog.read(saga.0).await?;
        Ok(stored.map(|stored| stored.row))
    }

    /// The same, once it has ended or the time is up.
    pub async fn wait(
        &self,
        saga: SagaId,
        timeout: Duration,
    ) -> Result<Option<Snapshot>, Unavailable> {
        let waited = self.request(saga, |reply| Request::Wait { saga, reply });
        match tokio::time::timeout(timeout, waited).await {
            Ok(ended) => ended?,
            Err(_) => self.get(saga).await,
        }
    }

    /// Everything that happened to a saga, as far as it is durable.
    pub async fn history(&self, saga: SagaId) -> Result<Option<Vec<HistoryItem>>, Unavailable> {
        self.request(saga, |reply| Request::History { saga, reply }).await?
    }

    /// Asks something of a saga. `at_seq` says which state the caller has seen: if the saga has
    /// moved since, nothing is done.
    pub async fn ask(
        &self,
        saga: SagaId,
        ask: Ask,
        at_seq: Option<u64>,
    ) -> Result<Snapshot, AskError> {
        let audit = self.audit(saga, &ask);
        let asked = self.request(saga, |reply| Request::Ask { saga, ask, at_seq, reply });
        let snapshot = asked.await.map_err(AskError::from)??;
        if let Some(audit) = audit
            && let Err(error) = self.shared.store.catalog.append_audit(audit).await
        {
            // The saga's own history has who and why; the audit is the list over all sagas.
            tracing::error!(saga_id = %saga, %error, "an act could not be added to the audit");
        }
        Ok(snapshot)
    }

    /// Takes in what a service said of a saga that services run among themselves; answers when it is
    /// durable.
    pub(crate) async fn observe(&self, observation: Observation) -> Result<(), Unobserved> {
        let observation = Box::new(observation);
        self.request(observation.saga_id, |reply| Request::Observe { observation, reply }).await?
    }

    /// What the audit says of a verb. A signal is business, not an operator's act.
    fn audit(&self, saga: SagaId, ask: &Ask) -> Option<Audit> {
        let Ask::Verb { verb, by, reason } = ask else { return None };
        let detail = serde_json::json!({ "reason": &**reason, "step": verb.step() });
        Some(Audit {
            at: self.shared.clock.now().0,
            actor: by.to_string(),
            action: verb.name().to_owned(),
            saga: Some(saga.0),
            detail: detail.to_string().into(),
        })
    }

    /// Takes a reply that came by itself; answers when it is durable.
    pub async fn reply(&self, reply: ReplyIn) -> Result<Receipt, ReplyError> {
        crate::replying::reply(&self.shared, reply).await
    }

    /// Rows of the catalog, a page at a time; at most a second behind. With `at_least` the answer
    /// waits (up to a few seconds) until the catalog holds that position.
    pub async fn list(
        &self,
        query: Query,
        at_least: Option<Position>,
    ) -> Result<Page, CatalogError> {
        if let Some(position) = at_least {
            self.shared.catalog_reached(position).await;
        }
        self.shared.store.catalog.list(query).await
    }

    /// How many sagas of each type are in each state.
    pub async fn counts(&self) -> Result<Vec<Count>, CatalogError> {
        self.shared.store.catalog.counts().await
    }

    /// The last durable position: give it to [`list`](Self::list) to read what was just written.
    pub fn position(&self) -> Position {
        self.shared.store.journal.size().last
    }

    /// Replies whose saga is gone.
    pub async fn orphans(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredOrphan>, CatalogError> {
        self.shared.store.catalog.orphans(after, limit).await
    }

    /// Takes a reply out of the list that a person has dealt with; answers what it was. That it was
    /// done, by whom and why is in the audit before.
    pub async fn remove_orphan(
        &self,
        number: u64,
        by: &str,
        reason: &str,
    ) -> Result<Option<StoredOrphan>, CatalogError> {
        let catalog = &self.shared.store.catalog;
        let found = catalog.orphans(number.saturating_sub(1), 1).await?;
        let Some(found) = found.into_iter().find(|found| found.number == number) else {
            return Ok(None);
        };
        let digest: [u8; 32] = Sha256::digest(&found.orphan.reply).into();
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let detail = serde_json::json!({
            "reason": reason,
            "number": number,
            "source": found.orphan.source,
            "reply_sha256": digest,
        });
        let audit = Audit {
            at: self.shared.clock.now().0,
            actor: by.to_owned(),
            action: "remove_orphan".to_owned(),
            saga: Some(found.orphan.saga),
            detail: detail.to_string().into(),
        };
        catalog.append_audit(audit).await?;
        Ok(catalog.remove_orphan(number).await?.then_some(found))
    }

    /// What operators did, newest last; of one saga when it is named.
    pub async fn audits(
        &self,
        saga: Option<SagaId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, CatalogError> {
        self.shared.store.catalog.audits(saga.map(|id| id.0), after, limit).await
    }

    /// Takes in the definition files there are now: new versions are kept durably before this
    /// answers, types whose file is gone take no new sagas.
    pub async fn deploy(&self, files: Vec<Deployment>) -> Result<(), DeployError> {
        self.shared.registry.deploy(&self.shared, files).await
    }

    /// Takes in one definition file beside those there are.
    pub async fn deploy_one(&self, file: Deployment) -> Result<Arc<Deployed>, DeployError> {
        self.shared.registry.deploy_one(&self.shared, file).await
    }

    /// Every version of every type.
    pub fn definitions(&self) -> Vec<Arc<Deployed>> {
        self.shared.registry.all()
    }

    /// One version of a type.
    pub fn definition(&self, saga_type: &str, version: u32) -> Option<Arc<Deployed>> {
        self.shared.registry.version(saga_type, version)
    }

    /// The version of each type that new sagas get; a type whose file is gone is not among them.
    pub fn current_versions(&self) -> Vec<(Arc<str>, u32)> {
        self.shared.registry.current()
    }

    /// Every transition from now on. A reader that falls behind is told how many it missed.
    pub fn transitions(&self) -> broadcast::Receiver<Arc<Transition>> {
        self.shared.transitions.subscribe()
    }

    /// The engine's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// How the engine is.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    async fn request<T>(
        &self,
        saga: SagaId,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Unavailable> {
        let (reply, answer) = oneshot::channel();
        let inlets = self.shared.shard_of(saga);
        inlets.requests.send(request(reply)).await.map_err(|_| self.shared.stopped())?;
        answer.await.map_err(|_| self.shared.stopped())
    }
}
