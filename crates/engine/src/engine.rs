//! The engine as a whole: its parts are set up, recovered, run and stopped here.

use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use amends_core::{Millis, SagaId, Time};
use amends_store::{CatalogError, JournalError, Position, Store};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use crate::checkpointer;
use crate::clock::Clock;
use crate::deployed::{Binder, Registry};
use crate::handle::{Handle, Health};
use crate::messaging::{Places, Refusals};
use crate::metrics::Metrics;
use crate::options::{CATALOG_BEHIND_BYTES_MAX, Options, TRANSITIONS_KEPT};
use crate::outages::{self, Outages};
use crate::outside::{Machine, Outside};
use crate::recovery;
use crate::replying;
use crate::request::Unavailable;
use crate::shard::message::{Inlets, Internal};
use crate::shard::{Fatal, shard_of};
use crate::transition::Transition;

/// How long a list waits for a position before it answers with what there is.
const POSITION_WAIT_MAX: Duration = Duration::from_secs(5);

/// A running engine. Keep it, and [`stop`](Self::stop) it; dropping it ends it at once, as a crash
/// would.
pub struct Engine {
    handle: Handle,
    tasks: JoinSet<Result<(), Fatal>>,
    helpers: JoinSet<()>,
    stop: watch::Sender<bool>,
    stop_helpers: watch::Sender<bool>,
}

