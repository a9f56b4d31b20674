//! Steps whose handler is another process: it is asked by the participant protocol, as a coordinator would
//! ask it, and its own fence makes a repeat harmless.
//!
//! That an attempt begins is kept before it leaves. Until its answer is known the step is neither run nor
//! barred, whatever is heard meanwhile.

use std::sync::Arc;
use std::time::Duration;

use amends_choreography::{Answered, InVain, Reason, Service, Task};
use amends_core::Millis;
use amends_transport::{Delivery, Outgoing, Patience, Replies, Ticket, Transport};
use amends_wire::{Direction, FailureCodes, Fault, Outcome, SagaId};
use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::turn::{Turned, Unturned, What};
use super::{Choreographies, counts::count};
use crate::database::Database;
use crate::handler::RESULT_BYTES_MAX;

/// Between tries to keep an answer, while the database is away or busy.
const KEPT_AGAIN: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// How much longer than the attempt may take its answer is waited for: the transport says by itself that
/// there is none.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

impl<D: Database> Choreographies<D> {
    /// Asks the other process, and takes in what it answers.
    pub(super) async fn ask_elsewhere(
        &self,
        transport: &Arc<dyn Transport>,
        service: &Service,
        saga_id: SagaId,
        (task, body, traceparent): (Task, Bytes, Option<&str>),
    ) -> Result<Turned, Unturned> {
        // It is asked once at a time, of all copies of this service.
        self.turn(service, saga_id, &What::Begun(task)).await?;
        let outcome = self.exchange(transport, service, saga_id, task, body, traceparent).await;
        let what = heard(task, outcome);
        if let What::InVain(_, InVain { why, .. }) = &what {
            count(&self.0.counts.in_vain);
            let (step, attempt) = (service.step_name(task.step), task.attempt);
            warn!(
                saga_id = %saga_id, step, attempt, direction = task.direction.as_str(), code = why.code,
                "the attempt came to nothing; it is tried again: {}", why.message
            );
        }
        // An answer that is not kept is asked for again, and its attempt counts as one of which nothing is
        // known.
        let mut pauses = KEPT_AGAIN.into_iter();
        loop {
            match (self.turn(service, saga_id, &what).await, pauses.next()) {
                (Err(Unturned::Database(error)), Some(pause)) => {
                    warn!(saga_id = %saga_id, "an answer is not kept yet: {error}");
                    sleep(pause).await;
                }
                (turned, _) => return turned,
            }
        }
    }

    async fn exchange(
        &self,
        transport: &Arc<dyn Transport>,
        service: &Service,
        saga_id: SagaId,
        task: Task,
        body: Bytes,
        traceparent: Option<&str>,
    ) -> Outcome {
        let patience = Duration::from_millis(service.timeout(task.step, task.direction).0);
        let Task { step, direction, round, attempt, deadline } = task;
        let command = service.command(step, direction).unwrap_or_default();
        let failures = service.failures(step);
        let outgoing = Outgoing {
            ticket: Ticket { saga_id: saga_id.0, step: step.0, run: 0, direction, round, attempt },
            service: service.name().into(),
            command: format!("{}.{command}", service.name()).into(),
            saga_type: service.of().saga_type().into(),
            step_name: service.step_name(step).into(),
            body,
            deadline_unix_ms: deadline.map_or(u64::MAX, |at| at.0),
            patience: Patience { timeout: patience, keep_open_for: patience },
            another_sending_open: false,
            reply_to: None,
            causation_id: None,
            traceparent: traceparent.map(str::to_owned),
            codes: Arc::new(FailureCodes {
                permanent: failures.permanent.clone(),
                transient: failures.transient.clone(),
            }),
        };
        let (answer, answered) = oneshot::channel();
        let answer = std::sync::Mutex::new(Some(answer));
        let sink = move |delivery: Delivery| {
            if let Delivery::Ended { outcome, .. } = delivery
                && let Ok(mut answer) = answer.lock()
                && let Some(answer) = answer.take()
            {
                // Or nobody waits any more, and asks again.
                let _ = answer.send(outcome);
            }
        };
        transport.send(outgoing, Replies::new(sink));
        match timeout(patience + ANSWER_GRACE, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::unknown("the exchange ended without an answer"),
            Err(_) => Outcome::unknown(format!("no answer came within {patience:?}")),
        }
    }
}

/// What an outcome says to this service.
fn heard(task: Task, outcome: Outcome) -> What<'static> {
    let Task { step, direction, .. } = task;
    let in_vain = |error: &Fault, code, is_known| InVain {
        is_known,
        ..InVain::of(Reason::new(error.code.as_deref().unwrap_or(code), &error.message))
    };
    match outcome {
        Outcome::Completed { .. } | Outcome::Gone { .. }
            if direction == Direction::Compensation =>
        {
            What::Answered(step, Answered::Undone)
        }
        Outcome::Completed { result, .. } => {
            let text = result.map_or_else(
                || "null".to_owned(),
                |bytes| String::from_utf8_lossy(&bytes).into_owned(),
            );
            // An event has to have room for it.
            if text.len() > RESULT_BYTES_MAX {
                let bytes = text.len();
                let error = Fault::new(format!(
                    "the result has {bytes} bytes, and may have {RESULT_BYTES_MAX}: keep it elsewhere, and \
                     return where"
                ));
                return What::InVain(step, in_vain(&error, "BAD_RESULT", false));
            }
            match RawValue::from_string(text) {
                Ok(result) => What::Answered(step, Answered::Completed(result)),
                Err(_) => {
                    let error = Fault::new("the result is no JSON");
                    What::InVain(step, in_vain(&error, "BAD_RESULT", false))
                }
            }
        }
        Outcome::Refused { error } => {
            let code = error.code.as_deref().unwrap_or("REFUSED");
            What::Answered(step, Answered::Refused(Reason::new(code, &error.message)))
        }
        Outcome::Transient { error, named, retry_after } => {
            let after = retry_after.and_then(|after| u64::try_from(after.as_millis()).ok());
            // A bare status may come from a proxy behind which it goes on.
            let in_vain = in_vain(&error, "TRANSIENT", named);
            What::InVain(step, InVain { not_before: after.map(Millis), ..in_vain })
        }
        Outcome::NotSent { error } => {
            let in_vain = in_vain(&error, "NOT_SENT", true);
            What::InVain(step, InVain { asked: false, ..in_vain })
        }
        Outcome::Unknown { error, contract } => {
            let message = contract.unwrap_or_else(|| error.message.clone());
            let error = Fault { message, ..error };
            What::InVain(step, in_vain(&error, "OUTCOME_UNKNOWN", false))
        }
        Outcome::Accepted | Outcome::Gone { .. } => {
            let error = Fault::new("it is to be answered in the exchange that asks, and was not");
            What::InVain(step, in_vain(&error, "NO_ANSWER", false))
        }
    }
}
