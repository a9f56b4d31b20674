//! One move: what an action does to the saga, the network and the participants.

use amends_core::event::{Event, Started};
use amends_core::input::{Answer, Evaluation, Input, Moment, Outcome, Resolution, Verb};
use amends_core::saga::{Pinned, Saga, Terms};
use amends_core::{Direction, Millis, RunRef, SagaId, Time, decide, effects, saga, start};

use crate::laws::{self, Law};
use crate::marks::{self, Mark};
use crate::model::{Act, Action, RUNS, Scene, Wire, Worth};
use crate::participant::Choice;
use crate::shape::ATTEMPT_TIMEOUT;
use crate::traps::{Trap, trapped};
use crate::world::{Ledger, Leg, NOW, Packet, Says, World};

const MOMENT: Moment = Moment { at: NOW, jitter: 0 };

/// A state in the middle of a move.
pub struct Stage<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) world: World,
    pub(crate) facts: Vec<Event>,
    /// Whether the laws are looked at; not when a state is only followed to its rest.
    checked: bool,
}

impl<'a> Stage<'a> {
    /// A move that begins in this state.
    pub fn new(scene: &'a Scene, world: &World, checked: bool) -> Self {
        Self { scene, world: world.clone(), facts: Vec::new(), checked }
    }

    /// The state in which a scene opens.
    pub fn opening(scene: &Scene) -> World {
        let pinned = Pinned { saga_type: "shape".into(), version: 1, hash: [0; 32] };
        let started = Started {
            saga_id: SagaId(1),
            pinned,
            steps: scene.shape.steps.len() as u8,
            data: scene.result.clone(),
            business_key: None,
            deadline: scene.def.deadline().map(|deadline| NOW + deadline),
        };
        let (saga, facts) = start(&scene.def, started, MOMENT);
        let mut world = World {
            saga,
            packets: Vec::new(),
            ledgers: vec![Ledger::default(); scene.shape.steps.len() * RUNS],
            left: scene.left,
            congested: false,
            broken: None,
        };
        let replayed = Saga::replay(facts.iter().map(|event| (NOW, event)));
        if replayed.as_ref() != Ok(&world.saga) {
            world.broken = Some(Law::S17);
        }
        world.normalise();
        world
    }

    /// The state after the action, and the facts it brought about; `None` where it cannot happen.
    pub fn play(mut self, action: Action) -> Option<(World, Vec<Event>)> {
        self.act(action)?;
        if self.checked {
            let broken = laws::broken_in(self.scene, &self.world);
            self.break_law(broken);
            marks::of_state(&self.world);
        }
        self.world.normalise();
        Some((self.world, self.facts))
    }

    fn act(&mut self, action: Action) -> Option<()> {
        match action {
            Action::Send(run, direction) => {
                let packet = self.send(run, direction)?;
                self.world.packets.push(packet);
            }
            Action::SendAndCrash(run, direction) => {
                self.pay_for_crash()?;
                self.send_and_crash(run, direction)?;
            }
            Action::SendNowhere(run, direction) => {
                self.pay(1)?;
                let packet = self.send(run, direction)?;
                self.told(packet, Outcome::NotSent(self.scene.fault.clone()));
            }
            Action::Arrive(packet, choice) => self.arrive(packet, choice)?,
            Action::Hear(packet) => {
                self.remove(packet);
                self.hear(self.answer(packet));
            }
            Action::Delay(packet) => {
                self.pay(1)?;
                self.remove(packet);
                self.world.packets.push(Packet { late: true, ..packet });
            }
            Action::Congest => {
                self.pay(1)?;
                self.world.congested = true;
            }
            Action::Lose(packet) => {
                self.pay(1)?;
                self.remove(packet);
            }
            Action::Double(packet) => self.double(packet)?,
            Action::Break(packet) => {
                let outcome = Outcome::Unknown { fault: self.scene.fault.clone(), contract: None };
                self.cut(packet, outcome)?;
            }
            Action::Garble(packet) => {
                let contract = Some("not JSON".into());
                self.cut(packet, Outcome::Unknown { fault: self.scene.fault.clone(), contract })?;
            }
            Action::Intercept(packet) => {
                let fault = self.scene.fault.clone();
                self.cut(packet, Outcome::Transient { fault, named: false, retry_after: None })?;
            }
            Action::Advance => self.advance()?,
            Action::Crash { told } => self.crash(told)?,
            Action::Outage => self.outage()?,
            Action::Cancel => {
                self.world.left.cancels -= 1;
                self.verb(Verb::Cancel)?;
            }
            Action::Signal(step) => {
                let name = format!("signal{}", step.0).into();
                self.take(Input::Signal { name, body: self.scene.result.clone() })?;
            }
            Action::Evaluate(step, worth) => {
                self.pay(u8::from(worth == Worth::Error))?;
                let value = self.worth(step, worth);
                self.take(Input::Evaluated { step, value })?;
            }
            Action::Verb(run, act) => self.operate(run, act)?,
        }
        Some(())
    }