/// Why an engine did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal.
    #[error("the journal: {0}")]
    Journal(#[from] JournalError),
    /// The catalog.
    #[error("the catalog: {0}")]
    Catalog(#[from] CatalogError),
    /// A newer version of amends wrote to the store.
    #[error("{0}; nothing was changed")]
    Newer(crate::persist::DecodeError),
    /// A part of the engine broke off; what is durable is safe.
    #[error("a part of the engine broke off: {0}; restart it, what is durable is recovered")]
    Broken(String),
}

impl From<Fatal> for Error {
    fn from(fatal: Fatal) -> Self {
        match fatal {
            Fatal::Journal(error) => Self::Journal(error),
        }
    }
}

/// What every part of the engine shares.
pub struct Shared {
    pub options: Options,
    pub store: Store,
    pub registry: Registry,
    pub clock: Clock,
    pub outside: Arc<dyn Outside>,
    pub metrics: Metrics,
    pub transitions: broadcast::Sender<Arc<Transition>>,
    inlets: OnceLock<Vec<Inlets>>,
    trouble: RwLock<Option<String>>,
    ready: watch::Sender<bool>,
    catalog: watch::Sender<Position>,
    catalog_broken: watch::Sender<Option<CatalogError>>,
    pub outages: Outages,
    /// Where sagas are asked for by message and their events go.
    pub places: Places,
    /// What was asked for by message and refused.
    pub refusals: Refusals,
}

impl Engine {
    /// Recovers what the store holds and goes on with it. Definitions are given to the handle.
    pub async fn start(
        options: Options,
        store: Store,
        binder: Arc<dyn Binder>,
    ) -> Result<Self, Error> {
        Self::start_in(options, store, binder, Arc::new(Machine)).await
    }

    /// The same, with another clock and other identities than the machine's.
    pub async fn start_in(
        options: Options,
        store: Store,
        binder: Arc<dyn Binder>,
        outside: Arc<dyn Outside>,
    ) -> Result<Self, Error> {
        let (transitions, _) = broadcast::channel(TRANSITIONS_KEPT);
        let catalog = watch::Sender::new(store.catalog.position());
        let shared = Arc::new(Shared {
            options,
            registry: Registry::new(binder),
            clock: Clock::start(outside.wall_clock()),
            outside,
            metrics: Metrics::new(),
            transitions,
            inlets: OnceLock::new(),
            trouble: RwLock::default(),
            ready: watch::Sender::new(false),
            catalog,
            catalog_broken: watch::Sender::new(None),
            outages: Outages::default(),
            places: Places::default(),
            refusals: Refusals::default(),
            store,
        });
        recovery::definitions(&shared).await?;
        shared.refusals.restore(&*shared.store.catalog).await?;
        let (stop, stopped) = watch::channel(false);
        let (stop_helpers, helpers_stopped) = watch::channel(false);
        let shards = recovery::shards(&shared).await?;
        // Before a shard runs: whoever starts an engine hears every transition from its first on. What
        // services say among themselves is heard when all definitions are there that it may be of.
        shared.places.bring_up_to_date(&shared, false).await;
        let mut tasks = JoinSet::new();
        for shard in shards {
            tasks.spawn(shard.run(stopped.clone()));
        }
        let mut helpers = JoinSet::new();
        helpers.spawn(checkpointer::run(Arc::clone(&shared), helpers_stopped.clone()));
        helpers.spawn(outages::signs_of_life(Arc::clone(&shared), helpers_stopped.clone()));
        helpers.spawn(recovery::due_sagas(Arc::clone(&shared), helpers_stopped.clone()));
        helpers.spawn(crate::metrics::gauges(Arc::clone(&shared), helpers_stopped));
        shared.ready.send_replace(true);
        shared.registry.listen(replying::replies(&shared));
        Ok(Self { handle: Handle { shared }, tasks, helpers, stop, stop_helpers })
    }

    /// The handle; clones of it may outlive the engine, and are told so.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Resolves when a part of the engine breaks off, with the reason. The engine is of no use
    /// then: stop it, and start it anew on the same store.
    pub async fn broken(&mut self) -> Error {
        let shared = Arc::clone(&self.handle.shared);
        let mut catalog = shared.catalog_broken.subscribe();
        let ended = tokio::select! {
            ended = self.tasks.join_next() => ended,
            // The sender is there as long as this is.
            Ok(error) = catalog.wait_for(Option::is_some) => {
                shared.ready.send_replace(false);
                return error.clone().map_or_else(|| Error::Broken(String::new()), Error::Catalog);
            }
        };
        shared.ready.send_replace(false);
        match ended {
            Some(Ok(Err(fatal))) => fatal.into(),
            Some(Err(panic)) => Error::Broken(panic.to_string()),
            Some(Ok(Ok(()))) | None => Error::Broken("it was stopped".to_owned()),
        }
    }

    /// Ends it in order: what is decided is made durable, the catalog is brought up to it, the
    /// store is closed.
    pub async fn stop(mut self) {
        let shared = Arc::clone(&self.handle.shared);
        shared.ready.send_replace(false);
        shared.places.close().await;
        // The helpers first: the last checkpoint needs the shards. Not while the disk is full: a shard
        // that tries again and again answers nobody.
        if shared.journal_trouble().is_some() {
            self.stop.send_replace(true);
        }
        self.stop_helpers.send_replace(true);
        while self.helpers.join_next().await.is_some() {}
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        shared.store.close().await;
    }
}

impl Shared {
    /// The ways into the shard that owns a saga.
    pub fn shard_of(&self, saga: SagaId) -> &Inlets {
        &self.inlets()[shard_of(saga).0 as usize]
    }

    /// The ways into every shard.
    pub fn inlets(&self) -> &[Inlets] {
        self.inlets.get().map_or(&[], Vec::as_slice)
    }

    pub fn set_inlets(&self, inlets: Vec<Inlets>) {
        let _ = self.inlets.set(inlets); // it is set once, at the start
    }

    /// Tells the shard of a saga something. One that is gone needs no telling.
    pub fn tell(&self, saga: SagaId, message: Internal) {
        let _ = self.shard_of(saga).internal.send(message);
    }

    /// Tells every shard something.
    pub fn tell_all(&self, mut message: impl FnMut() -> Internal) {
        for inlets in self.inlets() {
            let _ = inlets.internal.send(message());
        }
    }

    /// Does anybody watch transitions?
    pub fn watched(&self) -> bool {
        self.transitions.receiver_count() > 0 || tracing::enabled!(tracing::Level::DEBUG)
    }

    /// Publishes a transition that is durable, and logs it.
    pub fn publish(&self, transition: Transition) {
        transition.log();
        let _ = self.transitions.send(Arc::new(transition)); // nobody watches
    }

    /// What is wrong with the journal, if anything is.
    pub fn journal_trouble(&self) -> Option<String> {
        self.trouble.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Why a shard no longer answers.
    pub fn stopped(&self) -> Unavailable {
        self.journal_trouble().map_or(Unavailable::Stopped, Unavailable::JournalFailed)
    }

    pub fn journal_fails(&self, error: &JournalError) {
        tracing::error!(%error, "the journal cannot be written; no work is taken");
        *self.trouble.write().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Some(error.to_string());
    }

    pub fn journal_works(&self) {
        if self.journal_trouble().is_some() {
            tracing::info!("the journal can be written again");
            *self.trouble.write().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        }
    }

    /// A call of the catalog failed. One that cannot be written any more never can be by this
    /// process: without its checkpoints no saga would leave memory and the journal would not be cut,
    /// so the engine breaks off while it still can be recovered soon.
    pub fn catalog_fails(&self, error: &CatalogError) {
        if matches!(error, CatalogError::Broken { .. }) {
            self.catalog_broken.send_replace(Some(error.clone()));
        }
    }

    /// Does the journal hold more than the catalog should be behind?
    pub fn journal_behind(&self) -> bool {
        self.store.journal.size().bytes > CATALOG_BEHIND_BYTES_MAX
    }

    /// The catalog's place has moved.
    pub fn catalog_at(&self, position: Position) {
        self.catalog.send_replace(position);
    }

    /// Waits until the catalog holds a position, but not for ever.
    pub async fn catalog_reached(&self, position: Position) {
        let mut catalog = self.catalog.subscribe();
        let reached = catalog.wait_for(|at| *at >= position);
        // Past the limit the answer says how far it goes, with `as_of`.
        let _ = tokio::time::timeout(POSITION_WAIT_MAX, reached).await;
    }

    /// Notes that the engine did nothing for a while until now.
    pub fn outage(self: &Arc<Self>, ended: Time, lasted: Millis) {
        if !self.outages.note(ended, lasted) {
            return;
        }
        let secs = lasted.0.div_ceil(1_000);
        tracing::warn!(
            lasted_ms = lasted.0,
            "the engine was down or stopped for {secs} s; the deadlines of running sagas move by as \
             much"
        );
    }

    /// How the engine is.
    pub fn health(&self) -> Health {
        let size = self.store.journal.size();
        let trouble = self.journal_trouble();
        let recovered = *self.ready.borrow();
        let why = trouble.or_else(|| (!recovered).then(|| "it is recovering or stopping".into()));
        Health {
            ready: why.is_none(),
            why,
            sagas_in_memory: self.metrics.sagas_in_memory(),
            catalog_lag_records: size.last.0.saturating_sub(self.store.catalog.position().0),
            journal_bytes: size.bytes,
        }
    }
}
