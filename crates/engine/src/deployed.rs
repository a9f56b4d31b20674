//! Definitions in service: every version a saga may be pinned to, and how its services are reached
//! today.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

use amends_choreography::Choreographed;
use amends_core::definition::Definition;
use amends_core::saga::{Pinned, Saga, StepState, Terms};
use amends_core::{Direction, RunRef, StepIx};
use amends_definition::{Compiled, Messaging, Pattern};
use amends_transport::{Channel, Replies, Transport};
use amends_wire::FailureCodes;
use bytes::Bytes;

use crate::deployment::{DeployError, Deployment};
use crate::engine::Shared;
use crate::place::{Hearing, Place};
use crate::redaction::Redaction;
use crate::shard::message::Internal;

/// A version of a saga type, ready to run.
#[derive(Debug)]
pub struct Deployed {
    /// What the machine runs.
    pub definition: Arc<Definition>,
    /// The definition with all that belongs to it.
    pub compiled: Compiled,
    /// The hash under which it is pinned.
    pub hash: [u8; 32],
    /// Where what its steps redact stands in a saga of it.
    pub redaction: Redaction,
    /// Whether anything has to be evaluated.
    pub has_expressions: bool,
    /// As its services run it among themselves, where they do.
    pub choreographed: Option<Choreographed>,
    names: Vec<StepNames>,
    bound: Arc<Bound>,
    /// How far it is heard of where its services speak: a [`Hearing`].
    hearing: AtomicU8,
}

/// The texts of a step that are in every sending.
#[derive(Debug)]
pub struct StepNames {
    action: Option<Arc<str>>,
    compensation: Option<Arc<str>>,
    /// The step's `failures`.
    pub codes: Arc<FailureCodes>,
}

impl StepNames {
    /// The command's full name.
    pub fn command(&self, direction: Direction) -> Option<&Arc<str>> {
        match direction {
            Direction::Action => self.action.as_ref(),
            Direction::Compensation => self.compensation.as_ref(),
        }
    }
}

/// How a service is reached.
pub struct Binding {
    /// The service.
    pub service: Arc<str>,
    /// What carries its commands.
    pub transport: Arc<dyn Transport>,
    /// What it promises.
    pub terms: Terms,
    /// The place of its lane, the same in every shard.
    pub lane: usize,
    /// Its replies come by message, so that they outlive a restart of the engine.
    pub answers_by_message: bool,
}

/// What carries a service's commands.
pub struct Carrier {
    /// The transport.
    pub transport: Arc<dyn Transport>,
    /// Whether replies come by message rather than in the sending's own exchange.
    pub answers_by_message: bool,
}

/// Finds what carries a service's commands; the program around the engine knows the transports.
pub trait Binder: Send + Sync + 'static {
    /// The carrier for a service as a definition describes it; `None` where there is none, and the
    /// commands wait for one (attention `unbound_service`).
    fn bind(&self, service: &str, binding: &amends_definition::Binding) -> Option<Carrier>;

    /// The service's end of the broker over which a saga type is reached by message; `None` where
    /// there is none, and nothing is asked or published there.
    fn messaging(&self, _messaging: &Messaging) -> Option<Arc<dyn Channel>> {
        None
    }

    /// The observer's end of the broker over which services run a saga type among themselves: it takes
    /// every event of the place, and speaks to these services. `None` where there is none, and nothing is
    /// heard.
    fn observing(
        &self,
        _messaging: &Messaging,
        _services: &BTreeSet<Arc<str>>,
    ) -> Option<Arc<dyn Channel>> {
        None
    }
}

/// Today's bindings of a saga type, shared by all its versions.
#[derive(Default)]
struct Bound(RwLock<HashMap<Arc<str>, Arc<Binding>>>);

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bound")
    }
}

