//! The model: what may happen next, for the search to try in every order.
//!
//! The engine's part is played by as little as possible: it hands inputs to `amends_core::decide`,
//! and what the facts say leaves. Whatever is not to be had for nothing is paid for with a fault,
//! so that the states are finite, and a fault-free continuation always exists.

use amends_core::definition::Kind;
use amends_core::saga::{Fault, Run, Status};
use amends_core::{Definition, Direction, Payload, RunRef, Saga, StepIx};

use crate::cast::Part;
use crate::known::Memory;
use crate::participant::{Choice, Participant};
use crate::stage::Stage;
use crate::world::{Left, Leg, NOW, Packet, ROUNDS, World};

/// The most runs that a step of a shape has.
pub const RUNS: usize = 2;

/// How many sendings of one command are followed. Only a pivot or retriable step without a fence
/// comes that far: carried out once, its answer lost, it refuses every repeat, and is asked for
/// ever with a person told.
const ATTEMPTS_FOLLOWED_MAX: u32 = 5;

/// The same where faults alone can make an undo fail that often.
const UNDO_ATTEMPTS_FOLLOWED_MAX: u32 = 20;

/// From how many sendings on of one command a saga that is not at rest has gone astray. Whatever the
/// faults, a saga without further ones needs a few.
const ATTEMPTS_TO_REST_MAX: u32 = 40;

/// How answers travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// In the exchange of the command, as over HTTP: each names its attempt and round. The network
    /// loses and delays, and a crash of the engine cuts what is open.
    Exchange,
    /// By messages that name their attempt and round. The network loses, doubles and delays.
    Named,
    /// By messages that name nothing, except that a second round must be named to be heard.
    Plain,
}

impl Wire {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Exchange, Self::Named, Self::Plain];
}

/// Which faults there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Menu {
    /// All.
    Everything,
    /// Only undos that are answered "not now": enough of them make poison.
    UndoPostponed,
    /// Only crashes and outages of the engine.
    Crashes,
    /// All, and for a definition whose times are not those of a shape: a service that is silent
    /// until a step's time is up is one fault, and the deadlines of the saga and of signals pass
    /// at any time.
    Untimed,
}

/// A definition with those who play in it: what is explored at once.
pub struct Scene {
    /// By step, who plays it.
    pub parts: Vec<Part>,
    /// What may go wrong, how often.
    pub left: Left,
    /// What may go wrong.
    pub menu: Menu,
    pub(crate) def: Definition,
    pub(crate) fault: Fault,
    pub(crate) result: Payload,
    /// How many runs a step of this scene has at most.
    runs: usize,
    /// What is known of its sagas so far.
    pub(crate) memory: Memory,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The service has room: the fact becomes durable and the command leaves.
    Send(RunRef, Direction),
    /// The fact becomes durable, and the engine crashes before the command leaves.
    SendAndCrash(RunRef, Direction),
    /// The fact becomes durable, and the connection is refused.
    SendNowhere(RunRef, Direction),
    /// A command, or a job that was accepted, is dealt with by the participant.
    Arrive(Packet, Choice),
    /// An answer is heard.
    Hear(Packet),
    /// A message misses the timers and comes any time.
    Delay(Packet),
    /// From here on services have room only when it suits.
    Congest,
    /// A message is lost without a trace.
    Lose(Packet),
    /// A message is delivered twice, the second time whenever it likes.
    Double(Packet),
    /// The command, and each repeat, stays without an answer until the step's time is up; the
    /// commands reach the service, or not even that.
    Silence(Packet, bool),
    /// The exchange breaks, and the engine notices; the command may still arrive.
    Break(Packet),
    /// Somebody in between answers "not now"; the command may still arrive.
    Intercept(Packet),
    /// The exchange ends in an answer that breaks the protocol; the command may still arrive.
    Garble(Packet),
    /// Time passes up to the next due time.
    Advance,
    /// The deadline of the saga, or of a step that waits for a signal, passes.
    TimeUp(Option<StepIx>),
    /// The engine crashes and recovers; open exchanges are gone, and it says so of them, or waits.
    Crash {
        /// Whether it says so.
        told: bool,
    },
    /// The engine is away for a while.
    Outage,
    /// A cancel.
    Cancel,
    /// The signal of that step.
    Signal(StepIx),
    /// The expressions of that step are evaluated.
    Evaluate(StepIx, Worth),
    /// An operator's verb.
    Verb(RunRef, Act),
}

