//! What an observer takes from an event, and what it may say itself: that the saga is to be undone.

use std::sync::Arc;

use amends_core::choreography::{Report, Said};
use amends_core::saga::{Act, Cause, Fault};
use amends_core::{Payload, RunRef, Time};
use amends_wire::SagaId;

use crate::definition::Choreographed;
use crate::event::{Reason, SagaEvent};
use crate::service::{NotTaken, said};

/// The code of a failure that is a person's.
const CANCELLED: &str = "CANCELLED";

/// The code of one that is the time's.
const DEADLINE: &str = "DEADLINE";

impl Choreographed {
    /// What an event says, for who observes the saga.
    ///
    /// # Errors
    ///
    /// It goes by another definition, or is about a step that this one does not have.
    pub fn report(&self, event: &SagaEvent) -> Result<Report, NotTaken> {
        if event.definition_hash != self.hash() {
            return Err(NotTaken::Foreign);
        }
        let step = match &event.step_name {
            Some(name) => Some(self.named(name).ok_or(NotTaken::NoStep)?),
            None => None,
        };
        let said = said(event.said, step)?;
        let fault = event.reason.as_ref().map(|why| Fault::new(&why.code, &why.message));
        let cause = match (said, &fault, step) {
            (Said::Failed, _, Some(step)) => Some(Cause::Step(RunRef::only(step))),
            (Said::Failed, Some(why), None) if why.code.as_deref() == Some(DEADLINE) => {
                Some(Cause::Deadline)
            }
            (Said::Failed, why, None) => {
                let reason = why.as_ref().map_or_else(Arc::default, |why| Arc::clone(&why.message));
                Some(Cause::Cancelled(Act { by: event.by.as_str().into(), reason }))
            }
            _ => None,
        };
        Ok(Report {
            said,
            by: event.by.as_str().into(),
            at: event.at,
            result: event.result.as_ref().map(|result| Payload::from(result.get())),
            fault,
            cause,
        })
    }

    /// What asks for the end of a saga, said by whoever has no part in it.
    pub fn ask_for_the_end(
        &self,
        saga_id: SagaId,
        by: &str,
        cause: &Cause,
        now: Time,
    ) -> SagaEvent {
        let (step, reason) = match cause {
            Cause::Step(run) => {
                let after = self.step(run.step).deadline;
                let name = self.name(run.step);
                let why = format!("nothing was heard of the step {name} within {after}");
                (Some(run.step), Reason::new(DEADLINE, &why))
            }
            Cause::Cancelled(act) => (None, Reason::new(CANCELLED, &act.reason)),
            Cause::Deadline => {
                (None, Reason::new(DEADLINE, "the saga was not done within its deadline"))
            }
        };
        let mut event = self.cancel(saga_id, by, reason, now);
        event.step_name = step.map(|step| self.name(step).to_owned());
        event.context.step = step.map_or(0, |step| u32::from(step.0) + 1);
        event
    }
}