impl Deployed {
    fn new(compiled: Compiled, version: u32, hash: [u8; 32], bound: Arc<Bound>) -> Self {
        let compiled = compiled.with_version(version);
        let definition = Arc::clone(&compiled.definition);
        let names = definition
            .steps()
            .iter()
            .zip(compiled.extras.iter())
            .map(|(step, extras)| {
                let full = |command: &amends_core::definition::Command| {
                    Arc::from(format!("{}.{}", command.service, command.name))
                };
                StepNames {
                    action: step.action().map(full),
                    compensation: step.compensation().map(full),
                    codes: Arc::new(FailureCodes {
                        permanent: extras.failures.permanent.clone(),
                        transient: extras.failures.transient.clone(),
                    }),
                }
            })
            .collect();
        let has_expressions = definition.steps().iter().any(|step| {
            let judged =
                matches!(step.work, amends_core::definition::Work::Signal { judged: true, .. });
            step.computed.any() || judged
        });
        let redaction = Redaction::of(&definition, &compiled.extras, &compiled.pinned);
        // One with that pattern is one by its check.
        let choreographed = Choreographed::new(compiled.clone()).ok();
        let hearing = AtomicU8::new(Hearing::Nothing as u8);
        Self {
            definition,
            compiled,
            hash,
            redaction,
            has_expressions,
            choreographed,
            names,
            bound,
            hearing,
        }
    }

    /// What a saga of it is pinned to.
    pub fn pinned(&self) -> Pinned {
        Pinned {
            saga_type: Arc::clone(self.definition.saga_type()),
            version: self.definition.version(),
            hash: self.hash,
        }
    }

    /// Is all read that its services have said of its sagas? Before that nothing of it is late.
    pub(crate) fn all_is_read(&self) -> bool {
        self.hearing.load(Ordering::Relaxed) >= Hearing::All as u8
    }

    /// Does anybody listen, and speak, where its services do?
    pub(crate) fn is_heard(&self) -> bool {
        self.hearing.load(Ordering::Relaxed) >= Hearing::Something as u8
    }

    /// Where its services speak, if they run it among themselves.
    fn observed_at(&self) -> Option<Place> {
        let messaging = self.compiled.messaging.clone()?;
        self.choreographed.as_ref()?;
        let actions = self.definition.steps().iter().filter_map(|step| step.action());
        let services = actions.map(|action| Arc::clone(&action.service)).collect();
        Some(Place { messaging, choreographed: true, services })
    }

    /// The texts of a step.
    pub fn names(&self, step: StepIx) -> &StepNames {
        &self.names[step.get()]
    }

    /// How the command's service is reached today.
    pub fn binding(&self, step: StepIx, direction: Direction) -> Option<Arc<Binding>> {
        let service = &self.definition.step(step).command(direction)?.service;
        let bound = self.bound.0.read();
        bound.unwrap_or_else(std::sync::PoisonError::into_inner).get(service).cloned()
    }

    /// A run's name, as in keys, replies and URLs: the step's, with `.<i>` for one of many.
    pub fn run_name(&self, saga: &Saga, at: RunRef) -> Arc<str> {
        let name = &self.definition.step(at.step).name;
        match saga.steps.get(at.step.get()) {
            Some(StepState::Runs { for_each: true, .. }) => format!("{name}.{}", at.run).into(),
            _ => Arc::clone(name),
        }
    }

    /// The run of that name, whether or not the saga has it.
    pub fn run_of(&self, name: &str) -> Option<RunRef> {
        let (name, run) = match name.split_once('.') {
            Some((step, run)) => {
                // One run has one name: `step.01` is nobody's.
                let number: u8 = run.parse().ok().filter(|n: &u8| n.to_string() == run)?;
                (step, number)
            }
            None => (name, 0),
        };
        let step = self.definition.find(name)?;
        Some(RunRef { step, run })
    }
}

/// Every definition in service.
pub struct Registry {
    binder: Arc<dyn Binder>,
    types: RwLock<HashMap<Arc<str>, SagaType>>,
    lanes: RwLock<Vec<(Arc<str>, amends_definition::Binding)>>,
    /// Where replies go that come by themselves, from when the engine takes them.
    listener: OnceLock<Replies>,
    /// One deployment at a time: it reads, stores and then changes.
    deploying: tokio::sync::Mutex<()>,
}