    fn pay(&mut self, faults: u8) -> Option<()> {
        self.world.left.faults = self.world.left.faults.checked_sub(faults)?;
        Some(())
    }

    fn pay_for_crash(&mut self) -> Option<()> {
        self.world.left.crashes = self.world.left.crashes.checked_sub(1)?;
        self.pay(1)
    }

    fn break_law(&mut self, law: Option<Law>) {
        self.world.broken = self.world.broken.or(law);
    }

    /// Hands an input to the machine. `None` when it is refused.
    fn take(&mut self, input: Input) -> Option<()> {
        let mut facts = Vec::new();
        if !self.checked {
            decide(&self.scene.def, &mut self.world.saga, MOMENT, input, &mut facts).ok()?;
            return Some(());
        }
        let before = self.world.saga.clone();
        let taken = decide(&self.scene.def, &mut self.world.saga, MOMENT, input, &mut facts);
        marks::of_decision(&before, &facts, taken.err());
        let broken = laws::broken_by(&before, &facts, &self.world.saga);
        self.break_law(broken);
        self.facts.append(&mut facts);
        taken.ok()
    }

    fn verb(&mut self, verb: Verb) -> Option<()> {
        let act = saga::Act { by: "operator".into(), reason: "explored".into() };
        self.take(Input::Verb { verb, act })
    }

    /// Room for a command: what leaves then.
    fn send(&mut self, run: RunRef, direction: Direction) -> Option<Packet> {
        if self.checked && direction == Direction::Compensation {
            let broken = laws::broken_by_undo(self.scene, &self.world, run);
            self.break_law(broken);
        }
        self.take(Input::Room { run, direction, terms: Terms { fence: None, flat: true } })?;
        let sendings = self.world.saga.run(run)?.sendings(direction)?;
        let (round, attempt) = (sendings.round, sendings.attempts);
        let (late, twin, severed) = (false, false, false);
        Some(Packet { run, direction, round, attempt, leg: Leg::Command, late, twin, severed })
    }

    fn send_and_crash(&mut self, run: RunRef, direction: Direction) -> Option<()> {
        let before = self.world.saga.clone();
        let packet = self.send(run, direction)?;
        marks::seen(Mark::LostBetween);
        if trapped(Trap::SentBeforeDurable) {
            // It has left, and the fact has not survived.
            self.world.saga = before;
            self.world.packets.push(packet);
        }
        self.sever_all();
        Some(())
    }

