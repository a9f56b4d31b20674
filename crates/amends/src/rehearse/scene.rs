//! One drill from its start to its end: an engine of its own on a store in memory, the definition with
//! limits that fit a rehearsal, one saga.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amends_core::definition::{Backoff, Definition, Fence, Jitter, Retry, UndoPolicy};
use amends_core::saga::{Reason, Saga, State};
use amends_core::{Millis, Payload};
use amends_definition::{Binding, Compiled};
use amends_engine::{Ask, Binder, Carrier, Deployment, Engine, Options, Start};
use amends_store::memory::Disk;
use amends_wire::Outcome;
use bytes::Bytes;
use serde_json::Value;

use super::drill::Drill;
use super::exchange::Exchange;
use super::expression;
use super::judge::why_unanswered;
use super::participants::Participants;
use super::stage::Stage;

/// How long the engine waits for a command that is held back. No participant sees this wait, so it
/// is short.
const HELD: Millis = Millis(300);

/// When a held answer is let go that no undo lets go: well after the step's time is up.
const RELEASED_AFTER: Duration = Duration::from_millis(900);

/// Between two attempts.
const PAUSE: Backoff =
    Backoff { initial: Millis(50), factor_percent: 200, max: Millis(400), jitter: Jitter::None };

/// How often an undo is tried before it counts as never acknowledged: half a second of "not now".
const UNDO_ATTEMPTS_MAX: u32 = 5;

/// How many answers to a command may say nothing until no other is hoped for.
const UNCLEAR_MAX: usize = 2;

/// How many answers' time a drill may take altogether.
const PATIENCES_MAX: u32 = 6;

/// How often it is looked whether a saga has come to rest.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What all drills share.
pub struct Play {
    /// The definition.
    pub compiled: Compiled,
    /// The participants.
    pub participants: Participants,
    /// What each signal says, by name.
    pub signals: Vec<(String, Value)>,
}

/// What a drill came to.
pub struct Played {
    /// Which.
    pub drill: Drill,
    /// All that was asked and said.
    pub log: Vec<Exchange>,
    /// Whether the fault was made: the step may have been left out, or never reached.
    pub made: bool,
    /// The saga as it was left; none where it was not even started.
    pub saga: Option<Arc<Saga>>,
    /// Why the saga did not come to an end, where it did not.
    pub unfinished: Option<String>,
    /// The expression that gave no value, where one did not: the saga has not gone as it was to go.
    pub expression: Option<String>,
}

impl Played {
    /// Did its saga complete?
    pub fn completed(&self) -> bool {
        self.saga.as_ref().is_some_and(|saga| saga.state == State::Completed)
    }
}

impl Play {
    /// Plays one drill.
    pub async fn drill(&self, drill: Drill, data: &Value) -> Played {
        let undone = self.is_undone(&drill);
        let stage = Stage::new(drill.clone(), self.participants.clone(), RELEASED_AFTER, undone);
        let ran = self.run(&drill, &stage, data).await;
        let log = stage.settled();
        let (saga, unfinished) = match ran {
            Ok((saga, ended)) => {
                let unfinished = (!ended).then(|| rest(&saga, &log));
                (Some(saga), unfinished)
            }
            Err(why) => (None, Some(why)),
        };
        let expression = match &saga {
            Some(saga) => expression::of_saga(&self.compiled, saga),
            None => expression::of_start(&self.compiled, data),
        };
        Played { made: stage.made(), log, drill, saga, unfinished, expression }
    }

    /// The fence of a step: its own, or its service's.
    pub fn fence(&self, step: amends_core::StepIx) -> Option<Fence> {
        let step = self.compiled.definition.step(step);
        let of_service = |service: &str| self.compiled.bindings.get(service)?.fence;
        step.fence.or_else(|| of_service(&step.action()?.service))
    }

    /// Does the engine undo the drill's step when its outcome is unknown?
    fn is_undone(&self, drill: &Drill) -> bool {
        let step = self.compiled.definition.step(drill.step);
        step.compensation().is_some() && self.fence(drill.step) != Some(Fence::None)
    }

