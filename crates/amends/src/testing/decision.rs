//! The machine alone: given what has happened, when one more thing happens, then these commands are
//! owed. No engine, no store, no clock.

use std::sync::Arc;

use amends_core::input::{Answer as CoreAnswer, Verb};
use amends_core::saga::{Act, Pinned, Saga as State, Terms};
use amends_core::{
    Direction, Input, Moment, Payload, RunRef, SagaId, Time, decide, effects, start,
};
use amends_definition::{Compiled, Saga};
use serde_json::Value;

use super::answer::Answer;
use super::story::Story;

/// One decision of the machine.
///
/// ```
/// use amends::testing::{Decision, completed, refused};
/// use amends::{Fence, Saga};
/// use serde_json::json;
///
/// let order = Saga::named("Order")
///     .service("Stock", Fence::Settle)
///     .service("Bank", Fence::Settle)
///     .step("reserve", |step| step.action("Stock.Reserve").compensation("Stock.Release"))
///     .step("pay", |step| step.action("Bank.Charge").compensation("Bank.Refund"));
///
/// Decision::of(order, json!({}))
///     .given("reserve", completed(json!({ "reservation": 7 })))
///     .when("pay", refused("LIMIT"))
///     .expect_commands(["Stock.Release"]);
/// ```
pub struct Decision {
    compiled: Compiled,
    saga: State,
    now: Time,
    story: Story,
}

/// When the saga of a decision starts: any time will do.
const BEGAN: Time = Time(1_760_000_000_000);

/// How many timers may fire while nothing is answered: a definition whose attempts are as many as
/// this before its deadline has none that is meant.
const TICKS_MAX: u32 = 100_000;

impl Decision {
    /// A saga that was started with this data, and has its first commands on their way.
    ///
    /// # Panics
    /// Where the saga is not well-formed, with every finding.
    #[track_caller]
    pub fn of(saga: Saga, data: Value) -> Self {
        match saga.build() {
            Ok(compiled) => Self::of_compiled(compiled, &data),
            Err(error) => panic!("{error}"),
        }
    }

    /// The same of a definition that was checked already.
    pub fn of_compiled(compiled: Compiled, data: &Value) -> Self {
        let definition = Arc::clone(&compiled.definition);
        let started = amends_core::event::Started {
            saga_id: SagaId(1),
            pinned: Pinned {
                saga_type: Arc::clone(definition.saga_type()),
                version: definition.version(),
                hash: compiled.hash,
            },
            steps: u8::try_from(definition.steps().len()).unwrap_or(u8::MAX),
            data: Payload::from(data.to_string().as_str()),
            business_key: None,
            deadline: definition.deadline().map(|deadline| Time(BEGAN.0 + deadline.0)),
            choreographed: false,
        };
        let (saga, _) = start(&definition, started, Moment { at: BEGAN, jitter: 0 });
        let mut decision = Self { compiled, saga, now: BEGAN, story: Story::default() };
        decision.tell(format!("given {data}"));
        decision.evaluate();
        decision
    }

    /// Given that a step's command was sent and answered so: its action, or its undo where that is on
    /// its way. A run of a `for_each` step is named `<step>.<i>`.
    ///
    /// # Panics
    /// Where the step has no command that is owed or on its way.
    #[track_caller]
    pub fn given(mut self, step: &str, answer: Answer) -> Self {
        self.send_all();
        self.answer(step, answer);
        self
    }

    /// When this answer comes. What is owed from then on is what
    /// [`expect_commands`](Self::expect_commands) looks at.
    ///
    /// # Panics
    /// Where the step has no command that is owed or on its way.
    #[track_caller]
    pub fn when(self, step: &str, answer: Answer) -> Self {
        self.given(step, answer)
    }

    /// When no answer comes: commands time out and are sent again, until the saga turns, needs a
    /// person, or nothing more happens by itself.
    #[track_caller]
    pub fn when_nothing_is_answered(mut self) -> Self {
        self.send_all();
        let rests = |saga: &State| saga.turned.is_some() || !saga.attention.is_empty();
        for _ in 0..TICKS_MAX {
            let due = effects::next_due(&self.compiled.definition, &self.saga, self.now);
            let Some(due) = due.filter(|_| !rests(&self.saga)) else { break };
            self.now = due.max(self.now);
            self.decide(Input::Tick, "time");
            if !rests(&self.saga) {
                self.send_all();
            }
        }
        self.tell("nothing was answered");
        self
    }

    /// When a signal comes.
    #[track_caller]
    pub fn when_signal(mut self, name: &str, body: &Value) -> Self {
        self.send_all();
        self.tell(format!("the signal {name}: {body}"));
        let body = Payload::from(body.to_string().as_str());
        self.decide(Input::Signal { name: name.into(), body }, name);
        self
    }

