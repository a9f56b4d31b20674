//! A shop, an engine on the embedded store on a disk in memory, and a client that repeats what was
//! not acknowledged, and notes what was.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amends_core::saga::State;
use amends_core::{Millis, SagaId, Time};
use amends_definition::{Surroundings, check};
use amends_disk::{Disk, Mount};
use amends_engine::{Ask, AskError, Deployment, Engine, Handle, Options, Outside, Start};
use amends_store_sqlite::open_on;

use crate::inline::inline;
use crate::outside::Given;
use crate::owners::Owners;
use crate::shop::Shop;

pub const ORDER: &str = r#"
saga: Order
business_key: "${ data.order_id }"
steps:
  - { name: reserve, action: Inventory.Reserve, compensation: Inventory.Release }
  - { name: approve, signal: approval, deadline: 3d, on_deadline: refuse }
  - { name: pay, action: Payment.Charge, compensation: Payment.Refund }
  - { name: ship, action: Shipping.Create, compensation: Shipping.Cancel }
services:
  Inventory: { fence: barrier }
  Payment: { fence: barrier }
  Shipping: { fence: barrier }
"#;

/// How often the client asks again before it calls an engine one that never comes back.
const TRIES_MAX: usize = 40;

/// How often the runtime comes round to what is left of an engine that was dropped.
const ROUNDS_MAX: usize = 1000;

/// How long a closed saga is kept: longer than the story of one takes.
pub const RETENTION: Duration = Duration::from_secs(60);

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It closes its files.
    Orderly,
    /// It is gone at once.
    Abrupt,
}

/// Something that a client was told, and may rely on.
#[derive(Clone, Debug)]
pub struct Told {
    /// How many acts the disk had seen by then.
    pub moment: usize,
    /// What the wall clock said.
    pub wall: Time,
    /// The saga.
    pub saga: SagaId,
    /// The idempotency key with which it was started.
    pub key: String,
    /// Its events up to here are durable.
    pub seq: u64,
    /// The end it came to, when that was told.
    pub end: Option<State>,
}

/// See the module.
pub struct World {
    pub disk: Disk,
    pub shop: Shop,
    pub told: Vec<Told>,
    /// From which act of the disk on the engine was being stopped, if it was.
    pub stopping_from: Option<usize>,
    /// Sagas that have ended may have been deleted by now.
    pub may_expire: bool,
    /// From which moment on that was so.
    pub expiring_from: Option<usize>,
    pub mount: Mount,
    /// How often the engine was started again, because it had broken off.
    pub restarts: usize,
    /// How often opening the store or starting the engine failed.
    pub openings_failed: Vec<String>,
    /// What the client was told instead of being served.
    pub refusals: Vec<String>,
    pub outside: Arc<Given>,
    pub owners: Owners,
    exit: Exit,
    store_options: amends_store_sqlite::Options,
    engine: Option<Engine>,
}

impl World {
    /// A shop beside a disk, and nothing running yet.
    pub fn on(disk: Disk, exit: Exit) -> Self {
        let shop = Shop::beside(&disk);
        Self {
            mount: disk.mount(),
            shop,
            disk,
            told: Vec::new(),
            stopping_from: None,
            may_expire: false,
            expiring_from: None,
            restarts: 0,
            openings_failed: Vec::new(),
            refusals: Vec::new(),
            outside: Arc::new(Given::at_first()),
            owners: Owners::default(),
            exit,
            store_options: store_options(),
            engine: None,
        }
    }

    /// The same on a store that is opened in this way.
    pub fn with(self, store_options: amends_store_sqlite::Options) -> Self {
        Self { store_options, ..self }
    }

    fn folder(&self) -> PathBuf {
        self.mount.root().join("var/data")
    }

