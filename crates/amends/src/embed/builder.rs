//! Setting the engine up: its functions, its sagas, and where they are kept.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use amends_definition::{Compiled, Saga};
use amends_engine::{Binder, Carrier, DeployError, Deployment, Options};
use amends_store::Store;
use amends_store::memory::Disk;
use amends_transport::{InProcess, Transport};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Handle as Runtime;

use super::command::{self, Call, Failure, Undo, UndoEnd};
use super::engine::Engine;
use super::plan::{Compute, Plan, VERSIONS_MAX};

/// An engine that is being set up; see [`Engine::builder`].
#[must_use = "an engine does nothing before `start`"]
pub struct Builder {
    functions: InProcess,
    commands: Vec<String>,
    transports: HashMap<String, Arc<dyn Transport>>,
    sagas: Vec<Saga>,
    compiled: Vec<Compiled>,
    plans: HashMap<String, Compute>,
    versions_max: usize,
    place: Place,
    options: Options,
}

/// Where sagas are kept.
enum Place {
    Memory,
    Store(Store),
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "opened by that feature"))]
    Folder(PathBuf),
}

/// Why an engine was not started.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A saga is not well-formed.
    #[error(transparent)]
    Saga(#[from] amends_definition::BuildError),
    /// A saga was not taken in.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// Something that a saga needs is not there.
    #[error("{saga_type} cannot run here: {missing}")]
    Missing {
        /// The type.
        saga_type: Arc<str>,
        /// What.
        missing: Missing,
    },
    /// A saga type is both built and computed.
    #[error("{0} has its steps said twice: once as a saga and once computed from the data")]
    Twice(String),
    /// The data folder.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Folder(#[from] amends_store_sqlite::OpenError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] amends_engine::Error),
    /// The task that opens the folder broke off.
    #[error("the data folder was not opened: {0}")]
    BrokenOff(String),
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            functions: InProcess::new(Runtime::current()),
            commands: Vec::new(),
            transports: HashMap::new(),
            sagas: Vec::new(),
            compiled: Vec::new(),
            plans: HashMap::new(),
            versions_max: VERSIONS_MAX,
            place: Place::Memory,
            options: Options::default(),
        }
    }

    /// Has an action, `Service.Command`, carried out by an async function. What it takes and what
    /// it answers are read and written with serde; input that does not fit is refused.
    pub fn action<T, F, Acting, R>(mut self, command: &str, function: F) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        F: Fn(Call<T>) -> Acting + Send + Sync + 'static,
        Acting: Future<Output = Result<R, Failure>> + Send + 'static,
        R: Serialize,
    {
        self.commands.push(command.to_owned());
        self.functions = command::action(self.functions, command, function);
        self
    }

    /// Has a compensation carried out by an async function. It is sent until it is done: its
    /// refusal is only a reason to try again.
    pub fn compensation<T, R, F, Undoing, E>(mut self, command: &str, function: F) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        R: DeserializeOwned + Send + 'static,
        F: Fn(Undo<T, R>) -> Undoing + Send + Sync + 'static,
        Undoing: Future<Output = Result<E, Failure>> + Send + 'static,
        E: Into<UndoEnd>,
    {
        self.commands.push(command.to_owned());
        self.functions = command::compensation(self.functions, command, function);
        self
    }

    /// Has all commands of a service carried by a transport: a participant elsewhere.
    pub fn service(mut self, service: &str, transport: Arc<dyn Transport>) -> Self {
        self.transports.insert(service.to_owned(), transport);
        self
    }

    /// Takes in a saga type.
    pub fn saga(mut self, saga: Saga) -> Self {
        self.sagas.push(saga);
        self
    }

    /// Takes in a saga type that was checked already, as those of definition files are.
    pub fn compiled(mut self, compiled: Compiled) -> Self {
        self.compiled.push(compiled);
        self
    }

    /// Takes in a saga type whose steps are computed from its data when it is started. The same
    /// steps are the same version; see [`versions_max`](Self::versions_max).
    pub fn define_steps<F>(mut self, saga_type: &str, compute: F) -> Self
    where
        F: Fn(&Value) -> Saga + Send + Sync + 'static,
    {
        self.plans.insert(saga_type.to_owned(), Arc::new(compute));
        self
    }

    /// How many versions a computed saga type may come to: [`VERSIONS_MAX`] unless it is said.
    pub fn versions_max(mut self, versions_max: usize) -> Self {
        self.versions_max = versions_max;
        self
    }

    /// Keeps everything in memory, for tests: it ends with the process. So it is unless another
    /// place is said.
    pub fn in_memory(mut self) -> Self {
        self.place = Place::Memory;
        self
    }

    /// Keeps everything in a data folder, which is made when it is not there. One process at a time
    /// may have it open.
    #[cfg(feature = "sqlite")]
    pub fn data_folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.place = Place::Folder(path.into());
        self
    }

    /// Keeps everything in this store.
    pub fn store(mut self, store: Store) -> Self {
        self.place = Place::Store(store);
        self
    }

    /// The engine's own settings.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Starts it: what the store holds is recovered, and goes on.
    pub async fn start(self) -> Result<Engine, BuildError> {
        let functions = Functions {
            commands: self.commands.into(),
            services: self.transports.keys().cloned().collect(),
        };
        let mut files = self.compiled;
        for saga in self.sagas {
            files.push(saga.build()?);
        }
        for file in &files {
            let saga_type = file.definition.saga_type();
            if self.plans.contains_key(&**saga_type) {
                return Err(BuildError::Twice(saga_type.to_string()));
            }
            functions.check(file).map_err(|missing| {
                let saga_type = Arc::clone(saga_type);
                BuildError::Missing { saga_type, missing }
            })?;
        }
        let store = open(self.place).await?;
        let binder = Site { functions: Arc::new(self.functions), transports: self.transports };
        let engine = amends_engine::Engine::start(self.options, store, Arc::new(binder)).await?;
        let files = files.into_iter().map(|compiled| Deployment { compiled }).collect();
        engine.handle().deploy(files).await?;
        let versions_max = self.versions_max;
        let plans = self
            .plans
            .into_iter()
            .map(|(name, compute)| {
                let plan = Plan::new(&name, compute, versions_max);
                (name, plan)
            })
            .collect();
        Ok(Engine::new(engine, functions, plans))
    }
}

