//! A saga as the API shows it: the one place where the machine's state becomes JSON.

use amends_core::definition::{Definition, Step};
use amends_core::saga::{Cause, Run, Saga, StepState};
use amends_core::{Refusal, RunRef, SagaId, StepIx, Time, choreography, rules};
use amends_engine::{Snapshot, UNREADABLE_BIT, state_in};
use amends_store::SagaRow;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::json_text::instant;
use crate::list;
use crate::redaction::Redaction;
use crate::waiting::{self, Waiting};
use crate::words::{Direction, ExceptionReason, Kind, Reason, State, Status, WaitingFor};

/// A saga.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Saga)]
pub struct SagaJson {
    /// Its identity: a UUID, and the correlation id of every message.
    pub saga_id: String,
    /// Its type.
    pub saga_type: String,
    /// The version it is pinned to.
    pub version: u32,
    /// SHA-256 of that version's pinned form, in hexadecimal digits.
    pub definition_hash: String,
    /// Its services run it among themselves; it is only observed here.
    pub choreographed: bool,
    /// Its state.
    pub state: State,
    /// Nothing is sent and no timer fires.
    pub paused: bool,
    /// What a person is needed for.
    pub attention: Vec<AttentionJson>,
    /// What makes its end not clean.
    pub exceptions: Vec<ExceptionJson>,
    /// Unique among running sagas of its type, where the definition has such a key.
    pub business_key: Option<String>,
    /// What it was started with, as it came.
    #[schema(value_type = Object)]
    pub data: Box<RawValue>,
    /// Why it turned, if it did; of a saga without a coordinator, why it is to be undone.
    pub error: Option<SagaErrorJson>,
    /// When it started (RFC 3339).
    pub created_at: String,
    /// When its last event happened.
    pub updated_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Whether a cancel would turn it now, or ask its services to.
    pub cancellable: bool,
    /// How many events it has had; give it as `If-Match`.
    pub seq: u64,
    /// Its steps in the definition's order, those still to come included.
    pub steps: Vec<StepJson>,
    /// Why it cannot be read, if it is quarantined (attention `unreadable`): there is no more to see
    /// of it then than its row in the lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// What a person is needed for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attention)]
pub struct AttentionJson {
    /// The step, if it is about one.
    pub step: Option<String>,
    /// Which of its commands.
    pub direction: Direction,
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub since: String,
}

/// Something that makes an end not clean.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Exception)]
pub struct ExceptionJson {
    /// The step.
    pub step: String,
    /// Why.
    pub reason: ExceptionReason,
    /// In words.
    pub note: String,
}

/// An error as a participant or the engine words it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Fault)]
pub struct FaultJson {
    /// A code for programs, where there is one.
    pub code: Option<String>,
    /// The words for people.
    pub message: String,
}

/// Why a saga turned.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SagaError)]
pub struct SagaErrorJson {
    /// The step it turned for, if it was one.
    pub step: Option<String>,
    /// The step's error code, `cancelled` or `deadline`.
    pub code: Option<String>,
    /// In words.
    pub message: String,
}

/// A step, or one run of a `for_each` step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub struct StepJson {
    /// Its name; `<step>.<i>` for one run of many.
    pub name: String,
    /// Atomic or eventual.
    pub kind: Kind,
    /// The service that owns it; none for a signal.
    pub service: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// What it, or its undo, waits for.
    pub waiting_for: Option<WaitingFor>,
    /// How often its action was sent.
    pub attempts: u32,
    /// When the next attempt comes, while a pause passes.
    pub next_attempt_at: Option<String>,
    /// Its result, as it came.
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<Box<RawValue>>,
    /// Its last error: of its undo, while that is under way.
    pub error: Option<FaultJson>,
    /// How often its undo was sent.
    pub compensation_attempts: u32,
    /// When its time is up.
    pub deadline: Option<String>,
    /// Who decided its status, if a person did.
    pub by: Option<String>,
}