    async fn run(
        &self,
        drill: &Drill,
        stage: &Stage,
        data: &Value,
    ) -> Result<(Arc<Saga>, bool), String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let store = Disk::new().open();
        let binder = Arc::new(OneStage(stage.clone()));
        let engine = Engine::start(Options::default(), store, binder).await;
        let engine = engine.map_err(|e| words(&e))?;
        let handle = engine.handle();
        stage.engine(handle.clone());
        let compiled = self.with_limits(drill);
        let saga_type = Arc::clone(compiled.definition.saga_type());
        handle.deploy(vec![Deployment { compiled }]).await.map_err(|e| words(&e))?;
        let start = Start {
            saga_type,
            version: None,
            data: Bytes::from(data.to_string()),
            idempotency_key: None,
            wait: None,
        };
        let started = handle.start(start).await.map_err(|e| words(&e))?;
        let saga = started.snapshot.saga.id;
        for (name, body) in &self.signals {
            let (name, body) = (name.as_str().into(), Payload::from(body.to_string().as_str()));
            // A signal whose step was left out is nobody's; the saga goes on.
            let _ = handle.ask(saga, Ask::Signal { name, body }, None).await;
        }
        let until = Instant::now() + self.participants.patience().whole() * PATIENCES_MAX;
        let ended = loop {
            let seen = handle.wait(saga, LOOK_EVERY).await.map_err(|e| words(&e))?;
            let seen = seen.ok_or("the saga is gone")?.saga;
            if seen.state.ended() {
                break (seen, true);
            }
            if Instant::now() >= until || needs_a_person(&seen) || is_hopeless(&stage.log()) {
                break (seen, false);
            }
        };
        engine.stop().await;
        Ok(ended)
    }

    /// The definition with the limits of a rehearsal: an answer is waited for as long as was said,
    /// a command that is held back hardly at all. To the engine every answer comes in the exchange,
    /// because the stage hears callbacks itself.
    fn with_limits(&self, drill: &Drill) -> Compiled {
        let patience = self.participants.patience().whole();
        let patience = Millis(u64::try_from(patience.as_millis()).unwrap_or(u64::from(u32::MAX)));
        let total = Millis(patience.0 * u64::from(PATIENCES_MAX));
        let definition = &self.compiled.definition;
        let steps = definition.indices().map(|at| {
            let mut step = definition.step(at).clone();
            let held = at == drill.step && drill.waits();
            let (timeout, deadline) = match held && !drill.undo {
                true => (HELD, HELD),
                false => (patience, total),
            };
            if step.action().is_some() {
                (step.timeout, step.deadline) = (timeout, deadline);
            }
            step.accepted_timeout = None;
            step.retry = Retry { max_attempts: None, backoff: PAUSE };
            let sent_in_vain = patience.0 * 2 / HELD.0;
            let max_attempts = match held && drill.undo {
                true => u32::try_from(sent_in_vain).unwrap_or(0) + UNDO_ATTEMPTS_MAX,
                false => UNDO_ATTEMPTS_MAX,
            };
            step.undo = UndoPolicy {
                // The stage may first wait for the action.
                timeout: if held && drill.undo { HELD } else { Millis(patience.0 * 2) },
                max_attempts,
                backoff: PAUSE,
            };
            step
        });
        let name = Arc::clone(definition.saga_type());
        let limited = Definition::new(name, definition.version(), None, steps.collect());
        // The order is that of a definition, so it is well-formed.
        let definition = limited.map_or_else(|_| Arc::clone(definition), Arc::new);
        Compiled { definition, ..self.compiled.clone() }
    }
}

/// Every service of the definition is on the one stage.
struct OneStage(Stage);

impl Binder for OneStage {
    fn bind(&self, _: &str, _: &Binding) -> Option<Carrier> {
        Some(Carrier { transport: Arc::new(self.0.clone()), answers_by_message: false })
    }
}

/// Will asking on tell nothing more? A participant that is not there, one that does not answer what
/// it has accepted, or one whose every answer to a command says nothing.
fn is_hopeless(log: &[Exchange]) -> bool {
    let unclear = |of: &Exchange| {
        let asked = log.iter().filter(|e| e.key == of.key && !e.is_undo());
        let answers = asked.map(|e| matches!(e.outcome, Outcome::Unknown { .. }));
        answers.fold((0, true), |(n, all), unclear| (n + 1, all && unclear))
    };
    log.iter().any(|said| match said.outcome {
        Outcome::NotSent { .. } => true,
        Outcome::Unknown { .. } if said.accepted => true,
        Outcome::Unknown { .. } => matches!(unclear(said), (UNCLEAR_MAX.., true)),
        _ => false,
    })
}

/// Will nothing more happen by itself?
fn needs_a_person(saga: &Saga) -> bool {
    saga.attention.iter().any(|attention| {
        matches!(
            attention.reason,
            Reason::CompensationFailed
                | Reason::Poison
                | Reason::UnboundService
                | Reason::Expression
        )
    })
}

/// Where a saga rests that has not ended, and which answer it may have been too early for.
fn rest(saga: &Saga, log: &[Exchange]) -> String {
    let state = match saga.state {
        State::Started | State::Pending => "it waits for an answer",
        State::Compensating => "its rollback does not come to an end",
        State::Completed | State::Failed => "it has ended",
    };
    match log.iter().rev().find(|said| said.is_overdue()) {
        None => state.to_owned(),
        Some(said) => {
            let (service, step) = (&said.service, &said.step);
            format!("{state}. Of {service} at the step {step}: {}", why_unanswered(said))
        }
    }
}