struct SagaType {
    versions: BTreeMap<u32, Arc<Deployed>>,
    /// The version that new sagas get; none once its file is gone.
    current: Option<u32>,
    bound: Arc<Bound>,
    /// How it is reached by message today, where a coordinator runs it.
    messaging: Option<Arc<Messaging>>,
}

impl Registry {
    /// Knows nothing yet.
    pub fn new(binder: Arc<dyn Binder>) -> Self {
        Self {
            binder,
            types: RwLock::default(),
            lanes: RwLock::default(),
            listener: OnceLock::new(),
            deploying: tokio::sync::Mutex::default(),
        }
    }

    /// From now on replies that come by themselves go there, of every service that is bound and of
    /// those that will be.
    pub fn listen(&self, replies: Replies) {
        let _ = self.listener.set(replies.clone()); // it is set once, at the start
        let types = self.types.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        for saga_type in types.values() {
            let bound = saga_type.bound.0.read();
            let bound = bound.unwrap_or_else(std::sync::PoisonError::into_inner);
            for binding in bound.values().filter(|binding| binding.answers_by_message) {
                binding.transport.listen(replies.clone());
            }
        }
    }

    /// Takes back a version that the catalog holds. Its bindings count until a file says others;
    /// no new sagas are started with it until then.
    pub fn restore(&self, compiled: Compiled, version: u32, hash: [u8; 32]) {
        let name = Arc::clone(compiled.definition.saga_type());
        let mut types = self.types_mut();
        let saga_type = types.entry(name).or_insert_with(SagaType::new);
        self.bind(&saga_type.bound, &compiled);
        saga_type.reached_as(&compiled);
        let deployed = Deployed::new(compiled, version, hash, Arc::clone(&saga_type.bound));
        saga_type.versions.insert(version, Arc::new(deployed));
    }

    /// See [`Handle::deploy`](crate::Handle::deploy).
    pub async fn deploy(
        &self,
        shared: &Arc<Shared>,
        files: Vec<Deployment>,
    ) -> Result<(), DeployError> {
        let mut names = Vec::new();
        for file in &files {
            let name = file.compiled.definition.saga_type();
            if names.contains(name) {
                return Err(DeployError::Twice(Arc::clone(name)));
            }
            names.push(Arc::clone(name));
        }
        // All of them, before a place is opened: what is said there may be of any.
        let entered = {
            let _one_at_a_time = self.deploying.lock().await;
            let mut entered = Ok(());
            for file in files {
                if let Err(error) = self.enter(shared, file).await {
                    entered = Err(error);
                    break;
                }
            }
            self.entered(shared).await;
            entered
        };
        entered?;
        for (name, saga_type) in self.types_mut().iter_mut() {
            if !names.contains(name) {
                saga_type.current = None;
            }
        }
        Ok(())
    }

    /// See [`Handle::deploy_one`](crate::Handle::deploy_one).
    pub async fn deploy_one(
        &self,
        shared: &Arc<Shared>,
        file: Deployment,
    ) -> Result<Arc<Deployed>, DeployError> {
        let _one_at_a_time = self.deploying.lock().await;
        let deployed = self.enter(shared, file).await?;
        self.entered(shared).await;
        Ok(deployed)
    }

    async fn enter(
        &self,
        shared: &Arc<Shared>,
        file: Deployment,
    ) -> Result<Arc<Deployed>, DeployError> {
        let compiled = file.compiled;
        let name = Arc::clone(compiled.definition.saga_type());
        let (version, new) = self.number(&name, &compiled)?;
        if new {
            let definition = amends_store::Definition {
                saga_type: Arc::clone(&name),
                version,
                hash: compiled.hash,
                source: Bytes::copy_from_slice(&compiled.source),
                created_at: shared.clock.now().0,
            };
            shared.store.catalog.put_definition(definition).await?;
        }
        let deployed = {
            let mut types = self.types_mut();
            let saga_type = types.entry(name).or_insert_with(SagaType::new);
            self.bind(&saga_type.bound, &compiled);
            saga_type.reached_as(&compiled);
            saga_type.current = Some(version);
            let (hash, bound) = (compiled.hash, Arc::clone(&saga_type.bound));
            let deployed = Arc::new(Deployed::new(compiled, version, hash, bound));
            saga_type.versions.insert(version, Arc::clone(&deployed));
            deployed
        };
        Ok(deployed)
    }