    /// The engine's handle; it is started, or started again, where it has to be.
    pub async fn handle(&mut self) -> Handle {
        if let Some(engine) = &mut self.engine {
            let broken = tokio::time::timeout(Duration::ZERO, engine.broken()).await;
            if broken.is_err() {
                return engine.handle();
            }
            self.restarts += 1;
            self.end().await;
        }
        for _ in 0..TRIES_MAX {
            match self.try_start().await {
                Ok(engine) => {
                    let handle = engine.handle();
                    self.engine = Some(engine);
                    // As every process does that serves a folder of definitions.
                    match handle.deploy(vec![deployment()]).await {
                        Ok(()) => return handle,
                        Err(why) => {
                            self.openings_failed.push(why.to_string());
                            drop(handle); // it would keep the store open
                            self.end().await;
                        }
                    }
                }
                Err(why) => self.openings_failed.push(why),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("it never starts: {}", self.openings_failed.last().unwrap());
    }

    async fn try_start(&mut self) -> Result<Engine, String> {
        let files = Arc::new(self.mount.clone());
        let store = open_on(files, &self.folder(), &self.store_options);
        let store = store.map_err(|error| error.to_string())?;
        self.owners.replace(&store, || self.disk.acts())?;
        let options = Options {
            retention: Millis(RETENTION.as_millis() as u64),
            late_window: Millis(0),
            ..Options::default()
        };
        let (store, binder) = (inline(store), self.shop.binder());
        let engine = Engine::start_in(options, store, binder, self.outside.clone()).await;
        engine.map_err(|error| error.to_string())
    }

    /// The process ends, and the next one comes to the same disk when it is gone.
    pub async fn end(&mut self) {
        if self.exit == Exit::Abrupt {
            self.mount.kill();
        }
        self.engine = None;
        // The engine's tasks go when the runtime comes round to them; the last of them closes the store.
        for _ in 0..ROUNDS_MAX {
            if !self.mount.holds() {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert!(!self.mount.holds(), "an engine that was dropped has its folder open for ever");
        self.mount = self.disk.mount();
    }

    /// The engine is stopped as an operator stops it.
    pub async fn stop(&mut self) {
        if let Some(engine) = self.engine.take() {
            self.stopping_from = Some(self.disk.acts());
            engine.stop().await;
        }
    }

    /// Asks until it is answered, as a client does that wants its answer.
    pub async fn until<T, E: std::fmt::Display>(
        &mut self,
        mut ask: impl AsyncFnMut(Handle) -> Result<T, E>,
    ) -> T {
        let mut why = String::new();
        for _ in 0..TRIES_MAX {
            let handle = self.handle().await;
            match ask(handle).await {
                Ok(answer) => return answer,
                Err(error) => why = error.to_string(),
            }
            self.refusals.push(why.clone());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("it is refused for ever: {why}");
    }

    fn tell(&mut self, saga: SagaId, key: &str, seq: u64, end: Option<State>) {
        let (moment, wall, key) = (self.disk.acts(), self.outside.wall_clock(), key.to_owned());
        self.told.push(Told { moment, wall, saga, key, seq, end });
    }

    /// Starts a saga under a key; says which it is, and whether it was there.
    pub async fn start(&mut self, key: &str, data: &str) -> (SagaId, bool) {
        let start = Start {
            saga_type: "Order".into(),
            version: None,
            data: data.to_owned().into(),
            idempotency_key: Some(key.into()),
            wait: None,
        };
        let started = self.until(async |handle| handle.start(start.clone()).await).await;
        let saga = &started.snapshot.saga;
        self.tell(saga.id, key, saga.seq, None);
        (saga.id, started.existing)
    }

    /// Asks something of a saga. That it was taken already, before an answer was lost, is no
    /// error.
    pub async fn ask(&mut self, saga: SagaId, key: &str, ask: Ask) {
        let asked = self
            .until(async |handle| match handle.ask(saga, ask.clone(), None).await {
                Err(AskError::Refused(_) | AskError::DoesNotFit(_)) => Ok(None),
                Err(AskError::NoSuchSaga(_)) => panic!("{saga} was acknowledged (S18)"),
                other => other.map(Some),
            })
            .await;
        if let Some(snapshot) = asked {
            self.tell(saga, key, snapshot.saga.seq, None);
        }
    }

    /// Waits for a saga's end.
    pub async fn ended(&mut self, saga: SagaId, key: &str) -> State {
        let a_minute = Duration::from_secs(60);
        let saga = self
            .until(async |handle| match handle.wait(saga, a_minute).await {
                Ok(Some(snapshot)) if snapshot.saga.state.ended() => Ok(snapshot.saga),
                Ok(Some(snapshot)) => Err(format!("{:?}", snapshot.saga)),
                Ok(None) => panic!("{saga} was acknowledged and is not there (S18)"),
                Err(error) => Err(error.to_string()),
            })
            .await;
        self.tell(saga.id, key, saga.seq, Some(saga.state));
        saga.state
    }
}

/// Each run of the same story is the same operations of the disk.
pub fn store_options() -> amends_store_sqlite::Options {
    amends_store_sqlite::Options { one_reader: true, ..Default::default() }
}

fn deployment() -> Deployment {
    let checked = check(ORDER.as_bytes(), "order.yaml", &Surroundings::none());
    Deployment { compiled: checked.compiled.expect("it is a good definition") }
}
