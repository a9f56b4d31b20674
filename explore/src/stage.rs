//! One move: what an action does to the saga, the network and the participants.

use amends_core::event::{Event, Started};
use amends_core::input::Moment;
use amends_core::saga::{Pinned, Saga};
use amends_core::{Direction, RunRef, SagaId, start};

use crate::laws::{self, Law};
use crate::machine::{Heard, Said, Touch};
use crate::marks::{self, Mark};
use crate::model::{Act, Action, Scene, Wire, Worth};
use crate::participant::Choice;
use crate::traps::{Trap, trapped};
use crate::world::{Ledger, Leg, NOW, Packet, Says, Silence, World};

/// A state in the middle of a move.
pub struct Stage<'a> {
    scene: &'a Scene,
    world: World,
    broken: Option<Law>,
    /// The facts so far, where somebody wants to read them.
    facts: Option<Vec<Event>>,
}

/// What a move led to.
pub struct Moved {
    /// The state after it.
    pub world: World,
    /// The law that the move broke, or that is broken in the state.
    pub broken: Option<Law>,
    /// The facts that it brought about, where they were asked for.
    pub facts: Vec<Event>,
}

impl<'a> Stage<'a> {
    /// A move that begins in this state.
    pub fn new(scene: &'a Scene, world: &World) -> Self {
        Self { scene, world: world.clone(), broken: None, facts: None }
    }

    /// The same, keeping the facts.
    pub fn telling(self) -> Self {
        Self { facts: Some(Vec::new()), ..self }
    }

    /// The state in which a scene opens.
    pub fn opening(scene: &Scene) -> Moved {
        let pinned = Pinned { saga_type: "shape".into(), version: 1, hash: [0; 32] };
        let started = Started {
            saga_id: SagaId(1),
            pinned,
            steps: scene.parts.len() as u8,
            data: scene.result.clone(),
            business_key: None,
            deadline: scene.def.deadline().map(|deadline| NOW + deadline),
            choreographed: false,
        };
        let (saga, facts) = start(&scene.def, started, Moment { at: NOW, jitter: 0 });
        let replayed = Saga::replay(facts.iter().map(|event| (NOW, event)));
        let differs = (replayed.as_ref() != Ok(&saga)).then_some(Law::S17);
        let (saga, broken) = scene.know(saga);
        let world = World {
            saga,
            packets: Vec::new(),
            ledgers: vec![Ledger::default(); scene.runs().count()],
            left: scene.left,
            congested: false,
            silent: Vec::new(),
        };
        Moved { world, broken: differs.or(broken), facts }
    }

    /// What the action leads to; `None` where it cannot happen.
    pub fn play(mut self, action: Action) -> Option<Moved> {
        self.act(action)?;
        self.world.normalise();
        let broken = self.broken.or_else(|| laws::broken_in(self.scene, &self.world));
        Some(Moved { world: self.world, broken, facts: self.facts.unwrap_or_default() })
    }