async fn open(place: Place) -> Result<Store, BuildError> {
    match place {
        Place::Memory => Ok(Disk::new().open()),
        Place::Store(store) => Ok(store),
        #[cfg(feature = "sqlite")]
        Place::Folder(path) => {
            let options = amends_store_sqlite::Options::default();
            let opening = move || amends_store_sqlite::open(&path, &options);
            let opened = tokio::task::spawn_blocking(opening).await;
            Ok(opened.map_err(|panic| BuildError::BrokenOff(panic.to_string()))??)
        }
        #[cfg(not(feature = "sqlite"))]
        Place::Folder(_) => Ok(Disk::new().open()),
    }
}

/// The commands that are carried out here, and the services that are elsewhere.
pub struct Functions {
    commands: Arc<[String]>,
    services: Vec<String>,
}

impl Functions {
    /// Is all there that the definition needs?
    pub fn check(&self, compiled: &Compiled) -> Result<(), Missing> {
        let steps = compiled.definition.steps().iter();
        let commands = steps.flat_map(|step| [step.action(), step.compensation()]).flatten();
        for command in commands {
            let name = format!("{}.{}", command.service, command.name);
            let elsewhere = self.services.iter().any(|service| **service == *command.service);
            if !elsewhere && !self.commands.contains(&name) {
                return Err(Missing::Function(name));
            }
            if compiled.bindings.get(&command.service).is_none() {
                return Err(Missing::Fence(command.service.to_string()));
            }
        }
        Ok(())
    }
}

/// What a saga needs and does not find.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// A command has no function.
    #[error(
        "no function carries out {0}: register one with `action` or `compensation`, or its service's transport with `service`"
    )]
    Function(String),
    /// It is not said how a service's unknown outcomes are made harmless.
    #[error("the fence of {0} is not said: add `.service({0:?}, Fence::…)` to the saga")]
    Fence(String),
}

/// Who carries a service's commands: a transport of its own, or the functions.
struct Site {
    functions: Arc<dyn Transport>,
    transports: HashMap<String, Arc<dyn Transport>>,
}

impl Binder for Site {
    fn bind(&self, service: &str, _: &amends_definition::Binding) -> Option<Carrier> {
        let transport = self.transports.get(service).unwrap_or(&self.functions);
        Some(Carrier { transport: Arc::clone(transport), answers_by_message: false })
    }
}