/// What an expression comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Worth {
    /// True, or a list of two.
    Yes,
    /// True, or a list of one.
    One,
    /// False, or an empty list; of a signal: refused.
    No,
    /// An error.
    Error,
}

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Take the service's binding away, up to the next sending.
    Unbind,
    /// Pause.
    Pause,
    /// Resume, after a while.
    Resume,
    /// Retry now.
    Retry(Direction),
    /// Say that it is done.
    ResolveDone(Direction),
    /// Say that the action was refused.
    ResolveRefused,
    /// Go on without it.
    Skip(Direction),
    /// Give it another body.
    Edit(Direction),
    /// Move its deadline.
    Extend,
    /// Move the saga's deadline.
    ExtendSaga,
    /// A contradiction was seen.
    Acknowledge,
}

const VERBS: [Act; 13] = [
    Act::Unbind,
    Act::Pause,
    Act::Retry(Direction::Action),
    Act::Retry(Direction::Compensation),
    Act::ResolveDone(Direction::Action),
    Act::ResolveDone(Direction::Compensation),
    Act::ResolveRefused,
    Act::Skip(Direction::Action),
    Act::Skip(Direction::Compensation),
    Act::Edit(Direction::Action),
    Act::Edit(Direction::Compensation),
    Act::Extend,
    Act::Acknowledge,
];

impl Scene {
    /// The scene of a well-formed shape; `None` for another.
    #[cfg(feature = "traps")]
    pub fn new(spec: &crate::groups::Spec) -> Option<Self> {
        let def = spec.shape.define(spec.policy).ok()?;
        let parts = crate::cast::of(&def, spec.wire);
        Some(Self::of(def, parts, spec.left, spec.menu))
    }

    /// The scene of any definition whose numbers are those of a shape, by step with its part.
    pub fn of(def: Definition, parts: Vec<Part>, left: Left, menu: Menu) -> Self {
        let list = def.steps().iter().any(|step| step.computed.for_each);
        Self {
            runs: if list { RUNS } else { 1 },
            parts,
            left,
            menu,
            def,
            fault: Fault::new("FAULT", "of the explorer"),
            result: Payload::from("{}"),
            memory: Memory::default(),
        }
    }

    /// The definition as it is explored.
    pub fn definition(&self) -> &Definition {
        &self.def
    }

    pub(crate) fn part(&self, run: RunRef) -> Part {
        self.parts[run.step.get()]
    }

    /// Do the answers of that run come in the exchange of the command?
    pub(crate) fn by_exchange(&self, run: RunRef) -> bool {
        self.part(run).wire == Wire::Exchange
    }

    pub(crate) fn participant(&self, run: RunRef) -> Participant {
        let Part { role, fence, wire, breaches } = self.part(run);
        let exchange = wire == Wire::Exchange;
        // The seed's participants acknowledge an undo whatever they found, and do not say what.
        let silent = wire == Wire::Plain;
        Participant { fence, role, exchange, silent, breaches }
    }

    pub(crate) fn ledger_index(&self, run: RunRef) -> usize {
        run.step.get() * self.runs + usize::from(run.run)
    }