    fn arrive(&mut self, packet: Packet, choice: Choice) -> Option<()> {
        let participant = self.scene.participant(packet.run);
        let ledger = &mut self.world.ledgers[Scene::ledger_index(packet.run)];
        let choices = participant.choices(ledger, &packet);
        let &(_, cost) = choices.iter().find(|(possible, _)| *possible == choice)?;
        let says = participant.act(ledger, &packet, choice);
        let tombstoned = ledger.tombstone && says == Says::Refused;
        marks::seen_if(tombstoned, Mark::Tombstoned);
        marks::seen_if(says == Says::NotFound, Mark::Gone);
        self.pay(cost)?;
        if self.checked {
            let broken = laws::broken_by_arrival(&self.world, &packet);
            self.break_law(broken);
        }
        self.remove(packet);
        let leg = match packet.leg {
            Leg::Job => Leg::Callback(says),
            _ => Leg::Answer(says),
        };
        if says == Says::Accepted {
            self.world.packets.push(Packet { leg: Leg::Job, ..packet });
        }
        if !packet.severed || matches!(leg, Leg::Callback(_)) {
            self.world.packets.push(Packet { leg, ..packet });
        }
        Some(())
    }

    /// What the engine makes of an answer, by what the wire lets it know.
    fn answer(&self, packet: Packet) -> Answer {
        let (says, callback) = match packet.leg {
            Leg::Callback(says) => (says, true),
            Leg::Answer(says) => (says, false),
            Leg::Command | Leg::Job => (Says::Busy, false),
        };
        let fault = self.scene.fault.clone();
        let outcome = match says {
            Says::Done => Outcome::Completed { result: self.scene.result.clone(), undone: None },
            Says::Undone(undone) => {
                Outcome::Completed { result: self.scene.result.clone(), undone }
            }
            Says::Refused => Outcome::Refused(fault),
            Says::Busy => Outcome::Transient { fault, named: true, retry_after: None },
            Says::Accepted => Outcome::Accepted,
            Says::NotFound => Outcome::Gone { proven: false },
        };
        let own_exchange = self.scene.wire == Wire::Exchange && !callback;
        let names_attempt = own_exchange || self.scene.wire == Wire::Named;
        let names_round = self.scene.wire != Wire::Plain || packet.round > 1;
        Answer {
            run: packet.run,
            direction: packet.direction,
            round: names_round.then_some(packet.round),
            attempt: names_attempt.then_some(packet.attempt),
            own_exchange,
            outcome,
        }
    }

    /// An answer is heard, and heard again (S16).
    fn hear(&mut self, answer: Answer) {
        let again = self.checked.then(|| answer.clone());
        let _ = self.take(Input::Answer(answer));
        let Some(again) = again else { return };
        let mut saga = self.world.saga.clone();
        let mut facts = Vec::new();
        let _ = decide(&self.scene.def, &mut saga, MOMENT, Input::Answer(again), &mut facts);
        if !facts.is_empty() {
            self.break_law(Some(Law::S16));
        }
    }

    /// The engine's own exchange of that attempt comes to this.
    fn told(&mut self, packet: Packet, outcome: Outcome) {
        self.hear(Answer {
            run: packet.run,
            direction: packet.direction,
            round: Some(packet.round),
            attempt: Some(packet.attempt),
            own_exchange: true,
            outcome,
        });
    }

    fn cut(&mut self, packet: Packet, outcome: Outcome) -> Option<()> {
        self.pay(1)?;
        self.remove(packet);
        if packet.leg == Leg::Command {
            self.world.packets.push(Packet { severed: true, late: true, ..packet });
        }
        self.told(packet, outcome);
        Some(())
    }

    fn double(&mut self, packet: Packet) -> Option<()> {
        self.pay(1)?;
        self.remove(packet);
        self.world.packets.push(Packet { twin: true, ..packet });
        self.world.packets.push(Packet { twin: true, late: true, ..packet });
        if packet.may_act() {
            self.world.ledgers[Scene::ledger_index(packet.run)].twin = true;
        }
        Some(())
    }

    fn advance(&mut self) -> Option<()> {
        let due = effects::next_due(&self.scene.def, &self.world.saga, NOW)?;
        let wait = due.since(NOW);
        if self.checked && wait > Millis::ZERO {
            let broken = laws::broken_by_early_timer(self.scene, &self.world, wait);
            self.break_law(broken);
        }
        self.world.pass(wait);
        self.take(Input::Tick)?;
        if self.checked {
            let broken = laws::broken_by_second_tick(self.scene, &self.world);
            self.break_law(broken);
        }
        Some(())
    }

