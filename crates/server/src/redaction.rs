//! What a caller sees of a saga's payloads and texts: all of it, or what its definition does not
//! redact (`semantics.md` S24).

use std::sync::Arc;

use amends_core::saga::Fault;
use amends_core::{Payload, StepIx};
use amends_engine::{Deployed, Hidden, REDACTED, Snapshot};
use amends_wire::mutant::{Mutant, mutated};
use serde_json::value::RawValue;

use crate::json_text::{from_bytes, verbatim};
use crate::saga_json::FaultJson;

/// What is hidden of one saga.
#[derive(Default)]
pub struct Redaction(Option<Places>);

struct Places {
    deployed: Arc<Deployed>,
    /// The values in the hidden places, which may come back anywhere.
    values: Hidden,
}

impl Redaction {
    /// Hides nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// Hides what the saga's definition redacts.
    pub fn of(snapshot: &Snapshot) -> Self {
        let deployed = &snapshot.deployed;
        let hides = deployed.redaction.hides() && !mutated(Mutant::ShowsRedacted);
        Self(hides.then(|| Places {
            deployed: Arc::clone(deployed),
            values: deployed.redaction.values(&deployed.definition, &snapshot.saga),
        }))
    }

    /// Is anything hidden at all?
    pub fn hides(&self) -> bool {
        self.0.is_some()
    }

    /// The saga's data.
    pub fn data(&self, data: &Payload) -> Box<RawValue> {
        match &self.0 {
            None => verbatim(data),
            Some(hide) => hide.json(&hide.deployed.redaction.data(data.bytes())),
        }
    }

    /// What a step's command carries.
    pub fn input(&self, step: StepIx, input: &Payload) -> Box<RawValue> {
        match &self.0 {
            None => verbatim(input),
            Some(hide) => hide.json(&hide.deployed.redaction.input(step, input.bytes())),
        }
    }

    /// A step's result.
    pub fn result(&self, step: StepIx, result: &Payload) -> Box<RawValue> {
        match &self.0 {
            None => verbatim(result),
            Some(hide) => hide.json(&hide.deployed.redaction.result(step, result.bytes())),
        }
    }

    /// A body that an operator gave a command.
    pub fn body(&self, step: StepIx, body: &Payload) -> Box<RawValue> {
        match &self.0 {
            None => verbatim(body),
            Some(hide) => hide.json(&hide.deployed.redaction.body(step, body.bytes())),
        }
    }

    /// A signal's body.
    pub fn signal(&self, name: &str, body: &Payload) -> Box<RawValue> {
        match &self.0 {
            None => verbatim(body),
            Some(hide) => {
                let Deployed { definition, redaction, .. } = &*hide.deployed;
                hide.json(&redaction.signal(definition, name, body.bytes()))
            }
        }
    }

    /// Words of a participant or an operator, who may quote what is hidden.
    pub fn text(&self, text: &str) -> String {
        match &self.0 {
            None => text.to_owned(),
            Some(hide) => hide.values.text(text).into_owned(),
        }
    }

    /// An error.
    pub fn fault(&self, fault: &Fault) -> FaultJson {
        let code = fault.code.as_deref().map(|code| self.text(code));
        FaultJson { code, message: self.text(&fault.message) }
    }

    /// The business key.
    pub fn business_key(&self, key: Option<&str>) -> Option<String> {
        let hidden =
            self.0.as_ref().is_some_and(|hide| hide.deployed.redaction.hides_business_key());
        key.map(|key| if hidden { REDACTED.to_owned() } else { self.text(key) })
    }
}

impl Places {
    fn json(&self, without_places: &[u8]) -> Box<RawValue> {
        from_bytes(&self.values.json(without_places))
    }
}