    /// Every run that a step may have, in the order of their ledgers.
    pub(crate) fn runs(&self) -> impl Iterator<Item = RunRef> + '_ {
        let runs = self.runs as u8;
        self.def.indices().flat_map(move |step| (0..runs).map(move |run| RunRef { step, run }))
    }

    /// How much may still go wrong outside the engine.
    fn faults_outside(&self, world: &World) -> u8 {
        if self.menu == Menu::Crashes { 0 } else { world.left.faults }
    }

    fn packet_actions(&self, world: &World, packet: Packet, actions: &mut Vec<Action>) {
        let faults = self.faults_outside(world);
        match packet.leg {
            Leg::Command | Leg::Job => {
                let ledger = &world.ledgers[self.ledger_index(packet.run)];
                let silent = world.silent.iter().any(|silence| silence.run == packet.run);
                for (choice, cost) in self.participant(packet.run).choices(ledger, &packet) {
                    // Whoever accepts has answered.
                    if cost <= faults && !(silent && choice == Choice::Accept) {
                        actions.push(Action::Arrive(packet, choice));
                    }
                }
            }
            Leg::Answer(_) | Leg::Callback(_) => actions.push(Action::Hear(packet)),
        }
        if faults == 0 {
            return;
        }
        if !packet.late {
            actions.push(Action::Delay(packet));
            let asked = packet.may_act() && packet.leg == Leg::Command && !packet.severed;
            if self.menu == Menu::Untimed && asked {
                actions.extend([true, false].map(|reached| Action::Silence(packet, reached)));
            }
        }
        if packet.leg == Leg::Job {
            return;
        }
        if !packet.twin {
            actions.push(Action::Lose(packet));
        }
        let exchange = self.by_exchange(packet.run) && !matches!(packet.leg, Leg::Callback(_));
        if !exchange {
            actions.push(Action::Double(packet));
        } else if !packet.severed && Stage::is_open(world, &packet) {
            actions.push(Action::Break(packet));
            actions.push(Action::Intercept(packet));
            // To the machine a break with a note: its attention is looked at on small shapes.
            if self.parts.len() == 1 {
                actions.push(Action::Garble(packet));
            }
        }
    }

    /// What the engine does by itself: sendings, in the order of the steps, then evaluations.
    fn engine_actions(&self, world: &World, actions: &mut Vec<Action>) {
        let most = if world.congested { usize::MAX } else { 1 };
        for &(run, direction) in world.saga.owed.iter().take(most) {
            actions.push(Action::Send(run, direction));
            if self.faults_outside(world) > 0 {
                actions.push(Action::SendNowhere(run, direction));
            }
            if world.left.faults > 0 && world.left.crashes > 0 {
                actions.push(Action::SendAndCrash(run, direction));
            }
        }
        if !actions.is_empty() && !world.congested {
            return;
        }
        for &step in world.saga.evaluations.iter().take(most) {
            actions.push(Action::Evaluate(step, Worth::Yes));
            if self.menu == Menu::Untimed && self.def.step(step).computed.for_each {
                actions.push(Action::Evaluate(step, Worth::One));
            }
            actions.push(Action::Evaluate(step, Worth::No));
            if self.faults_outside(world) > 0 {
                actions.push(Action::Evaluate(step, Worth::Error));
            }
        }
    }

    fn crash_actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.left.crashes == 0 || world.left.faults == 0 {
            return;
        }
        let cut = |p: &Packet| {
            let there = !p.severed && matches!(p.leg, Leg::Command | Leg::Answer(_));
            there && self.by_exchange(p.run)
        };
        if world.packets.iter().any(cut) {
            actions.extend([true, false].map(|told| Action::Crash { told }));
        }
        actions.push(Action::Outage);
    }

    fn outer_actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.crash_actions(world, actions);
        if world.left.cancels > 0 {
            actions.push(Action::Cancel);
        }
        if self.menu == Menu::Untimed && world.saga.turned.is_none() {
            self.deadlines(world, actions);
        }
        for (step, part) in (0u8..).zip(&self.parts) {
            if part.role.waits() {
                actions.push(Action::Signal(StepIx(step)));
            }
            if world.left.verbs > 0 {
                for run in 0..self.runs as u8 {
                    let run = RunRef { step: StepIx(step), run };
                    actions.extend(VERBS.map(|act| Action::Verb(run, act)));
                }
            }
        }
        let first = RunRef::only(StepIx(0));
        if world.left.verbs > 0 && self.def.deadline().is_some() {
            actions.push(Action::Verb(first, Act::ExtendSaga));
        }
        if world.saga.paused.is_some() {
            actions.push(Action::Verb(first, Act::Resume));
        }
    }

    fn deadlines(&self, world: &World, actions: &mut Vec<Action>) {
        let saga = &world.saga;
        if saga.deadline.is_some_and(|deadline| deadline > NOW) && !saga.state.ended() {
            actions.push(Action::TimeUp(None));
        }
        let waits = |step: &StepIx| {
            let pending = |run: &Run| run.status == Status::Pending && run.deadline > NOW;
            self.parts[step.get()].role.waits() && saga.runs_of(*step).first().is_some_and(pending)
        };
        actions.extend(self.def.indices().filter(waits).map(|step| Action::TimeUp(Some(step))));
    }

    /// The run that holds the point of no return, by its kind alone.
    pub(crate) fn decisive(&self, run: RunRef) -> bool {
        let kind = if self.def.pivot().is_some() { Kind::Pivot } else { Kind::Retriable };
        self.def.step(run.step).kind == kind
    }
}