    fn delay_all(&mut self) {
        self.world.packets.iter_mut().for_each(|packet| packet.late = true);
    }

    /// All exchanges are gone. Commands that have left may still arrive.
    fn sever_all(&mut self) {
        marks::seen_if(self.scene.left.crashes >= self.world.left.crashes + 2, Mark::CrashTwice);
        self.delay_all();
        if self.scene.wire == Wire::Exchange {
            self.world.packets.retain(|packet| !matches!(packet.leg, Leg::Answer(_)));
            self.world.packets.iter_mut().for_each(|packet| packet.severed = true);
        }
    }

    fn crash(&mut self, told: bool) -> Option<()> {
        self.pay_for_crash()?;
        let open: Vec<Packet> = self.world.packets.to_vec();
        self.sever_all();
        for packet in open.into_iter().filter(|_| told) {
            let waits = matches!(packet.leg, Leg::Command | Leg::Answer(_)) && !packet.severed;
            if waits && Self::is_open(&self.world, &packet) {
                self.take(Input::Lost { run: packet.run, direction: packet.direction })?;
            }
        }
        Some(())
    }

    fn outage(&mut self) -> Option<()> {
        self.pay_for_crash()?;
        self.sever_all();
        self.world.pass(ATTEMPT_TIMEOUT);
        self.take(Input::Outage { lasted: ATTEMPT_TIMEOUT })?;
        self.take(Input::Tick)
    }

    /// Is the attempt that the packet belongs to the one that is waited for?
    pub(crate) fn is_open(world: &World, packet: &Packet) -> bool {
        let sendings = world.saga.run(packet.run).and_then(|run| run.sendings(packet.direction));
        sendings
            .and_then(|sendings| sendings.open)
            .is_some_and(|open| open.number == packet.attempt && !open.accepted)
    }

    fn worth(&self, step: amends_core::StepIx, worth: Worth) -> Evaluation {
        let signal = self.scene.def.step(step).action().is_none();
        let list = self.scene.def.step(step).computed.for_each;
        match worth {
            Worth::Error => Evaluation::Failed(self.scene.fault.clone()),
            Worth::Yes if signal => Evaluation::Judged { refused: false },
            Worth::No if signal => Evaluation::Judged { refused: true },
            Worth::Yes if list => Evaluation::Inputs(vec![None; RUNS]),
            Worth::No if list => Evaluation::Inputs(Vec::new()),
            Worth::Yes => Evaluation::Data,
            Worth::No => Evaluation::Skip,
        }
    }

    fn operate(&mut self, run: RunRef, act: Act) -> Option<()> {
        if act != Act::Resume {
            self.world.left.verbs = self.world.left.verbs.checked_sub(1)?;
        }
        let result = self.scene.result.clone();
        let (force, body) = (true, result.clone());
        let verb = match act {
            Act::Unbind => return self.take(Input::Unbound { run }),
            Act::Pause if run.step.0 + run.run > 0 => return None,
            Act::Pause => Verb::Pause,
            Act::Resume => {
                self.world.saga.paused?;
                self.delay_all();
                self.world.pass(ATTEMPT_TIMEOUT);
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
            Act::Extend => Verb::Extend { run: Some(run), deadline: self.later(run)? },
            Act::ExtendSaga => Verb::Extend { run: None, deadline: NOW + ATTEMPT_TIMEOUT.times(3) },
            Act::Acknowledge => Verb::Acknowledge { run },
        };
        self.verb(verb)
    }

    fn later(&self, run: RunRef) -> Option<Time> {
        let deadline = self.world.saga.run(run)?.deadline;
        Some(deadline.max(NOW) + ATTEMPT_TIMEOUT)
    }

    fn remove(&mut self, packet: Packet) {
        if let Some(at) = self.world.packets.iter().position(|other| *other == packet) {
            self.world.packets.remove(at);
        }
    }
}