    /// What found no transport may find one now, and places are opened and closed.
    async fn entered(&self, shared: &Arc<Shared>) {
        shared.tell_all(|| Internal::Rebound);
        shared.places.bring_up_to_date(shared, true).await;
    }

    /// Which version the file is, and whether that is new. The same content keeps its version,
    /// unless the file says another.
    fn number(&self, name: &Arc<str>, compiled: &Compiled) -> Result<(u32, bool), DeployError> {
        let types = self.types.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(saga_type) = types.get(name) else {
            return Ok((compiled.said_version.unwrap_or(1), true));
        };
        let next = saga_type.versions.keys().next_back().map_or(1, |last| last + 1);
        let Some(said) = compiled.said_version else {
            let same = saga_type.versions.iter().rev().find(|(_, v)| v.hash == compiled.hash);
            return Ok(same.map_or((next, true), |(version, _)| (*version, false)));
        };
        match saga_type.versions.get(&said) {
            None => Ok((said, true)),
            Some(held) if held.hash == compiled.hash => Ok((said, false)),
            Some(held) => Err(DeployError::Conflict {
                saga_type: Arc::clone(name),
                version: said,
                next,
                held: Arc::clone(&held.compiled.pinned),
                got: Arc::clone(&compiled.pinned),
            }),
        }
    }

    /// Binds a type's services as this definition describes them.
    fn bind(&self, bound: &Bound, compiled: &Compiled) {
        let mut services: HashMap<Arc<str>, Arc<Binding>> = HashMap::new();
        // Who observes commands nobody.
        if compiled.pattern == Pattern::Choreography {
            return;
        }
        for command in compiled
            .definition
            .steps()
            .iter()
            .flat_map(|step| [step.action(), step.compensation()].into_iter().flatten())
        {
            if services.contains_key(&command.service) {
                continue;
            }
            let Some(described) = compiled.bindings.get(&command.service) else { continue };
            let Some(carrier) = self.binder.bind(&command.service, described) else { continue };
            let binding = Binding {
                service: Arc::clone(&command.service),
                transport: carrier.transport,
                terms: Terms { fence: described.fence, flat: described.flat },
                lane: self.lane(&command.service, described),
                answers_by_message: carrier.answers_by_message,
            };
            if let Some(replies) = self.listener.get().filter(|_| binding.answers_by_message) {
                binding.transport.listen(replies.clone());
            }
            services.insert(Arc::clone(&command.service), Arc::new(binding));
        }
        *bound.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = services;
    }

    /// The lane of a service: one for each way a service is described, over all saga types.
    fn lane(&self, service: &Arc<str>, described: &amends_definition::Binding) -> usize {
        let mut lanes = self.lanes.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known =
            lanes.iter().position(|(name, binding)| name == service && binding == described);
        known.unwrap_or_else(|| {
            lanes.push((Arc::clone(service), described.clone()));
            lanes.len() - 1
        })
    }

    /// The version that new sagas of a type get, or the one asked for.
    pub fn find(&self, name: &str, version: Option<u32>) -> Found {
        let types = self.types.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(saga_type) = types.get(name) else {
            let near = |known: &&Arc<str>| known.eq_ignore_ascii_case(name);
            return Found::UnknownType(types.keys().find(near).cloned());
        };
        let Some(current) = saga_type.current else { return Found::Retired };
        let wanted = version.unwrap_or(current);
        match saga_type.versions.get(&wanted) {
            Some(deployed) => Found::Here(Arc::clone(deployed)),
            None => Found::UnknownVersion(saga_type.versions.keys().copied().collect()),
        }
    }

    /// One version, for a saga that is pinned to it.
    pub fn version(&self, name: &str, version: u32) -> Option<Arc<Deployed>> {
        let types = self.types.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        types.get(name)?.versions.get(&version).cloned()
    }

    /// In words, that a saga's definition is not there.
    pub fn unknown(&self, pinned: &Pinned) -> String {
        format!(
            "version {} of {} is not in the catalog: restore the data folder as a whole",
            pinned.version, pinned.saga_type
        )
    }