impl Scene {
    /// What may happen in a state.
    pub(crate) fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.possible(world, actions);
        if self.menu == Menu::UndoPostponed {
            actions.retain(|action| match action {
                Action::Arrive(packet, choice) => {
                    let undo = packet.direction == Direction::Compensation;
                    matches!(choice, Choice::Do | Choice::DoSilently | Choice::Repeat)
                        || (undo && *choice == Choice::Postpone)
                }
                Action::Send(..) | Action::Hear(_) | Action::Advance | Action::Cancel => true,
                _ => false,
            });
        }
    }

    /// Is all that may happen next looked at, and not only how the saga comes to rest?
    pub(crate) fn followed(&self, saga: &Saga) -> bool {
        within(saga, ATTEMPTS_FOLLOWED_MAX, UNDO_ATTEMPTS_FOLLOWED_MAX)
    }

    /// Has it had so many attempts that it will not come to rest any more?
    pub(crate) fn astray(&self, saga: &Saga) -> bool {
        !within(saga, ATTEMPTS_TO_REST_MAX, ATTEMPTS_TO_REST_MAX)
    }

    fn possible(&self, world: &World, actions: &mut Vec<Action>) {
        // A command that has just left is dealt with before anything else happens: what else could
        // happen first leads to the same states in the other order, or is its delay, a fault.
        let fresh = |packet: &&Packet| packet.leg == Leg::Command && !packet.late;
        if let Some(&packet) = world.packets.iter().find(fresh) {
            self.packet_actions(world, packet, actions);
            self.crash_actions(world, actions);
            return;
        }
        self.engine_actions(world, actions);
        if !actions.is_empty() && !world.congested {
            if self.faults_outside(world) > 0 {
                actions.push(Action::Congest);
            }
            self.outer_actions(world, actions);
            return;
        }
        let mut last = None;
        for &packet in &world.packets {
            // Two equal messages are one choice.
            if last.replace(packet) != Some(packet) {
                self.packet_actions(world, packet, actions);
            }
        }
        if world.punctual() && world.saga.due.is_some() {
            actions.push(Action::Advance);
        }
        self.outer_actions(world, actions);
    }
}

/// Are no more attempts and rounds behind any command?
fn within(saga: &Saga, actions_max: u32, undos_max: u32) -> bool {
    saga.runs().all(|(_, run)| {
        let within = |direction, attempts_max| {
            run.sendings(direction).is_none_or(|sendings| {
                sendings.attempts <= attempts_max && sendings.round <= ROUNDS as u32
            })
        };
        within(Direction::Action, actions_max) && within(Direction::Compensation, undos_max)
    })
}
