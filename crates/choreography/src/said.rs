//! How a saga begins, how a person ends it, and what everything that is said has in common.

use std::collections::BTreeMap;

use amends_core::{StepIx, Time};
use amends_definition::INPUT_BYTES_MAX;
use amends_wire::SagaId;
use serde_json::value::RawValue;

use crate::definition::Choreographed;
use crate::event::{Context, Reason, SagaEvent, Word};
use crate::service::Service;
use crate::time::GRACE;

impl Choreographed {
    /// The service of that name. One that has no step in it only listens, and may start and cancel.
    pub fn service(&self, name: &str) -> Service {
        Service {
            of: self.clone(),
            name: name.to_owned(),
            mine: self.choreography().steps_of(name),
            grace: GRACE,
            when_overdue: BTreeMap::new(),
        }
    }

    /// What starts a saga, said by `by`. Publish it in the transaction that makes the order.
    ///
    /// # Errors
    ///
    /// The data is no JSON object, is over 256 KiB, or does not fit the definition's schema: where and how,
    /// without values.
    pub fn start(
        &self,
        saga_id: SagaId,
        by: &str,
        data: &str,
        now: Time,
    ) -> Result<SagaEvent, Vec<String>> {
        if data.len() > INPUT_BYTES_MAX {
            let bytes = data.len();
            return Err(vec![format!(
                "the data has {bytes} bytes, and may have {INPUT_BYTES_MAX}: keep it elsewhere, and say where"
            )]);
        }
        let no_object = || vec!["the data of a saga is a JSON object".to_owned()];
        let value: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(data).map_err(|_| no_object())?;
        if let Some(schema) = &self.compiled().data_schema {
            let violations = schema.violations(&value.into());
            if !violations.is_empty() {
                return Err(violations);
            }
        }
        let data = RawValue::from_string(data.to_owned()).map_err(|_| no_object())?;
        let context =
            Context { saga_id: saga_id.to_string(), step: 0, data, completed_steps: Vec::new() };
        Ok(self.say(saga_id, by, Word::Started, None, context, now))
    }

    /// What asks for the end of a saga, said by whoever has no record of it.
    pub fn cancel(&self, saga_id: SagaId, by: &str, reason: Reason, now: Time) -> SagaEvent {
        let data = RawValue::from_string("{}".to_owned()).unwrap_or_default();
        let context =
            Context { saga_id: saga_id.to_string(), step: 0, data, completed_steps: Vec::new() };
        let event = self.say(saga_id, by, Word::Failed, None, context, now);
        SagaEvent { reason: Some(reason), ..event }
    }

    pub(crate) fn say(
        &self,
        saga_id: SagaId,
        by: &str,
        said: Word,
        step: Option<StepIx>,
        context: Context,
        now: Time,
    ) -> SagaEvent {
        SagaEvent {
            saga_id,
            saga_type: self.saga_type().to_owned(),
            version: self.version(),
            definition_hash: self.hash().to_owned(),
            said,
            step_name: step.map(|step| self.name(step).to_owned()),
            result: None,
            reason: None,
            context,
            by: by.to_owned(),
            at: now,
            cause: None,
            traceparent: None,
        }
    }
}
