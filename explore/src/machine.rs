//! One input to the machine, and the laws that speak about what it decides.

use std::sync::Arc;

use amends_core::definition::Work;
use amends_core::event::Event;
use amends_core::input::{Answer, Evaluation, Input, Moment, Outcome, Resolution, Verb};
use amends_core::saga::{self, StepState, Terms};
use amends_core::{Direction, RunRef, Saga, StepIx, decide, effects};

use crate::laws::{self, Law};
use crate::marks;
use crate::model::{Act, RUNS, Scene, Worth};
use crate::shape::ATTEMPT_TIMEOUT;
use crate::world::{NOW, Says, pass};

const MOMENT: Moment = Moment { at: NOW, jitter: 0 };

/// Something that is handed to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Touch {
    /// A service has room for a command.
    Room(RunRef, Direction),
    /// An answer is heard.
    Answer(Heard),
    /// Time passes up to the next due time.
    Advance,
    /// The deadline of the saga, or of a step that waits for a signal, passes.
    TimeUp(Option<StepIx>),
    /// The engine was away for a while.
    Outage,
    /// The engine came back without the exchange of that command.
    Lost(RunRef, Direction),
    /// A cancel.
    Cancel,
    /// The signal of that step.
    Signal(StepIx),
    /// The expressions of that step were evaluated.
    Evaluated(StepIx, Worth),
    /// An operator's verb.
    Verb(RunRef, Act),
}

/// An answer, as far as the wire tells what it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Heard {
    /// Which run.
    pub run: RunRef,
    /// Which of its commands.
    pub direction: Direction,
    /// Which round, where it names one.
    pub round: Option<u32>,
    /// Which attempt, where it names one.
    pub attempt: Option<u32>,
    /// Whether it came in the attempt's own exchange.
    pub own_exchange: bool,
    /// What it says.
    pub said: Said,
}

/// What is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    /// The participant's own words.
    Says(Says),
    /// Nothing: the exchange broke.
    Broken,
    /// What is no answer.
    Garbled,
    /// "Not now", by somebody in between.
    Intercepted,
    /// That nothing left.
    NotSent,
}

/// What came of it.
#[derive(Debug)]
pub struct Played {
    /// The saga after it.
    pub saga: Saga,
    /// The facts.
    pub facts: Vec<Event>,
    /// Whether the machine took it.
    pub accepted: bool,
    /// The law that is broken.
    pub broken: Option<Law>,
}

/// Hands it to the machine.
pub fn play(scene: &Scene, saga: &Saga, touch: Touch) -> Played {
    let mut play = Play { scene, saga: saga.clone(), facts: Vec::new(), broken: None };
    let accepted = play.touch(touch).is_some();
    Played { saga: play.saga, facts: play.facts, accepted, broken: play.broken }
}

struct Play<'a> {
    scene: &'a Scene,
    saga: Saga,
    facts: Vec<Event>,
    broken: Option<Law>,
}

