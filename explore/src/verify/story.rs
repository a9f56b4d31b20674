//! The way to a state as a story: who sends what to whom, what becomes of it, and what the engine
//! makes of it; at the end what each participant really did.

use amends_core::definition::Work;
use amends_core::event::{Event, NewRound};
use amends_core::saga::{Cause, ExceptionReason, Reason, State};
use amends_core::{Definition, Direction, RunRef, StepIx};

use crate::model::{Action, Scene, Worth};
use crate::participant::Choice;
use crate::stage::Stage;
use crate::world::{Ledger, Left, Leg, Packet, Says, World};

/// What happened, in order, and what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// What happened.
    pub lines: Vec<Line>,
    /// What each participant did, of the runs that were asked at all.
    pub ledger: Vec<Entry>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A message between the engine and a service.
    Message(Message),
    /// A person is told, about a step or about the saga.
    Told(Reason, Option<String>),
    /// Something else, in words.
    Note(String),
}

/// A message between the engine and a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The service.
    pub service: String,
    /// The step, or its run.
    pub step: String,
    /// Whether it goes back to the engine.
    pub answer: bool,
    /// The command's name, or what the answer says.
    pub words: String,
    /// What becomes of it.
    pub fate: Fate,
    /// What the service does with it, in a word or two.
    pub does: Option<&'static str>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Arrives,
    /// It left before and arrives only now.
    Late,
    /// It is on its way, and arrives later or never.
    Delayed,
    /// It is lost.
    Lost,
}

/// What a participant did for one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The step, or its run.
    pub step: String,
    /// The action, `Service.Command`.
    pub action: String,
    /// How often it was carried out.
    pub done: u8,
    /// The compensation, where there is one.
    pub compensation: Option<String>,
    /// How often it was carried out.
    pub undone: u8,
}

/// Tells the way from the beginning. What never comes to rest is seen by what goes on and on: of
/// such a way, given is how many moves lead to where nothing else goes wrong.
pub fn tell(scene: &Scene, way: &[Action], calm_from: Option<usize>) -> Story {
    let mut world = Stage::opening(scene).world;
    // More may go wrong than any way takes.
    world.left = Left { faults: 100, crashes: 100, ..world.left };
    let mut teller = Teller { scene, world, lines: Vec::new() };
    for (at, &action) in way.iter().enumerate() {
        if calm_from == Some(at) {
            teller.note("from here on nothing else goes wrong");
        }
        let Some(facts) = teller.play(action) else { break };
        let dead = |fact: &Event| matches!(fact, Event::DeadLettered { .. });
        if calm_from.is_some() && facts.iter().any(dead) {
            teller.note("and so on: five more tries, then poison, and a try once an hour");
            break;
        }
    }
    teller.end()
}

struct Teller<'a> {
    scene: &'a Scene,
    world: World,
    lines: Vec<Line>,
}