    /// Every version of every type, by name and version.
    pub fn all(&self) -> Vec<Arc<Deployed>> {
        let types = self.types.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut all: Vec<_> = types.values().flat_map(|t| t.versions.values().cloned()).collect();
        all.sort_by(|a, b| {
            let key = |d: &Deployed| (Arc::clone(d.definition.saga_type()), d.definition.version());
            key(a).cmp(&key(b))
        });
        all
    }

    /// The versions that new sagas get.
    pub fn current(&self) -> Vec<(Arc<str>, u32)> {
        let types = self.types.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        types.iter().filter_map(|(name, t)| Some((Arc::clone(name), t.current?))).collect()
    }

    /// How saga types are reached by message, those whose file is gone included: their sagas go on. Services
    /// speak where the version says that a saga is pinned to.
    pub fn places(&self) -> Vec<Place> {
        let types = self.types.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let of = |saga_type: &SagaType| {
            let versions = saga_type.versions.values();
            let observed: Vec<_> = versions.filter_map(|of| of.observed_at()).collect();
            saga_type.place().into_iter().chain(observed)
        };
        types.values().flat_map(of).collect()
    }

    /// The same of one saga.
    pub fn place_of(&self, saga: &Saga) -> Option<Place> {
        let types = self.types.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let saga_type = types.get(&saga.pinned.saga_type)?;
        match &saga.heard {
            Some(_) => saga_type.versions.get(&saga.pinned.version)?.observed_at(),
            None => saga_type.place(),
        }
    }

    /// Our end of the broker of such a place.
    pub fn channel(&self, place: &Place) -> Option<Arc<dyn Channel>> {
        match place.choreographed {
            true => self.binder.observing(&place.messaging, &place.services),
            false => self.binder.messaging(&place.messaging),
        }
    }

    /// The version of a type that has this hash; whether there is such a type that services run among
    /// themselves.
    pub fn of_hash(&self, name: &str, hash: &str) -> Result<Arc<Deployed>, bool> {
        let types = self.types.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(saga_type) = types.get(name) else { return Err(false) };
        let of = |deployed: &&Arc<Deployed>| {
            deployed.choreographed.as_ref().is_some_and(|of| of.hash() == hash)
        };
        let is_choreographed = saga_type.versions.values().any(|of| of.choreographed.is_some());
        saga_type.versions.values().find(of).cloned().ok_or(is_choreographed)
    }

    /// How far is heard what is said at a place, for the definitions whose services speak there.
    pub fn hears(&self, place: &Place, hearing: Hearing) {
        let types = self.types.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let versions = types.values().flat_map(|of| of.versions.values());
        for deployed in versions.filter(|of| of.observed_at().is_some_and(|at| at.is(place))) {
            deployed.hearing.store(hearing as u8, Ordering::Relaxed);
        }
    }

    /// The services that have a lane, by its place.
    pub fn lane_names(&self) -> Vec<Arc<str>> {
        let lanes = self.lanes.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        lanes.iter().map(|(name, _)| Arc::clone(name)).collect()
    }

    fn types_mut(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<Arc<str>, SagaType>> {
        self.types.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl SagaType {
    /// One that services run among themselves changes nothing for the sagas that are coordinated still.
    fn reached_as(&mut self, compiled: &Compiled) {
        if compiled.pattern == Pattern::Orchestration {
            self.messaging.clone_from(&compiled.messaging);
        }
    }

    fn place(&self) -> Option<Place> {
        let (messaging, services) = (self.messaging.clone()?, BTreeSet::new());
        Some(Place { messaging, choreographed: false, services })
    }

    fn new() -> Self {
        Self { versions: BTreeMap::new(), current: None, bound: Arc::default(), messaging: None }
    }
}

/// What looking for a definition came to.
pub enum Found {
    /// Here it is.
    Here(Arc<Deployed>),
    /// No such type; the nearest name.
    UnknownType(Option<Arc<str>>),
    /// No such version; those there are.
    UnknownVersion(Vec<u32>),
    /// Its file is gone.
    Retired,
}
