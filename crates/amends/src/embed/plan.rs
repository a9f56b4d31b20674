//! Steps computed from a saga's data: a function says them at the start, and what it says is a
//! version of the saga type like any other.
//!
//! Versions go by content, so the same steps are the same version, and a saga is pinned to its own
//! whatever the function says later.

use std::collections::HashMap;
use std::sync::Arc;

use amends_definition::{BuildError, Compiled, Saga};
use amends_engine::{DeployError, Deployment, Handle};
use serde_json::Value;

use super::builder::Missing;

/// How many versions a computed saga type may come to, unless it is set: each is kept as long as
/// the data folder, and a function that puts an order's number into its steps would make one a
/// saga.
pub const VERSIONS_MAX: usize = 256;

/// Why no steps could be computed. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The steps are not well-formed.
    #[error("the steps computed for {saga_type} are not well-formed: {source}")]
    IllFormed {
        /// The type.
        saga_type: Arc<str>,
        /// What is wrong.
        source: BuildError,
    },
    /// The function gave another saga type, or said a version.
    #[error(
        "the steps computed for {saga_type} are those of {got:?}: name the saga as its type, and give it no version"
    )]
    Foreign {
        /// The type.
        saga_type: Arc<str>,
        /// What the function gave.
        got: Arc<str>,
    },
    /// Something that they need is not there.
    #[error("the steps computed for {saga_type} cannot run here: {missing}")]
    Missing {
        /// The type.
        saga_type: Arc<str>,
        /// What.
        missing: Missing,
    },
    /// There are too many.
    #[error(
        "{saga_type} has {versions_max} versions, the most it may have: let its steps depend on less of the data, and put the rest into `input` or `when`"
    )]
    TooManyVersions {
        /// The type.
        saga_type: Arc<str>,
        /// The limit.
        versions_max: usize,
    },
    /// The version was not taken in.
    #[error(transparent)]
    Deploy(#[from] DeployError),
}

/// The function that says the steps.
pub type Compute = Arc<dyn Fn(&Value) -> Saga + Send + Sync>;

/// A saga type whose steps are computed.
pub struct Plan {
    saga_type: Arc<str>,
    compute: Compute,
    versions_max: usize,
    /// By the file that the function's saga is written as. One start at a time makes a version.
    known: tokio::sync::Mutex<HashMap<String, u32>>,
}

impl Plan {
    pub fn new(saga_type: &str, compute: Compute, versions_max: usize) -> Self {
        let known = tokio::sync::Mutex::default();
        Self { saga_type: saga_type.into(), compute, versions_max, known }
    }

    /// The version whose steps are those for this data; it is made where there is none.
    pub async fn version(
        &self,
        handle: &Handle,
        has_all: &(dyn Fn(&Compiled) -> Result<(), Missing> + Sync),
        data: &Value,
    ) -> Result<u32, PlanError> {
        let saga = (self.compute)(data);
        let file = saga.to_file();
        let mut known = self.known.lock().await;
        if let Some(version) = known.get(&file) {
            return Ok(*version);
        }
        let saga_type = || Arc::clone(&self.saga_type);
        let compiled = saga
            .build()
            .map_err(|source| PlanError::IllFormed { saga_type: saga_type(), source })?;
        let got = compiled.definition.saga_type();
        if *got != self.saga_type || compiled.said_version.is_some() {
            return Err(PlanError::Foreign { saga_type: saga_type(), got: Arc::clone(got) });
        }
        has_all(&compiled)
            .map_err(|missing| PlanError::Missing { saga_type: saga_type(), missing })?;
        let mut versions = handle.definitions();
        versions.retain(|version| *version.definition.saga_type() == self.saga_type);
        let is_new = versions.iter().all(|version| version.hash != compiled.hash);
        if is_new && versions.len() >= self.versions_max {
            let versions_max = self.versions_max;
            return Err(PlanError::TooManyVersions { saga_type: saga_type(), versions_max });
        }
        let deployed = handle.deploy_one(Deployment { compiled }).await?;
        let version = deployed.definition.version();
        known.insert(file, version);
        Ok(version)
    }
}
