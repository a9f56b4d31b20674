//! The test language: one saga, what happens to it, and what is expected of it.
//!
//! Every input goes through [`Watched::give`], which asserts the invariants after every decision,
//! whatever the scenario is about.

use std::ops::{Deref, DerefMut};

use amends_core::definition::{Definition, Fence};
use amends_core::input::{Answer, Evaluation, Outcome, Resolution, Verb};
use amends_core::saga::{Act, Fault, Run, State, StepState};
use amends_core::{
    Direction, Event, Input, Millis, Payload, Refusal, RunRef, Saga, Time, effects, rules,
};
use amends_invariants::Watched;

use crate::shapes::{Spec, define};

/// When every scenario begins. Scenarios count in seconds from here.
const START: Time = Time(1_000_000);

pub struct World {
    watched: Watched,
    /// Where in the history that part begins whose sendings nobody has asked for yet.
    unasked: usize,
}

impl Deref for World {
    type Target = Watched;

    fn deref(&self) -> &Watched {
        &self.watched
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Watched {
        &mut self.watched
    }
}

/// What a person asks for; steps are named, an undo as `undo <step>`.
#[derive(Clone)]
pub enum Ask {
    Cancel,
    Pause,
    Resume,
    Retry(&'static str),
    Completed(&'static str),
    Refused(&'static str),
    Skip(&'static str),
    Edit(&'static str, &'static str),
    Extend(&'static str, u64),
    ExtendSaga(u64),
    Acknowledge(&'static str),
    Forced(Box<Ask>),
}

pub fn forced(ask: Ask) -> Ask {
    Ask::Forced(Box::new(ask))
}

pub fn act() -> Act {
    Act { by: "kim".into(), reason: "looked it up".into() }
}

pub fn completed(result: &str) -> Outcome {
    Outcome::Completed { result: result.into(), undone: None }
}

pub fn refused(code: &str) -> Outcome {
    Outcome::Refused(fault(code))
}

/// A transient that the participant itself names in the body of its answer.
pub fn transient() -> Outcome {
    Outcome::Transient { fault: fault("LOCKED"), named: true, retry_after: None }
}

/// A transient that only a status tells, as a proxy may.
pub fn busy() -> Outcome {
    Outcome::Transient { fault: fault("503"), named: false, retry_after: None }
}

pub fn accepted() -> Outcome {
    Outcome::Accepted
}

pub fn unknown() -> Outcome {
    Outcome::Unknown { fault: fault("500"), contract: None }
}

pub fn off_contract() -> Outcome {
    Outcome::Unknown { fault: fault("404"), contract: Some("POST /x: 404 text/html".into()) }
}

pub fn not_sent() -> Outcome {
    Outcome::NotSent(fault("CONNECTION_REFUSED"))
}

/// The undo is done and found something to undo.
pub fn undone() -> Outcome {
    Outcome::Completed { result: "{}".into(), undone: Some(true) }
}

/// The undo is done and found nothing to undo.
pub fn nothing_undone() -> Outcome {
    Outcome::Completed { result: "{}".into(), undone: Some(false) }
}

/// The undo is done; what it found is not said.
pub fn acknowledged() -> Outcome {
    Outcome::Completed { result: "{}".into(), undone: None }
}

pub fn gone() -> Outcome {
    Outcome::Gone { proven: true }
}

pub fn gone_unproven() -> Outcome {
    Outcome::Gone { proven: false }
}

pub fn fault(code: &str) -> Fault {
    Fault::new(code, "as scripted")
}

impl World {
    /// A saga of these steps, just started.
    pub fn of<const N: usize>(specs: [Spec; N]) -> Self {
        Self::start(define(specs, None).expect("well-formed"))
    }

    /// The same with a deadline for the whole saga.
    pub fn within<const N: usize>(secs: u64, specs: [Spec; N]) -> Self {
        Self::start(define(specs, Some(secs)).expect("well-formed"))
    }

    pub fn start(def: Definition) -> Self {
        let data = Payload::from(r#"{"order_id":1}"#);
        Self { watched: Watched::start(def, START, data), unasked: 0 }
    }

    /// What the services' binding says of their fence, from here on.
    pub fn services_fence(mut self, fence: Fence) -> Self {
        self.service_fence = Some(fence);
        self
    }

    // Given and when.

    /// Time passes to `secs` after the start; every timer fires in its turn, nothing is sent.
    pub fn tick_to(&mut self, secs: u64) -> &mut Self {
        self.pass(secs, false)
    }

    /// Time passes, and the services have room all along.
    pub fn run_to(&mut self, secs: u64) -> &mut Self {
        self.pass(secs, true)
    }

    /// Time has passed while nobody ticked.
    pub fn asleep_to(&mut self, secs: u64) -> &mut Self {
        self.now = START + Millis::secs(secs);
        self
    }

    fn pass(&mut self, secs: u64, room: bool) -> &mut Self {
        self.watched.pass(START + Millis::secs(secs), room);
        self
    }

    pub fn pass_millis(&mut self, span: u64) -> &mut Self {
        self.now = self.now + Millis(span);
        self
    }

    pub fn tick(&mut self) -> &mut Self {
        self.watched.tick();
        self
    }

    /// The services have room for everything that is owed by now.
    pub fn room_for_all(&mut self) -> &mut Self {
        self.watched.room_for_all();
        self
    }

    /// The service of one command has room.
    pub fn room_for(&mut self, target: &str) -> &mut Self {
        let (run, direction) = self.target(target);
        let room = self.room(run, direction);
        self.give(room).expect("it is owed");
        self
    }

    /// The latest attempt is answered in its own exchange, as over HTTP.
    pub fn reply(&mut self, target: &str, says: Outcome) -> &mut Self {
        let (run, direction) = self.target(target);
        let sendings = self.known(run).sendings(direction);
        let sendings = sendings.unwrap_or_else(|| panic!("{target} was never sent"));
        let attempt = Some(sendings.attempts);
        let round = Some(sendings.round);
        self.answer(Answer { run, direction, round, attempt, own_exchange: true, outcome: says })
    }

    /// An earlier attempt of the current round is answered in its own exchange.
    pub fn reply_to(&mut self, target: &str, attempt: u32, says: Outcome) -> &mut Self {
        let (run, direction) = self.target(target);
        let round = self.known(run).sendings(direction).map(|sendings| sendings.round);
        let attempt = Some(attempt);
        self.answer(Answer { run, direction, round, attempt, own_exchange: true, outcome: says })
    }

    /// A reply over a broker that names neither round nor attempt.
    pub fn event(&mut self, target: &str, says: Outcome) -> &mut Self {
        let (run, direction) = self.target(target);
        let (round, attempt, own_exchange) = (None, None, false);
        self.answer(Answer { run, direction, round, attempt, own_exchange, outcome: says })
    }

    /// A reply over a broker that names the round by its idempotency key.
    pub fn event_of_round(&mut self, target: &str, round: u32, says: Outcome) -> &mut Self {
        let (run, direction) = self.target(target);
        let (round, attempt, own_exchange) = (Some(round), None, false);
        self.answer(Answer { run, direction, round, attempt, own_exchange, outcome: says })
    }

    pub fn answer(&mut self, answer: Answer) -> &mut Self {
        self.give(Input::Answer(answer)).expect("the answer is taken");
        self
    }

    pub fn signal(&mut self, name: &str, body: &str) -> &mut Self {
        self.try_signal(name, body).expect("the signal is taken");
        self
    }

    pub fn try_signal(&mut self, name: &str, body: &str) -> Result<(), Refusal> {
        self.give(Input::Signal { name: name.into(), body: body.into() })
    }

    pub fn evaluated(&mut self, step: &str, value: Evaluation) -> &mut Self {
        let step = self.def.find(step).expect("a step of the definition");
        self.give(Input::Evaluated { step, value }).expect("it is to be evaluated");
        self
    }

    pub fn outage(&mut self, secs: u64) -> &mut Self {
        self.give(Input::Outage { lasted: Millis::secs(secs) }).expect("an outage is taken");
        self
    }

    /// The process that waited for its answer is gone.
    pub fn lost(&mut self, target: &str) -> &mut Self {
        let (run, direction) = self.target(target);
        self.give(Input::Lost { run, direction }).expect("it was out");
        self
    }

    pub fn unbound(&mut self, step: &str) -> &mut Self {
        let (run, _) = self.target(step);
        self.give(Input::Unbound { run }).expect("it is owed");
        self
    }

    pub fn ask(&mut self, ask: Ask) -> &mut Self {
        let verb = self.verb(ask, false);
        self.give(Input::Verb { verb, act: act() }).expect("the verb fits");
        self
    }

    /// The verb is refused, for this reason.
    pub fn refuses(&mut self, ask: Ask, why: Refusal) -> &mut Self {
        let verb = self.verb(ask, false);
        let told = self.give(Input::Verb { verb: verb.clone(), act: act() });
        assert_eq!(told, Err(why), "{verb:?}");
        self
    }

    fn verb(&self, ask: Ask, force: bool) -> Verb {
        match ask {
            Ask::Cancel => Verb::Cancel,
            Ask::Pause => Verb::Pause,
            Ask::Resume => Verb::Resume,
            Ask::Retry(target) => {
                let (run, direction) = self.target(target);
                Verb::Retry { run, direction }
            }
            Ask::Completed(target) => {
                let (run, direction) = self.target(target);
                let resolution = Resolution::Completed("by hand".into());
                Verb::Resolve { run, direction, resolution, force }
            }
            Ask::Refused(target) => {
                let (run, direction) = self.target(target);
                Verb::Resolve { run, direction, resolution: Resolution::Refused, force }
            }
            Ask::Skip(target) => {
                let (run, direction) = self.target(target);
                Verb::Skip { run, direction, force }
            }
            Ask::Edit(target, body) => {
                let (run, direction) = self.target(target);
                Verb::Edit { run, direction, body: body.into(), force }
            }
            Ask::Extend(target, secs) => {
                let run = Some(self.target(target).0);
                Verb::Extend { run, deadline: START + Millis::secs(secs) }
            }
            Ask::ExtendSaga(secs) => {
                Verb::Extend { run: None, deadline: START + Millis::secs(secs) }
            }
            Ask::Acknowledge(target) => Verb::Acknowledge { run: self.target(target).0 },
            Ask::Forced(ask) => self.verb(*ask, true),
        }
    }

    // Then.

    /// What has been sent since this was last asked: `a`, `undo a`, with ` /2` for a later round
    /// and ` #2` for a later attempt.
    pub fn expect_sent<const N: usize>(&mut self, expected: [&str; N]) -> &mut Self {
        assert_eq!(self.sent(), expected, "sent");
        self.sent_clear()
    }

    fn sent(&self) -> Vec<String> {
        let name = |(_, fact): &(Time, Event)| {
            let Event::Sent { command, attempt, .. } = fact else { return None };
            let mut name = self.name(command.run, command.direction);
            if command.round > 1 {
                name += &format!(" /{}", command.round);
            }
            if *attempt > 1 {
                name += &format!(" #{attempt}");
            }
            Some(name)
        };
        self.history[self.unasked..].iter().filter_map(name).collect()
    }

    /// State and statuses in one line: `compensating: a completed, b failed`.
    pub fn expect(&mut self, expected: &str) -> &mut Self {
        let mut steps = Vec::new();
        for step in self.def.indices() {
            match &self.saga.steps[step.get()] {
                StepState::Waiting { .. } => {
                    steps.push(format!("{} pending", self.def.step(step).name))
                }
                StepState::Skipped { .. } => {
                    steps.push(format!("{} skipped", self.def.step(step).name))
                }
                StepState::Runs { runs, .. } => steps.extend((0u8..).zip(runs).map(|(i, run)| {
                    let name = self.name(RunRef { step, run: i }, Direction::Action);
                    format!("{name} {:?}", run.status).to_lowercase()
                })),
            }
        }
        let state = format!("{:?}", self.saga.state).to_lowercase();
        assert_eq!(format!("{state}: {}", steps.join(", ")), expected);
        self
    }

    pub fn expect_state(&mut self, state: State) -> &mut Self {
        assert_eq!(self.saga.state, state);
        self
    }

    /// `a PivotUnknown`, `undo a Poison`, `saga Overdue`, in the order they came up.
    pub fn expect_attention<const N: usize>(&mut self, expected: [&str; N]) -> &mut Self {
        let held: Vec<String> = (self.saga.attention.iter())
            .map(|a| {
                let about = a.run.map_or("saga".into(), |run| self.name(run, a.direction));
                format!("{about} {:?}", a.reason)
            })
            .collect();
        assert_eq!(held, expected, "attention");
        self
    }

    /// `a Unproven`; none of them is a clean end.
    pub fn expect_exceptions<const N: usize>(&mut self, expected: [&str; N]) -> &mut Self {
        let name = |e: &amends_core::saga::Exception| {
            format!("{} {:?}", self.name(e.run, Direction::Action), e.reason)
        };
        let held: Vec<String> = self.saga.exceptions.iter().map(name).collect();
        assert_eq!(held, expected, "exceptions");
        self
    }

    /// Whether anything is still owed or waited for.
    pub fn expect_live(&mut self, live: bool) -> &mut Self {
        assert_eq!(rules::live(&self.def, &self.saga), live, "live");
        self
    }

    /// When the next timer is due, in milliseconds from the start.
    pub fn expect_due(&mut self, millis: Option<u64>) -> &mut Self {
        let due = effects::next_due(&self.def, &self.saga, self.now);
        assert_eq!(due.map(|due| due.since(START).0), millis, "next due");
        self
    }

    /// A step's deadline, in seconds from the start.
    pub fn expect_deadline(&mut self, step: &str, secs: u64) -> &mut Self {
        let (run, _) = self.target(step);
        assert_eq!(self.known(run).deadline, START + Millis::secs(secs), "deadline of {step}");
        self
    }

    /// What the current round of the undo carries as `original_result`.
    pub fn expect_original_result(&mut self, step: &str, expected: Option<&str>) -> &mut Self {
        let (run, _) = self.target(step);
        let undo = self.known(run).undo.as_ref().expect("it has an undo");
        assert_eq!(undo.original_result, expected.map(Payload::from), "original result of {step}");
        self
    }

    pub fn expect_result(&mut self, step: &str, expected: &str) -> &mut Self {
        let (run, _) = self.target(step);
        assert_eq!(self.known(run).result, Some(expected.into()), "result of {step}");
        self
    }

    pub fn known(&self, run: RunRef) -> &Run {
        self.saga.run(run).unwrap_or_else(|| panic!("{run:?} is not ready"))
    }

    pub fn step(&self, step: &str) -> &Run {
        self.known(self.target(step).0)
    }

    pub fn seconds(&self) -> u64 {
        self.now.since(START).0 / 1_000
    }

    /// Forgets what has been sent so far.
    pub fn sent_clear(&mut self) -> &mut Self {
        self.unasked = self.history.len();
        self
    }

    /// The facts from that place on.
    pub fn history(&self, from: usize) -> Vec<Event> {
        self.history[from..].iter().map(|(_, fact)| fact.clone()).collect()
    }

    /// How many facts there are.
    pub fn facts(&self) -> usize {
        self.history.len()
    }

    /// The process is gone and another one has read the history back.
    pub fn restarted(&mut self) -> &mut Self {
        let facts = self.history.iter().map(|(at, fact)| (*at, fact));
        self.saga = Saga::replay(facts).expect("the history fits");
        self
    }

    pub fn target(&self, target: &str) -> (RunRef, Direction) {
        let (name, direction) = match target.strip_prefix("undo ") {
            Some(name) => (name, Direction::Compensation),
            None => (target, Direction::Action),
        };
        let (name, run) = match name.split_once('.') {
            Some((name, run)) => (name, run.parse().expect("the number of a run")),
            None => (name, 0),
        };
        let step = self.def.find(name).unwrap_or_else(|| panic!("no step {name}"));
        (RunRef { step, run }, direction)
    }
}
