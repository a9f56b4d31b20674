//! A running engine: start sagas, wait for them, look at them, stop them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use amends_core::{Payload, SagaId};
use amends_engine::{Ask, AskError, Handle, SagaVerb, Start, Unavailable};
use bytes::Bytes;
use serde::Serialize;

use super::builder::{Builder, Functions};
use super::plan::{Plan, PlanError};
use super::view::View;

/// A saga engine in this process. [`stop`](Self::stop) it before the program ends; dropping it ends
/// it at once, as a crash would, and what is durable goes on at the next start.
pub struct Engine {
    engine: amends_engine::Engine,
    functions: Functions,
    plans: HashMap<String, Plan>,
}

/// Why a saga was not started. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data could not be written as JSON.
    #[error("the saga's data cannot be written as JSON: {0}")]
    Data(#[from] serde_json::Error),
    /// Its steps could not be computed.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The engine did not take it.
    #[error(transparent)]
    Refused(#[from] amends_engine::StartError),
}

impl Engine {
    /// Begins to set one up. It needs a tokio runtime, on which its functions will run.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(super) fn new(
        engine: amends_engine::Engine,
        functions: Functions,
        plans: HashMap<String, Plan>,
    ) -> Self {
        Self { engine, functions, plans }
    }

    /// Starts a saga; it is durable when this answers.
    pub async fn start(
        &self,
        saga_type: &str,
        data: &impl Serialize,
    ) -> Result<SagaId, StartError> {
        Ok(self.begin(saga_type, data, None, None).await?.id())
    }

    /// The same under an idempotency key: the same key and data give the same saga, however often
    /// it is called.
    pub async fn start_once(
        &self,
        saga_type: &str,
        idempotency_key: &str,
        data: &impl Serialize,
    ) -> Result<SagaId, StartError> {
        Ok(self.begin(saga_type, data, Some(idempotency_key), None).await?.id())
    }

    /// Starts a saga and waits for its end; after `timeout` it is answered as it is then, and goes
    /// on.
    pub async fn run(
        &self,
        saga_type: &str,
        data: &impl Serialize,
        timeout: Duration,
    ) -> Result<View, StartError> {
        self.begin(saga_type, data, None, Some(timeout)).await
    }

    /// A saga as it is; `None` where there is none of that id.
    pub async fn get(&self, saga: SagaId) -> Result<Option<View>, Unavailable> {
        Ok(self.handle().get(saga).await?.map(View::of))
    }

    /// The same, once it has ended or the time is up.
    pub async fn wait(&self, saga: SagaId, timeout: Duration) -> Result<Option<View>, Unavailable> {
        Ok(self.handle().wait(saga, timeout).await?.map(View::of))
    }

    /// Turns a saga, where that is still possible.
    pub async fn cancel(&self, saga: SagaId, by: &str, reason: &str) -> Result<View, AskError> {
        let verb = SagaVerb::Cancel;
        self.ask(saga, Ask::Verb { verb, by: by.into(), reason: reason.into() }).await
    }

    /// Tells a saga something that a step of it waits for, or will wait for. The first of a name
    /// counts.
    pub async fn signal(
        &self,
        saga: SagaId,
        name: &str,
        body: &serde_json::Value,
    ) -> Result<View, AskError> {
        let body = Payload::from(body.to_string().as_str());
        self.ask(saga, Ask::Signal { name: name.into(), body }).await
    }

    /// Everything else that the engine can do: verbs, lists, histories, transitions, metrics.
    pub fn handle(&self) -> Handle {
        self.engine.handle()
    }

    /// Resolves when the engine breaks off, with the reason. What is durable is safe; start anew.
    pub async fn broken(&mut self) -> amends_engine::Error {
        self.engine.broken().await
    }

    /// Ends it in order. Sagas that have not ended go on when it is started again on the same data
    /// folder.
    pub async fn stop(self) {
        self.engine.stop().await;
    }

    async fn ask(&self, saga: SagaId, ask: Ask) -> Result<View, AskError> {
        Ok(View::of(self.handle().ask(saga, ask, None).await?))
    }

    async fn begin(
        &self,
        saga_type: &str,
        data: &impl Serialize,
        idempotency_key: Option<&str>,
        wait: Option<Duration>,
    ) -> Result<View, StartError> {
        let handle = self.handle();
        let version = match self.plans.get(saga_type) {
            Some(plan) => {
                let data = serde_json::to_value(data)?;
                let check = |compiled: &_| self.functions.check(compiled);
                Some(plan.version(&handle, &check, &data).await?)
            }
            None => None,
        };
        let start = Start {
            saga_type: Arc::from(saga_type),
            version,
            data: Bytes::from(serde_json::to_vec(data)?),
            idempotency_key: idempotency_key.map(Arc::from),
            wait,
        };
        Ok(View::of(handle.start(start).await?.snapshot))
    }
}