/// A saga as of `now`, with what `redaction` leaves to see.
pub fn saga(snapshot: &Snapshot, redaction: &Redaction, now: Time) -> SagaJson {
    let (saga, deployed) = (&*snapshot.saga, &snapshot.deployed);
    let definition = &*deployed.definition;
    let (cancellable, is_undone) = match &deployed.choreographed {
        Some(of) => {
            let asked = choreography::may_be_cancelled(of.choreography(), saga);
            // A failure that came too late is void.
            let is_asked = asked == Err(Refusal::AlreadyCompensating);
            (asked.is_ok(), is_asked || saga.turned.is_some())
        }
        None => {
            let open = !saga.state.ended() && saga.turned.is_none();
            (open && !rules::point_of_no_return(definition, saga), saga.turned.is_some())
        }
    };
    let named = Named { definition, saga };
    SagaJson {
        saga_id: saga.id.to_string(),
        saga_type: saga.pinned.saga_type.to_string(),
        version: saga.pinned.version,
        definition_hash: hash(&saga.pinned.hash),
        choreographed: saga.heard.is_some(),
        state: saga.state.into(),
        paused: saga.paused.is_some(),
        attention: saga.attention.iter().map(|item| named.attention(item)).collect(),
        exceptions: saga.exceptions.iter().map(|item| named.exception(item, redaction)).collect(),
        business_key: redaction.business_key(saga.business_key.as_deref()),
        data: redaction.data(&saga.data),
        error: is_undone.then(|| named.error(redaction)).flatten(),
        created_at: instant(saga.created_at),
        updated_at: instant(saga.updated_at),
        ended_at: saga.ended_at.map(instant),
        cancellable,
        seq: saga.seq,
        steps: definition.indices().flat_map(|step| named.step(step, redaction, now)).collect(),
        unreadable: None,
    }
}

/// A saga that cannot be read, as far as its row goes; none of a state that this server is too old to
/// know.
pub fn of_row(row: &SagaRow, business_key: Option<String>, why: String) -> Option<SagaJson> {
    let since = instant(Time(row.stuck_at.unwrap_or(row.updated_at)));
    let attention = |reason| AttentionJson {
        step: None,
        direction: Direction::Action,
        reason,
        since: since.clone(),
    };
    let reasons = list::reasons(row.attention | UNREADABLE_BIT);
    let message = row.error.clone();
    Some(SagaJson {
        saga_id: SagaId(row.saga).to_string(),
        saga_type: row.saga_type.to_string(),
        version: row.definition_version,
        definition_hash: hash(&row.definition_hash),
        choreographed: false,
        state: state_in(row.state)?.into(),
        paused: row.paused,
        attention: reasons.into_iter().map(attention).collect(),
        exceptions: Vec::new(),
        business_key,
        data: RawValue::NULL.to_owned(),
        error: message.map(|message| SagaErrorJson { step: None, code: None, message }),
        created_at: instant(Time(row.created_at)),
        updated_at: instant(Time(row.updated_at)),
        ended_at: row.ended_at.map(|at| instant(Time(at))),
        cancellable: false,
        seq: row.seq,
        steps: Vec::new(),
        unreadable: Some(why),
    })
}

/// A definition's hash as hexadecimal digits.
pub fn hash(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A saga with its definition, which knows the names of its steps.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    /// The definition.
    pub definition: &'a Definition,
    /// The saga.
    pub saga: &'a Saga,
}