    /// When the saga is cancelled.
    #[track_caller]
    pub fn when_cancelled(mut self) -> Self {
        self.send_all();
        self.tell("cancelled");
        let act = Act { by: "the test".into(), reason: "a test".into() };
        self.decide(Input::Verb { verb: Verb::Cancel, act }, "the cancel");
        self
    }

    /// Expects that these commands are owed now, in the definition's order, and no other.
    #[track_caller]
    pub fn expect_commands<'a>(self, commands: impl IntoIterator<Item = &'a str>) -> Self {
        let definition = &self.compiled.definition;
        let owed: Vec<String> = effects::owed(definition, &self.saga)
            .filter(|owed| owed.from <= self.now)
            .filter_map(|owed| definition.step(owed.run.step).command(owed.direction))
            .map(|command| format!("{}.{}", command.service, command.name))
            .collect();
        let expected: Vec<&str> = commands.into_iter().collect();
        assert!(
            owed == expected,
            "expected {expected:?} to be owed, but {owed:?} are. The story so far:\n{}",
            self.story
        );
        self
    }

    /// The saga as it is now.
    pub fn saga(&self) -> &State {
        &self.saga
    }

    /// Everything that is owed leaves.
    #[track_caller]
    fn send_all(&mut self) {
        loop {
            let definition = Arc::clone(&self.compiled.definition);
            let owed = effects::owed(&definition, &self.saga).find(|owed| owed.from <= self.now);
            let Some(owed) = owed else { return };
            let step = definition.step(owed.run.step);
            let Some(command) = step.command(owed.direction) else { return };
            let binding = self.compiled.bindings.get(&command.service);
            let fence = step.fence.or_else(|| binding?.fence);
            let terms = Terms { fence, flat: binding.is_none_or(|binding| binding.flat) };
            let name = format!("{}.{}", command.service, command.name);
            self.tell(format!("→ {name}"));
            let (run, direction) = (owed.run, owed.direction);
            self.decide(Input::Room { run, direction, terms }, &name);
        }
    }

    #[track_caller]
    fn answer(&mut self, name: &str, answer: Answer) {
        let Some((run, direction)) = self.asked(name) else {
            panic!("{name} was not asked. The story so far:\n{}", self.story)
        };
        let outcome = match answer.outcome {
            amends_wire::Outcome::Refused { error } => {
                let direction = match direction {
                    Direction::Action => amends_wire::Direction::Action,
                    Direction::Compensation => amends_wire::Direction::Compensation,
                };
                amends_wire::Outcome::refused(direction, error)
            }
            other => other,
        };
        self.tell(format!("← {name}: {}", answer.words));
        let sendings = self.saga.run(run).and_then(|state| state.sendings(direction));
        let attempt = sendings.map(|sendings| sendings.attempts);
        let round = sendings.map(|sendings| sendings.round);
        let outcome = amends_engine::outcome_in(outcome);
        let answer = CoreAnswer { run, direction, round, attempt, own_exchange: true, outcome };
        self.decide(Input::Answer(answer), name);
    }

    /// The command of a step that was sent last: its undo, or its action.
    fn asked(&self, name: &str) -> Option<(RunRef, Direction)> {
        let (step, run) = match name.split_once('.') {
            Some((step, run)) => (step, run.parse().ok()?),
            None => (name, 0),
        };
        let run = RunRef { step: self.compiled.definition.find(step)?, run };
        let state = self.saga.run(run)?;
        let sent = |direction: &Direction| state.sendings(*direction).is_some_and(|s| s.intent);
        [Direction::Compensation, Direction::Action].into_iter().find(sent).map(|d| (run, d))
    }

    #[track_caller]
    fn decide(&mut self, input: Input, what: &str) {
        let moment = Moment { at: self.now, jitter: 0 };
        let mut facts = Vec::new();
        let decided = decide(&self.compiled.definition, &mut self.saga, moment, input, &mut facts);
        if let Err(refusal) = decided {
            let why = amends_engine::words::refusal(&refusal);
            panic!("the machine takes no {what}: {why}. The story so far:\n{}", self.story);
        }
        self.evaluate();
    }

    /// Every expression that is to be evaluated is, as the engine does it.
    #[track_caller]
    fn evaluate(&mut self) {
        loop {
            let definition = Arc::clone(&self.compiled.definition);
            let steps = effects::evaluations(&definition, &self.saga);
            let Some(&step) = steps.first() else { return };
            let value = amends_engine::evaluate(&self.compiled, &self.saga, step);
            let moment = Moment { at: self.now, jitter: 0 };
            let (input, mut facts) = (Input::Evaluated { step, value }, Vec::new());
            if decide(&definition, &mut self.saga, moment, input, &mut facts).is_err() {
                return;
            }
        }
    }

    fn tell(&mut self, line: impl Into<String>) {
        let since = std::time::Duration::from_millis(self.now.since(BEGAN).0);
        self.story.tell(since, line);
    }
}