impl Play<'_> {
    fn touch(&mut self, touch: Touch) -> Option<()> {
        let scene = self.scene;
        match touch {
            Touch::Room(run, direction) => {
                let terms = Terms { fence: None, flat: true };
                self.take(Input::Room { run, direction, terms })
            }
            Touch::Answer(heard) => self.hear(&answer(scene, heard)),
            Touch::Advance => self.advance(),
            Touch::TimeUp(of) => self.time_up(of),
            Touch::Outage => {
                pass(&mut self.saga, ATTEMPT_TIMEOUT);
                self.take(Input::Outage { lasted: ATTEMPT_TIMEOUT })?;
                self.take(Input::Tick)
            }
            Touch::Lost(run, direction) => self.take(Input::Lost { run, direction }),
            Touch::Cancel => self.verb(Verb::Cancel),
            Touch::Signal(step) => {
                let Work::Signal { signal, .. } = &scene.def.step(step).work else { return None };
                let name = Arc::clone(signal);
                self.take(Input::Signal { name, body: scene.result.clone() })
            }
            Touch::Evaluated(step, worth) => {
                let value = evaluation(scene, step, worth);
                self.take(Input::Evaluated { step, value })
            }
            Touch::Verb(run, act) => self.operate(run, act),
        }
    }

    /// Hands an input to the machine. `None` when it is refused.
    fn take(&mut self, input: Input) -> Option<()> {
        let before = self.saga.clone();
        let mut facts = Vec::new();
        let taken = decide(&self.scene.def, &mut self.saga, MOMENT, input, &mut facts);
        marks::of_decision(&before, &facts, taken.err());
        let broken = laws::broken_by(&before, &facts, &self.saga, taken.is_ok());
        self.broken = self.broken.or(broken);
        self.facts.append(&mut facts);
        taken.ok()
    }

    /// An answer is heard, and heard again (S16).
    fn hear(&mut self, answer: &Answer) -> Option<()> {
        let taken = self.take(Input::Answer(answer.clone()));
        let (mut again, mut facts) = (self.saga.clone(), Vec::new());
        let input = Input::Answer(answer.clone());
        let _ = decide(&self.scene.def, &mut again, MOMENT, input, &mut facts);
        if !facts.is_empty() || again != self.saga {
            let first = laws::broken_by(&self.saga, &facts, &again, true);
            self.broken = self.broken.or(first).or(Some(Law::S16));
        }
        taken
    }

    fn advance(&mut self) -> Option<()> {
        let wait = effects::next_due(&self.scene.def, &self.saga, NOW)?.since(NOW);
        pass(&mut self.saga, wait);
        self.take(Input::Tick)?;
        self.broken = self.broken.or(laws::broken_by_second_tick(self.scene, &self.saga));
        Some(())
    }

    /// A deadline that is no timer of a command passes, whatever else is under way.
    fn time_up(&mut self, of: Option<StepIx>) -> Option<()> {
        let deadline = match of {
            None => self.saga.deadline.as_mut(),
            Some(step) => match &mut self.saga.steps[step.get()] {
                StepState::Runs { runs, .. } => runs.first_mut().map(|run| &mut run.deadline),
                _ => None,
            },
        };
        *deadline.filter(|deadline| **deadline > NOW)? = NOW;
        self.take(Input::Tick)
    }

    fn verb(&mut self, verb: Verb) -> Option<()> {
        let act = saga::Act { by: "operator".into(), reason: "explored".into() };
        self.take(Input::Verb { verb, act })
    }

    fn operate(&mut self, run: RunRef, act: Act) -> Option<()> {
        let result = self.scene.result.clone();
        let (force, body) = (true, result.clone());
        let verb = match act {
            Act::Unbind => return self.take(Input::Unbound { run }),
            Act::Pause if run.step.0 + run.run > 0 => return None,
            Act::Pause => Verb::Pause,
            Act::Resume => {
                self.saga.paused?;
                pass(&mut self.saga, ATTEMPT_TIMEOUT);
                Verb::Resume
            }
            Act::Retry(direction) => Verb::Retry { run, direction },
            Act::ResolveDone(direction) => {
                let resolution = Resolution::Completed(result);
                Verb::Resolve { run, direction, resolution, force }
            }
            Act::ResolveRefused => {
                let (direction, resolution) = (Direction::Action, Resolution::Refused);
                Verb::Resolve { run, direction, resolution, force }
            }
            Act::Skip(direction) => Verb::Skip { run, direction, force },
            Act::Edit(direction) => Verb::Edit { run, direction, body, force },
            Act::Extend => {
                let later = self.saga.run(run)?.deadline.max(NOW) + ATTEMPT_TIMEOUT;
                Verb::Extend { run: Some(run), deadline: later }
            }
            Act::ExtendSaga => Verb::Extend { run: None, deadline: NOW + ATTEMPT_TIMEOUT.times(3) },
            Act::Acknowledge => Verb::Acknowledge { run },
        };
        self.verb(verb)
    }
}

fn answer(scene: &Scene, heard: Heard) -> Answer {
    let Heard { run, direction, round, attempt, own_exchange, said } = heard;
    Answer { run, direction, round, attempt, own_exchange, outcome: outcome(scene, said) }
}

fn outcome(scene: &Scene, said: Said) -> Outcome {
    let fault = scene.fault.clone();
    let result = scene.result.clone();
    match said {
        Said::Says(Says::Done) => Outcome::Completed { result, undone: None },
        Said::Says(Says::Undone(undone)) => Outcome::Completed { result, undone },
        Said::Says(Says::Refused) => Outcome::Refused(fault),
        Said::Says(Says::Busy) => Outcome::Transient { fault, named: true, retry_after: None },
        Said::Says(Says::Accepted) => Outcome::Accepted,
        Said::Says(Says::NotFound) => Outcome::Gone { proven: false },
        Said::Broken => Outcome::Unknown { fault, contract: None },
        Said::Garbled => Outcome::Unknown { fault, contract: Some("not JSON".into()) },
        Said::Intercepted => Outcome::Transient { fault, named: false, retry_after: None },
        Said::NotSent => Outcome::NotSent(fault),
    }
}

fn evaluation(scene: &Scene, step: StepIx, worth: Worth) -> Evaluation {
    let signal = scene.def.step(step).action().is_none();
    let list = scene.def.step(step).computed.for_each;
    match worth {
        Worth::Error => Evaluation::Failed(scene.fault.clone()),
        Worth::Yes if signal => Evaluation::Judged { refused: false },
        Worth::No if signal => Evaluation::Judged { refused: true },
        Worth::Yes if list => Evaluation::Inputs(vec![None; RUNS]),
        Worth::One if list => Evaluation::Inputs(vec![None]),
        Worth::No if list => Evaluation::Inputs(Vec::new()),
        Worth::Yes | Worth::One => Evaluation::Data,
        Worth::No => Evaluation::Skip,
    }
}