    fn act(&mut self, action: Action) -> Option<()> {
        match action {
            Action::Send(run, direction) => {
                let packet = self.send(run, direction)?;
                let silence = self.world.silent.iter().find(|silence| silence.run == run);
                match silence.filter(|_| direction == Direction::Action) {
                    None => self.world.packets.push(packet),
                    Some(Silence { reached: false, .. }) => {}
                    Some(Silence { reached: true, .. }) => {
                        self.world.packets.push(Packet { severed: true, ..packet });
                    }
                }
            }
            Action::SendAndCrash(run, direction) => {
                self.pay_for_crash()?;
                self.send_and_crash(run, direction)?;
            }
            Action::SendNowhere(run, direction) => {
                self.pay(1)?;
                let packet = self.send(run, direction)?;
                self.told(packet, Said::NotSent);
            }
            Action::Arrive(packet, choice) => self.arrive(packet, choice)?,
            Action::Hear(packet) => {
                self.remove(packet);
                self.hear(packet);
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
            Action::Silence(packet, reached) => {
                self.pay(1)?;
                self.remove(packet);
                self.world.silent.push(Silence { run: packet.run, reached });
                if reached {
                    self.world.packets.push(Packet { severed: true, ..packet });
                }
            }
            Action::Double(packet) => self.double(packet)?,
            Action::Break(packet) => self.cut(packet, Said::Broken)?,
            Action::Garble(packet) => self.cut(packet, Said::Garbled)?,
            Action::Intercept(packet) => self.cut(packet, Said::Intercepted)?,
            Action::Advance => self.take(Touch::Advance)?,
            Action::TimeUp(of) => self.take(Touch::TimeUp(of))?,
            Action::Crash { told } => self.crash(told)?,
            Action::Outage => self.outage()?,
            Action::Cancel => {
                self.world.left.cancels -= 1;
                self.take(Touch::Cancel)?;
            }
            Action::Signal(step) => self.take(Touch::Signal(step))?,
            Action::Evaluate(step, worth) => {
                self.pay(u8::from(worth == Worth::Error))?;
                self.take(Touch::Evaluated(step, worth))?;
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
        self.broken = self.broken.or(law);
    }

    /// Hands this to the machine. `None` when it is refused.
    fn take(&mut self, touch: Touch) -> Option<()> {
        if let Some(facts) = &mut self.facts {
            facts.extend(self.scene.facts(&self.world.saga, touch));
        }
        let taken = self.scene.take(&self.world.saga, touch);
        self.world.saga = taken.after;
        self.break_law(taken.broken);
        taken.accepted.then_some(())
    }

    /// Room for a command: what leaves then.
    fn send(&mut self, run: RunRef, direction: Direction) -> Option<Packet> {
        if direction == Direction::Compensation {
            let broken = laws::broken_by_undo(self.scene, &self.world, run);
            self.break_law(broken);
        }
        self.take(Touch::Room(run, direction))?;
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
        let ledger = &mut self.world.ledgers[self.scene.ledger_index(packet.run)];
        let choices = participant.choices(ledger, &packet);
        let &(_, cost) = choices.iter().find(|(possible, _)| *possible == choice)?;
        let says = participant.act(ledger, &packet, choice);
        let tombstoned = ledger.tombstone && says == Says::Refused;
        marks::seen_if(tombstoned, Mark::Tombstoned);
        marks::seen_if(says == Says::NotFound, Mark::Gone);
        self.pay(cost)?;
        let broken = laws::broken_by_arrival(&self.world, &packet);
        self.break_law(broken);
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

    /// An answer is heard: what the engine knows of it is what the wire tells.
    fn hear(&mut self, packet: Packet) {
        let (says, callback) = match packet.leg {
            Leg::Callback(says) => (says, true),
            Leg::Answer(says) => (says, false),
            Leg::Command | Leg::Job => (Says::Busy, false),
        };
        let wire = self.scene.part(packet.run).wire;
        let own_exchange = wire == Wire::Exchange && !callback;
        let names_attempt = own_exchange || wire == Wire::Named;
        let names_round = wire != Wire::Plain || packet.round > 1;
        let _ = self.take(Touch::Answer(Heard {
            run: packet.run,
            direction: packet.direction,
            round: names_round.then_some(packet.round),
            attempt: names_attempt.then_some(packet.attempt),
            own_exchange,
            said: Said::Says(says),
        }));
    }

    /// The engine's own exchange of that attempt comes to this.
    fn told(&mut self, packet: Packet, said: Said) {
        let _ = self.take(Touch::Answer(Heard {
            run: packet.run,
            direction: packet.direction,
            round: Some(packet.round),
            attempt: Some(packet.attempt),
            own_exchange: true,
            said,
        }));
    }

    fn cut(&mut self, packet: Packet, said: Said) -> Option<()> {
        self.pay(1)?;
        self.remove(packet);
        if packet.leg == Leg::Command {
            self.world.packets.push(Packet { severed: true, late: true, ..packet });
        }
        self.told(packet, said);
        Some(())
    }

    fn double(&mut self, packet: Packet) -> Option<()> {
        self.pay(1)?;
        self.remove(packet);
        self.world.packets.push(Packet { twin: true, ..packet });
        self.world.packets.push(Packet { twin: true, late: true, ..packet });
        if packet.may_act() {
            self.world.ledgers[self.scene.ledger_index(packet.run)].twin = true;
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
        let cut = |packet: &Packet| self.scene.by_exchange(packet.run);
        self.world.packets.retain(|p| !cut(p) || !matches!(p.leg, Leg::Answer(_)));
        for packet in self.world.packets.iter_mut().filter(|packet| cut(packet)) {
            packet.severed = true;
        }
    }

    fn crash(&mut self, told: bool) -> Option<()> {
        self.pay_for_crash()?;
        let open: Vec<Packet> = self.world.packets.to_vec();
        self.sever_all();
        for packet in open.into_iter().filter(|_| told) {
            let waits = matches!(packet.leg, Leg::Command | Leg::Answer(_)) && !packet.severed;
            if waits && Self::is_open(&self.world, &packet) {
                self.take(Touch::Lost(packet.run, packet.direction))?;
            }
        }
        Some(())
    }

    fn outage(&mut self) -> Option<()> {
        self.pay_for_crash()?;
        self.sever_all();
        self.take(Touch::Outage)
    }

    /// Is the attempt that the packet belongs to the one that is waited for?
    pub(crate) fn is_open(world: &World, packet: &Packet) -> bool {
        let sendings = world.saga.run(packet.run).and_then(|run| run.sendings(packet.direction));
        sendings
            .and_then(|sendings| sendings.open)
            .is_some_and(|open| open.number == packet.attempt && !open.accepted)
    }

    fn operate(&mut self, run: RunRef, act: Act) -> Option<()> {
        if act == Act::Resume {
            self.delay_all();
        } else {
            self.world.left.verbs = self.world.left.verbs.checked_sub(1)?;
        }
        self.take(Touch::Verb(run, act))
    }

    fn remove(&mut self, packet: Packet) {
        if let Some(at) = self.world.packets.iter().position(|other| *other == packet) {
            self.world.packets.remove(at);
        }
    }
}
