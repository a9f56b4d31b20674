//! What a service has to do now, and what it asks its handler.

use amends_core::choreography::Owed;
use amends_core::{Millis, StepIx, Time};
use amends_definition::{Context, Failures, INPUT_BYTES_MAX, StepInputs};
use amends_wire::{ActionOutcome, CommandBody, Direction, Undo};
use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use crate::event::Reason;
use crate::record::Record;
use crate::service::Service;

/// An own step that is to be run, or undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Which step.
    pub step: StepIx,
    /// Whether it is done or undone.
    pub direction: Direction,
    /// Which round it is, from 1: a step that must be done is asked anew after each refusal.
    pub round: u16,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// When the step's time is over; none for an undo.
    pub deadline: Option<Time>,
}

/// What is to be done about a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// Nothing: its condition does not hold.
    Skip,
    /// Its handler is asked by this command of the participant protocol, the same bytes as a
    /// coordinator would send.
    Ask(Bytes),
}

impl Service {
    /// What is to be done now.
    pub fn tasks(&self, record: &Record, now: Time) -> Vec<Task> {
        let owed = record.part.owed(record.of.choreography(), self.mine);
        owed.filter_map(|owed| self.task(record, owed))
            .filter(|task| {
                let again = record.clocks.get(&task.step).and_then(|clock| clock.again_at);
                again.is_none_or(|at| at <= now)
            })
            .collect()
    }

    /// Is it still to be done?
    pub fn owes(&self, record: &Record, step: StepIx, direction: Direction) -> bool {
        let mut owed = record.part.owed(record.of.choreography(), self.mine);
        owed.any(|owed| owed == of(step, direction))
    }

    fn task(&self, record: &Record, owed: Owed) -> Option<Task> {
        let clock = record.clocks.get(&owed.step()).copied().unwrap_or_default();
        let attempt = clock.tries.saturating_add(1);
        let (step, direction) = match owed {
            Owed::Run(step) => (step, Direction::Action),
            Owed::Undo(step) => (step, Direction::Compensation),
        };
        // Of what it was never told to do it knows no data.
        record.data.as_ref()?;
        let deadline = match direction {
            Direction::Action => clock.ready_at.map(|at| at + self.of.step(step).deadline),
            Direction::Compensation => None,
        };
        let round = round(record, step);
        Some(Task { step, direction, round, attempt, deadline })
    }

    /// The name of a step.
    pub fn step_name(&self, step: StepIx) -> &str {
        self.of.name(step)
    }

    /// The command of a step, after its service's name.
    pub fn command(&self, step: StepIx, direction: Direction) -> Option<&str> {
        let step = self.of.step(step);
        let command = match direction {
            Direction::Action => step.action(),
            Direction::Compensation => step.compensation(),
        };
        command.map(|command| &*command.name)
    }

    /// How long an attempt is waited for.
    pub fn timeout(&self, step: StepIx, direction: Direction) -> Millis {
        let step = self.of.step(step);
        match direction {
            Direction::Action => step.timeout,
            Direction::Compensation => step.undo.timeout,
        }
    }

    /// Which codes of its handler's are final, and which pass.
    pub fn failures(&self, step: StepIx) -> &Failures {
        static NONE: Failures = Failures { permanent: Vec::new(), transient: Vec::new() };
        self.of.compiled().extras.get(step.get()).map_or(&NONE, |extras| &extras.failures)
    }

    /// What its handler is asked. The step's expressions are evaluated once, when they are first
    /// needed, and kept in the record.
    ///
    /// # Errors
    ///
    /// An expression has no value, or the command would be too large.
    pub fn prepare(
        &self,
        record: &mut Record,
        step: StepIx,
        direction: Direction,
    ) -> Result<Prepared, Reason> {
        if direction == Direction::Action && !record.asked.contains_key(&step) {
            let skipped = self.evaluate(record, step)?;
            if skipped {
                return Ok(Prepared::Skip);
            }
        }
        self.body(record, step, direction).map(Prepared::Ask)
    }

    /// Evaluates what the step says of its command: is it passed over?
    fn evaluate(&self, record: &mut Record, step: StepIx) -> Result<bool, Reason> {
        if !self.of.step(step).computed.any() {
            return Ok(false);
        }
        let no_value = |why: &str| Reason::new("EXPRESSION", why);
        let json = |text: &RawValue| serde_json::from_str::<Json>(text.get());
        let data = record.data.as_deref().map(json).transpose();
        let data = data.map_err(|_| no_value("the saga's data is no JSON"))?.unwrap_or_default();
        // Those of the steps before it: what others have, they have not heard from all services alike.
        let mut result = Map::new();
        for before in self.of.choreography().definition().ancestors(step).iter() {
            let value = match record.results.get(&before) {
                Some(text) if !record.part.waived.contains(before) => {
                    json(text).map_err(|_| no_value("a step's result is no JSON"))?
                }
                _ => Json::Null,
            };
            result.insert(self.of.name(before).to_owned(), value);
        }
        let saga_id = record.saga_id.to_string();
        let context = Context {
            data: &data,
            result: &Json::Object(result),
            saga_id: &saga_id,
            saga_type: self.of.saga_type(),
        };
        match self.of.expressions().ready(step, &context) {
            Ok(StepInputs::Skipped) => Ok(true),
            Ok(StepInputs::Data) => Ok(false),
            Ok(StepInputs::Inputs(inputs)) => {
                // No choreography has a step with runs.
                let input = inputs.into_iter().next().flatten();
                let input = input.and_then(|input| RawValue::from_string(input.to_string()).ok());
                record.asked.extend(input.map(|input| (step, input)));
                Ok(false)
            }
            Err(error) => Err(no_value(&error.to_string())),
        }
    }

    fn body(&self, record: &Record, step: StepIx, direction: Direction) -> Result<Bytes, Reason> {
        let of_step = self.of.step(step);
        let command = match direction {
            Direction::Action => of_step.action(),
            Direction::Compensation => of_step.compensation(),
        };
        let name = command.map(|command| format!("{}.{}", command.service, command.name));
        let data = record.asked.get(&step).or(record.data.as_ref());
        let data = data.map_or("{}", |data| data.get()).as_bytes();
        if data.len() > INPUT_BYTES_MAX {
            let why = format!("the input has more than {INPUT_BYTES_MAX} bytes");
            return Err(Reason::new("TOO_LARGE", &why));
        }
        let undo = (direction == Direction::Compensation).then(|| Undo {
            action_round: 1,
            outcome: ActionOutcome::Completed,
            original_result: record.results.get(&step).map(|result| result.get().as_bytes()),
        });
        let binding = self.of.compiled().bindings.get(self.name());
        let body = CommandBody {
            saga_id: record.saga_id,
            saga_type: self.of.saga_type(),
            step_name: self.of.name(step),
            command: name.as_deref().unwrap_or_default(),
            round: round(record, step),
            data,
            flat: binding.is_none_or(|binding| binding.flat),
            undo,
        };
        body.render().map_err(|why| Reason::new("BAD_DATA", &why.to_string()))
    }
}

/// Who has stored a refusal would say it again.
fn round(record: &Record, step: StepIx) -> u16 {
    record.clocks.get(&step).map_or(0, |clock| clock.refusals).saturating_add(1)
}

fn of(step: StepIx, direction: Direction) -> Owed {
    match direction {
        Direction::Action => Owed::Run(step),
        Direction::Compensation => Owed::Undo(step),
    }
}