impl Teller<'_> {
    fn play(&mut self, action: Action) -> Option<Vec<Event>> {
        let moved = Stage::new(self.scene, &self.world).telling().play(action)?;
        self.before(action, &moved.world);
        self.world = moved.world;
        for fact in &moved.facts {
            self.fact(fact);
        }
        Some(moved.facts)
    }

    fn end(mut self) -> Story {
        self.leave();
        let asked = |(at, run): (RunRef, &amends_core::saga::Run)| {
            let ledger = &self.world.ledgers[self.scene.ledger_index(at)];
            run.action.as_ref().map(|_| self.entry(at, ledger))
        };
        let ledger = self.world.saga.runs().filter_map(asked).collect();
        Story { lines: self.lines, ledger }
    }

    fn entry(&self, at: RunRef, ledger: &Ledger) -> Entry {
        let step = self.def().step(at.step);
        let full = |command: &amends_core::definition::Command| {
            format!("{}.{}", command.service, command.name)
        };
        Entry {
            step: self.name(at),
            action: step.action().map(full).unwrap_or_default(),
            done: ledger.done,
            compensation: step.compensation().map(full),
            undone: ledger.undone,
        }
    }

    fn def(&self) -> &Definition {
        &self.scene.def
    }

    /// `book_hotel`, or `book_hotel.1`.
    fn name(&self, at: RunRef) -> String {
        let step = self.def().step(at.step);
        match step.computed.for_each {
            true => format!("{}.{}", step.name, at.run),
            false => step.name.to_string(),
        }
    }

    fn step(&self, step: StepIx) -> &str {
        &self.def().step(step).name
    }

    fn service(&self, run: RunRef, direction: Direction) -> &str {
        self.def().step(run.step).command(direction).map_or("", |command| &command.service)
    }

    fn note(&mut self, words: impl Into<String>) {
        self.lines.push(Line::Note(words.into()));
    }

    fn command(&mut self, packet: Packet, fate: Fate, does: Option<&'static str>) {
        let step = self.def().step(packet.run.step);
        let command = step.command(packet.direction);
        let mut words = command.map_or_else(String::new, |command| command.name.to_string());
        if packet.attempt > 1 {
            words += &format!(" #{}", packet.attempt);
        }
        self.message(packet, false, words, fate, does);
    }

    fn answer(&mut self, packet: Packet, says: Says, fate: Fate) {
        self.message(packet, true, says_words(says).to_owned(), fate, None);
    }

    fn message(
        &mut self,
        packet: Packet,
        answer: bool,
        words: String,
        fate: Fate,
        does: Option<&'static str>,
    ) {
        let service = self.service(packet.run, packet.direction).to_owned();
        let step = self.name(packet.run);
        self.lines.push(Line::Message(Message { service, step, answer, words, fate, does }));
    }

    /// A message whose further way is not this move's: on its way, lost, or an answer that is.
    fn on_its_way(&mut self, packet: Packet, fate: Fate) {
        match packet.leg {
            Leg::Command => self.command(packet, fate, None),
            Leg::Answer(says) | Leg::Callback(says) => self.answer(packet, says, fate),
            Leg::Job => {}
        }
    }

    /// What the move itself is, told before what the engine makes of it.
    fn before(&mut self, action: Action, after: &World) {
        match action {
            Action::Send(run, direction) => self.sent(run, direction, after),
            Action::SendAndCrash(run, direction) => {
                let name = self.command_name(run, direction);
                self.leave();
                self.note(format!("amends records that {name} is sent, crashes before, restarts"));
            }
            Action::SendNowhere(run, direction) => {
                let name = self.command_name(run, direction);
                self.note(format!("{name} does not leave: the connection is refused"));
            }
            Action::Arrive(packet, choice) => self.arrive(packet, choice, after),
            Action::Hear(packet) => {
                let fate = if packet.late { Fate::Late } else { Fate::Arrives };
                self.on_its_way(packet, fate);
            }
            Action::Delay(packet) => self.on_its_way(packet, Fate::Delayed),
            Action::Lose(packet) => self.on_its_way(packet, Fate::Lost),
            Action::Silence(packet, reached) => {
                let service = self.service(packet.run, packet.direction).to_owned();
                let name = self.name(packet.run);
                if reached {
                    self.note(format!("no answer of {service} to {name} comes back in its time"));
                } else {
                    self.note(format!("no command of {name} reaches {service} in its time"));
                    self.command(packet, Fate::Lost, None);
                }
            }
            Action::Double(packet) => {
                self.note("the network delivers the next one twice, the second whenever it likes");
                self.on_its_way(packet, Fate::Delayed);
            }
            Action::Break(packet) => {
                self.on_its_way(packet, severed_fate(packet));
                self.note("the connection breaks: amends cannot know what became of it");
            }
            Action::Intercept(packet) => {
                self.on_its_way(packet, severed_fate(packet));
                self.note("a proxy in between answers \"not now\"");
            }
            Action::Garble(packet) => {
                self.on_its_way(packet, severed_fate(packet));
                self.note("the answer is none that the protocol knows");
            }
            Action::Congest => self.note("from here on services have room only now and then"),
            Action::Advance => {}
            Action::TimeUp(None) => self.note("the saga's deadline passes"),
            Action::TimeUp(Some(step)) => {
                let name = self.step(step).to_owned();
                self.note(format!("no signal comes: the deadline of {name} passes"));
            }
            Action::Crash { .. } => {
                self.leave();
                self.note("amends crashes and restarts: open exchanges are gone");
            }
            Action::Outage => {
                self.leave();
                self.note("amends is away for a while, then restarts");
            }
            Action::Cancel => self.note("somebody cancels the saga"),
            Action::Signal(step) => self.signal(step),
            Action::Evaluate(step, worth) => self.evaluated(step, worth),
            Action::Verb(..) => {}
        }
    }

    /// Whoever crashes leaves commands behind that are still on their way.
    fn leave(&mut self) {
        let fresh = |packet: &&Packet| packet.leg == Leg::Command && !packet.late;
        let open: Vec<Packet> = self.world.packets.iter().filter(fresh).copied().collect();
        open.into_iter().for_each(|packet| self.on_its_way(packet, Fate::Delayed));
    }

    fn sent(&mut self, run: RunRef, direction: Direction, after: &World) {
        // A command that arrives, or is lost on a move of its own, is told then.
        let gone = |packet: &Packet| packet.run == run && packet.direction == direction;
        if after.packets.iter().any(|packet| gone(packet) && packet.leg == Leg::Command) {
            return;
        }
        let sendings = after.saga.run(run).and_then(|run| run.sendings(direction));
        let (round, attempt) = sendings.map_or((1, 1), |s| (s.round, s.attempts));
        let (late, twin, severed) = (false, false, false);
        let leg = Leg::Command;
        let packet = Packet { run, direction, round, attempt, leg, late, twin, severed };
        self.command(packet, Fate::Lost, None);
    }

    fn arrive(&mut self, packet: Packet, choice: Choice, after: &World) {
        let at = self.scene.ledger_index(packet.run);
        let (was, is) = (self.world.ledgers[at], after.ledgers[at]);
        let does = match (packet.direction, choice) {
            (Direction::Action, _) if is.done > was.done && was.done > 0 => Some("does it AGAIN"),
            (Direction::Action, _) if is.done > was.done => Some("does it"),
            (Direction::Action, Choice::Refuse) if was.tombstone => Some("has a tombstone"),
            (Direction::Action, Choice::Refuse) if was.done > 0 => Some("is there already"),
            (Direction::Compensation, Choice::Do | Choice::DoSilently) => {
                Some(match (is.undone > was.undone, was.done > was.undone) {
                    (true, _) => "undoes it",
                    (false, true) => "undoes NOTHING",
                    (false, false) if is.tombstone && !was.tombstone => "nothing; tombstone",
                    (false, false) => "nothing to undo",
                })
            }
            (_, Choice::Repeat) => Some("has it stored"),
            _ => None,
        };
        let fate = if packet.late { Fate::Late } else { Fate::Arrives };
        match packet.leg {
            Leg::Job => {
                let service = self.service(packet.run, packet.direction).to_owned();
                self.note(format!("{service} has done its work on {}", self.name(packet.run)));
            }
            _ => self.command(packet, fate, does),
        }
        let answered = |other: &&Packet| {
            let same = (other.run, other.direction, other.attempt, other.round)
                == (packet.run, packet.direction, packet.attempt, packet.round);
            same && matches!(other.leg, Leg::Answer(_) | Leg::Callback(_))
        };
        if after.packets.iter().filter(answered).count() == 0 {
            let mut ledger = was;
            let says = self.scene.participant(packet.run).act(&mut ledger, &packet, choice);
            self.answer(packet, says, Fate::Lost);
        }
    }

    fn command_name(&self, run: RunRef, direction: Direction) -> String {
        let command = self.def().step(run.step).command(direction);
        command.map_or_else(String::new, |command| command.name.to_string())
    }

    fn signal(&mut self, step: StepIx) {
        let Work::Signal { signal, .. } = &self.def().step(step).work else { return };
        let words = format!("the signal {signal} comes");
        self.note(words);
    }

    fn evaluated(&mut self, step: StepIx, worth: Worth) {
        let of = self.def().step(step);
        let computed = of.computed;
        let signal = of.action().is_none();
        let expression = match () {
            () if signal => "refuse_when",
            () if computed.for_each => "for_each",
            () if computed.when => "when",
            () => "input",
        };
        let worth = match worth {
            Worth::Error => "fails",
            Worth::Yes if signal => "is false: the signal lets it go on",
            Worth::No if signal => "is true: the signal refuses",
            Worth::Yes if computed.for_each => "has two items",
            Worth::One if computed.for_each => "has one item",
            Worth::No if computed.for_each => "has no items",
            // Without a condition there is nothing to tell: it is there.
            Worth::Yes | Worth::One if !computed.when => return,
            Worth::Yes | Worth::One => "is true",
            Worth::No => "is false",
        };
        let words = format!("{expression} of {} {worth}", of.name);
        self.note(words);
    }

    /// What the engine makes of it, where that is worth a word.
    fn fact(&mut self, fact: &Event) {
        let words = match fact {
            Event::Turned { cause } => match cause {
                Cause::Step(run) => format!("{} failed the saga: it compensates", self.name(*run)),
                Cause::Cancelled(_) => "cancelled: it compensates".to_owned(),
                Cause::Deadline => "out of time: it compensates".to_owned(),
            },
            Event::AttemptEnded {
                ending: amends_core::event::Ending::TimedOut, command, ..
            } => {
                format!("{} times out", self.command_name(command.run, command.direction))
            }
            Event::GivenUp { run, unreachable: true } => {
                format!("the time of {} is up; nothing ever left", self.name(*run))
            }
            Event::GivenUp { run, .. } => {
                format!("the time of {} is up: nobody knows whether it happened", self.name(*run))
            }
            Event::Overdue { run } => format!("the time of {} is up; asked on", self.name(*run)),
            Event::Refused { run, settled: false, .. } => {
                format!("an earlier {} may still be under way: not settled", self.name(*run))
            }
            Event::RoundOpened { why: NewRound::LateSuccess, command, .. } => {
                format!("{} happened after all: its undo is due once more", self.name(command.run))
            }
            Event::RoundOpened { why: NewRound::Refused, command, .. } => {
                format!("{} is asked anew, under a new key", self.name(command.run))
            }
            Event::DeadLettered { run, redrives: 0, .. } => {
                format!("the undo of {} is a dead letter", self.name(*run))
            }
            Event::Poisoned { run, .. } => format!("the undo of {} is poison", self.name(*run)),
            Event::AttentionRaised { run, reason, .. } => {
                let whose = run.map(|run| self.name(run));
                return self.lines.push(Line::Told(*reason, whose));
            }
            Event::Excepted(exception) if exception.reason == ExceptionReason::Unproven => {
                format!("{} is unproven", self.name(exception.run))
            }
            Event::Ended { state: State::Completed } => "the saga is completed".to_owned(),
            Event::Ended { .. } if self.world.saga.clean() => {
                "the saga has failed, rolled back".to_owned()
            }
            Event::Ended { .. } => "the saga has failed, not clean".to_owned(),
            _ => return,
        };
        self.note(words);
    }
}

/// A broken exchange: the command may still arrive, its answer is never heard.
fn severed_fate(packet: Packet) -> Fate {
    if packet.leg == Leg::Command { Fate::Delayed } else { Fate::Lost }
}

fn says_words(says: Says) -> &'static str {
    match says {
        Says::Done => "completed",
        Says::Refused => "refused",
        Says::Busy => "not now",
        Says::Accepted => "accepted",
        Says::Undone(Some(true)) => "undone",
        Says::Undone(Some(false)) => "nothing to undo",
        Says::Undone(None) => "acknowledged",
        Says::NotFound => "404",
    }
}