impl Named<'_> {
    /// A run's name, as in keys, replies and URLs.
    pub fn run(&self, at: RunRef) -> String {
        let name = &self.definition.step(at.step).name;
        match self.saga.steps.get(at.step.get()) {
            Some(StepState::Runs { for_each: true, .. }) => format!("{name}.{}", at.run),
            _ => name.to_string(),
        }
    }

    /// What a person is needed for.
    pub fn attention(&self, item: &amends_core::saga::Attention) -> AttentionJson {
        AttentionJson {
            step: item.run.map(|run| self.run(run)),
            direction: item.direction.into(),
            reason: item.reason.into(),
            since: instant(item.since),
        }
    }

    /// Something that makes an end not clean.
    pub fn exception(
        &self,
        item: &amends_core::saga::Exception,
        redaction: &Redaction,
    ) -> ExceptionJson {
        ExceptionJson {
            step: self.run(item.run),
            reason: item.reason.into(),
            note: redaction.text(&item.note),
        }
    }

    fn error(&self, redaction: &Redaction) -> Option<SagaErrorJson> {
        Some(match self.saga.cause()? {
            Cause::Step(at) => {
                let fault = self.saga.run(*at).and_then(|run| run.error.as_ref());
                let expression = match self.saga.steps.get(at.step.get()) {
                    Some(StepState::Waiting { expression_error }) => expression_error.as_ref(),
                    _ => None,
                };
                let step = Some(self.run(*at));
                match fault.or(expression).map(|fault| redaction.fault(fault)) {
                    Some(FaultJson { code, message }) => SagaErrorJson { step, code, message },
                    None => {
                        let message = "the step's time was up".to_owned();
                        SagaErrorJson { step, code: None, message }
                    }
                }
            }
            Cause::Cancelled(act) => SagaErrorJson {
                step: None,
                code: Some("cancelled".to_owned()),
                message: format!("cancelled by {}: {}", act.by, redaction.text(&act.reason)),
            },
            Cause::Deadline => SagaErrorJson {
                step: None,
                code: Some("deadline".to_owned()),
                message: "the saga's deadline passed".to_owned(),
            },
        })
    }

    fn step(&self, ix: StepIx, redaction: &Redaction, now: Time) -> Vec<StepJson> {
        let step = self.definition.step(ix);
        match &self.saga.steps[ix.get()] {
            StepState::Waiting { expression_error } => {
                let failed = expression_error.is_some();
                let waiting = waiting::of_step_not_begun(self.saga, failed);
                let error = expression_error.as_ref().map(|why| redaction.fault(why));
                vec![StepJson { error, ..not_run(step, Status::Pending, waiting) }]
            }
            StepState::Skipped { by, .. } => {
                let by = by.as_ref().map(|act| act.by.to_string());
                vec![StepJson { by, ..not_run(step, Status::Skipped, Waiting::default()) }]
            }
            StepState::Runs { runs, .. } => (0u8..)
                .zip(runs)
                .map(|(run, state)| {
                    self.of_run(step, RunRef { step: ix, run }, state, redaction, now)
                })
                .collect(),
        }
    }

    fn of_run(
        &self,
        step: &Step,
        at: RunRef,
        run: &Run,
        redaction: &Redaction,
        now: Time,
    ) -> StepJson {
        let waiting = waiting::of_run(self.definition, self.saga, at, run, now);
        let undo = run.undo.as_ref().and_then(|undo| undo.sendings.as_ref());
        let undoing = run.undo.as_ref().filter(|undo| undo.end.is_none());
        let error = undoing.and_then(|undo| undo.error.as_ref()).or(run.error.as_ref());
        StepJson {
            name: self.run(at),
            attempts: run.action.as_ref().map_or(0, |action| action.attempts),
            result: run.result.as_ref().map(|result| redaction.result(at.step, result)),
            error: error.map(|why| redaction.fault(why)),
            compensation_attempts: undo.map_or(0, |undo| undo.attempts),
            deadline: Some(instant(run.deadline)),
            by: run.by.as_ref().map(|act| act.by.to_string()),
            ..not_run(step, run.status.into(), waiting)
        }
    }
}

/// What is so of a step without a run.
fn not_run(step: &Step, status: Status, waiting: Waiting) -> StepJson {
    StepJson {
        name: step.name.to_string(),
        kind: step.kind.into(),
        service: step.action().map(|action| action.service.to_string()),
        status,
        waiting_for: waiting.on,
        attempts: 0,
        next_attempt_at: waiting.next_attempt_at.map(instant),
        result: None,
        error: None,
        compensation_attempts: 0,
        deadline: None,
        by: None,
    }
}
