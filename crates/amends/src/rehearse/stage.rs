//! Between the engine and the participants: every command goes through here, and the drill's fault is
//! made here. To the engine it is a transport like any other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use amends_core::{RunRef, SagaId};
use amends_engine::{Ask, Handle, SagaVerb};
use amends_transport::{Closing, Outgoing, Replies, Ticket, Transport};
use amends_wire::{Direction, Fault as Said, Outcome};
use tokio::sync::watch;

use super::drill::{Drill, Fault};
use super::exchange::{Circumstance, Exchange, circumstance};
use super::participants::Participants;

/// How often a participant is asked again that says "not now" to a copy of ours.
const COPY_TRIES_MAX: u32 = 4;

/// The pause before that.
const COPY_PAUSE: Duration = Duration::from_millis(100);

/// How often it is looked whether the engine has taken an answer in.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The transport of one drill. Cheap to clone.
#[derive(Clone)]
pub struct Stage(Arc<Inner>);

struct Inner {
    drill: Drill,
    /// Until when a command that is waited for in vain is held.
    hold: Duration,
    /// The faulty step has an undo.
    undone: bool,
    participants: Participants,
    log: Mutex<Vec<Exchange>>,
    /// The steps whose actions are on their way.
    on_their_way: Mutex<Vec<String>>,
    engine: OnceLock<Handle>,
    /// The fault was made.
    made: AtomicBool,
    /// The participant is at an undo that the engine does not wait for.
    at_undo: AtomicBool,
    held: watch::Sender<Option<Held>>,
    /// Sendings that are never answered, until the drill is over.
    unanswered: Mutex<Vec<Replies>>,
}

/// A command that the engine waits for in vain.
#[derive(Clone)]
struct Held {
    outgoing: Outgoing,
    replies: Replies,
    /// What the participant said; none where it was not asked yet.
    outcome: Option<Outcome>,
}

impl Stage {
    /// The stage of a drill.
    pub fn new(drill: Drill, participants: Participants, hold: Duration, undone: bool) -> Self {
        Self(Arc::new(Inner {
            drill,
            hold,
            undone,
            participants,
            log: Mutex::default(),
            on_their_way: Mutex::default(),
            engine: OnceLock::new(),
            made: AtomicBool::new(false),
            at_undo: AtomicBool::new(false),
            held: watch::Sender::new(None),
            unanswered: Mutex::default(),
        }))
    }

    /// Makes the engine known, which the drill may have to turn a saga of.
    pub fn engine(&self, handle: Handle) {
        let _ = self.0.engine.set(handle); // it is set once, before the saga starts
    }

    /// All that was asked and said.
    pub fn log(&self) -> Vec<Exchange> {
        self.0.log().clone()
    }

    /// The same with every callback that came, once the drill is over.
    pub fn settled(&self) -> Vec<Exchange> {
        let mut log = self.log();
        self.0.participants.settle(&mut log);
        log
    }

    /// Was the fault made at all?
    pub fn made(&self) -> bool {
        self.0.made.load(Ordering::Acquire)
    }
}

impl Transport for Stage {
    fn send(&self, outgoing: Outgoing, replies: Replies) {
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move { inner.play(outgoing, replies).await });
    }

    fn close(&self, _: Duration) -> Closing {
        self.0.unanswered().clear();
        Box::pin(std::future::ready(()))
    }
}

impl Inner {
    async fn play(&self, outgoing: Outgoing, replies: Replies) {
        let ticket = outgoing.ticket;
        let here = ticket.step == self.drill.step.0 && ticket.run == 0;
        match (here, ticket.direction) {
            (true, Direction::Action) if !self.drill.undo => self.action(outgoing, replies).await,
            (true, Direction::Action) => self.turned_action(outgoing, replies).await,
            (true, Direction::Compensation) if self.drill.undo => {
                self.undo(outgoing, replies).await;
            }
            (true, Direction::Compensation) => self.undo_of_faulty(outgoing, replies).await,
            (false, _) => self.pass(outgoing, replies).await,
        }
    }

    /// No fault: asked, and what is said is handed on.
    async fn pass(&self, outgoing: Outgoing, replies: Replies) {
        let ticket = outgoing.ticket;
        let said = self.ask(outgoing, None).await;
        replies.end(ticket, said.outcome);
    }

    /// The action that the fault meets.
    async fn action(&self, outgoing: Outgoing, replies: Replies) {
        let ticket = outgoing.ticket;
        if self.made() {
            return match self.drill.fault {
                Fault::TimeOut | Fault::Late if self.held.borrow().is_some() => {
                    self.unanswered().push(replies);
                }
                _ => self.pass(outgoing, replies).await,
            };
        }
        match self.drill.fault {
            Fault::None => self.pass(outgoing, replies).await,
            Fault::RefuseBefore => {
                self.make();
                replies.end(ticket, refusal());
            }
            Fault::CrashAfter => {
                let said = self.ask(outgoing, None).await;
                let lost = said.completed().then(|| self.make());
                replies.end(ticket, lost.map_or(said.outcome, |()| broken_off()));
            }
            Fault::TimeOut => {
                self.make();
                let held = Held { outgoing: outgoing.clone(), replies, outcome: None };
                self.held.send_replace(Some(held.clone()));
                let said = self.ask(outgoing, None).await;
                self.held.send_replace(Some(Held { outcome: Some(said.outcome), ..held }));
                if !self.undone {
                    tokio::time::sleep(self.hold).await;
                    self.release();
                }
            }
            Fault::Duplicate | Fault::Refused => {
                let said = self.ask(outgoing.clone(), None).await;
                if said.ends() {
                    self.make();
                    self.ask_patiently(outgoing, None).await;
                }
                replies.end(ticket, said.outcome);
            }
            Fault::AtOnce => self.at_once(outgoing, replies, Circumstance::AtOnce).await,
            Fault::Late => {
                self.make();
                self.held.send_replace(Some(Held { outgoing, replies, outcome: None }));
            }
            Fault::Again => self.turned_action(outgoing, replies).await,
        }
    }

    /// The action of a step at which the saga is turned as soon as it is done.
    async fn turned_action(&self, outgoing: Outgoing, replies: Replies) {
        let ticket = outgoing.ticket;
        let said = self.ask(outgoing.clone(), None).await;
        if !said.completed() {
            return replies.end(ticket, said.outcome);
        }
        let outcome = Some(said.outcome.clone());
        self.held.send_replace(Some(Held { outgoing, replies: replies.clone(), outcome }));
        self.turn(ticket, replies, said.outcome).await;
    }

    /// The undo that the fault meets.
    async fn undo(&self, outgoing: Outgoing, replies: Replies) {
        if self.drill.fault == Fault::TimeOut {
            return self.timed_undo(outgoing, replies).await;
        }
        let ticket = outgoing.ticket;
        if self.made() {
            return self.pass(outgoing, replies).await;
        }
        match self.drill.fault {
            Fault::RefuseBefore => {
                self.make();
                let error = Said::coded(REHEARSED, "it was kept from the participant");
                replies.end(ticket, Outcome::transient(error));
            }
            Fault::CrashAfter => {
                let said = self.ask(outgoing, None).await;
                let lost = said.acknowledged().then(|| self.make());
                replies.end(ticket, lost.map_or(said.outcome, |()| broken_off()));
            }
            Fault::Duplicate => {
                let said = self.ask(outgoing.clone(), None).await;
                if said.acknowledged() {
                    self.make();
                    self.ask_patiently(outgoing, None).await;
                }
                replies.end(ticket, said.outcome);
            }
            Fault::AtOnce => self.at_once(outgoing, replies, Circumstance::UndoAtOnce).await,
            Fault::None | Fault::TimeOut | Fault::Late | Fault::Again | Fault::Refused => {
                self.pass(outgoing, replies).await;
            }
        }
    }

    /// An undo whose acknowledgement comes after the next sending. The engine sends on while the
    /// participant is at it, and a slow one gets no more than the one copy.
    async fn timed_undo(&self, outgoing: Outgoing, replies: Replies) {
        if self.at_undo.swap(true, Ordering::AcqRel) {
            return self.unanswered().push(replies);
        }
        if self.made() {
            self.pass(outgoing, replies).await;
            self.release();
        } else {
            let said = self.ask(outgoing.clone(), None).await;
            if said.acknowledged() {
                self.make();
                let outcome = Some(said.outcome);
                self.held.send_replace(Some(Held { outgoing, replies, outcome }));
            } else {
                replies.end(outgoing.ticket, said.outcome);
            }
        }
        self.at_undo.store(false, Ordering::Release);
    }

    /// The undo of an action that the fault has met.
    async fn undo_of_faulty(&self, outgoing: Outgoing, replies: Replies) {
        let ticket = outgoing.ticket;
        if self.drill.fault == Fault::TimeOut {
            // The participant may still be at it: that would be another fault.
            let mut held = self.held.subscribe();
            let answered = held.wait_for(|held| held.as_ref().is_none_or(|h| h.outcome.is_some()));
            let _ = tokio::time::timeout(self.participants.patience().whole(), answered).await;
        }
        let said = self.ask(outgoing, None).await;
        if said.acknowledged() {
            match self.drill.fault {
                Fault::TimeOut => self.release(),
                Fault::Late => self.release_late().await,
                Fault::Again => self.ask_again().await,
                _ => {}
            }
        }
        replies.end(ticket, said.outcome);
    }

    /// The action arrives only now, twice.
    async fn release_late(&self) {
        let Some(held) = self.held.send_replace(None) else { return };
        let said = self.ask_patiently(held.outgoing.clone(), None).await;
        self.ask_patiently(held.outgoing.clone(), None).await;
        held.replies.end(held.outgoing.ticket, said.outcome);
    }

    /// The action arrives again after its undo; the engine has its answer already.
    async fn ask_again(&self) {
        let Some(held) = self.held.send_replace(None) else { return };
        self.make();
        self.ask_patiently(held.outgoing, None).await;
    }

    /// What the engine waited for in vain comes now.
    fn release(&self) {
        let Some(held) = self.held.send_replace(None) else { return };
        if let Some(outcome) = held.outcome {
            held.replies.end(held.outgoing.ticket, outcome);
        }
    }

    /// Two copies at the same time. The engine hears the better answer, as it would of a broker.
    async fn at_once(&self, outgoing: Outgoing, replies: Replies, copy: Circumstance) {
        let ticket = outgoing.ticket;
        let first = Outgoing { another_sending_open: true, ..outgoing.clone() };
        let (said, copied) = tokio::join!(
            self.ask_patiently(first, Some(copy)),
            self.ask_patiently(outgoing, Some(copy))
        );
        if said.ends() || copied.ends() {
            self.make();
        }
        let better = if said.ends() { said } else { copied };
        replies.end(ticket, better.outcome);
    }

    /// Turns the saga, and then tells it that the step is done: it is paused in between, so that it
    /// neither ends nor goes on, and the undo knows the result.
    async fn turn(&self, ticket: Ticket, replies: Replies, outcome: Outcome) {
        let (Some(engine), saga) = (self.engine.get(), SagaId(ticket.saga_id)) else { return };
        let ask = async |verb| {
            let reason = "the rehearsal turns the saga here".into();
            let _ = engine.ask(saga, Ask::Verb { verb, by: "rehearse".into(), reason }, None).await;
        };
        ask(SagaVerb::Pause).await;
        ask(SagaVerb::Cancel).await;
        replies.end(ticket, outcome);
        let run = RunRef { step: self.drill.step, run: ticket.run };
        let heard = async {
            loop {
                let snapshot = engine.get(saga).await.ok().flatten();
                match snapshot.and_then(|s| s.saga.run(run).map(|run| run.result.is_some())) {
                    Some(false) => tokio::time::sleep(LOOK_EVERY).await,
                    Some(true) | None => break,
                }
            }
        };
        let _ = tokio::time::timeout(self.participants.patience().whole(), heard).await;
        ask(SagaVerb::Resume).await;
    }

    /// Asks the participant, and writes it down. Copies at the same time say so themselves; every
    /// other circumstance follows from what was asked before.
    async fn ask(&self, outgoing: Outgoing, copy: Option<Circumstance>) -> Exchange {
        let step = outgoing.step_name.to_string();
        let is_action = outgoing.ticket.direction == Direction::Action;
        let circumstance = copy.unwrap_or_else(|| {
            let beside = self.on_their_way().contains(&step);
            circumstance(&self.log(), beside, &outgoing)
        });
        if is_action {
            self.on_their_way().push(step.clone());
        }
        let exchange = self.participants.ask(outgoing, circumstance).await;
        self.log().push(exchange.clone());
        let mut on_their_way = self.on_their_way();
        let place = on_their_way.iter().position(|other| is_action && *other == step);
        place.map(|place| on_their_way.swap_remove(place));
        exchange
    }

    /// The same for a copy of ours, which the engine would not ask again.
    async fn ask_patiently(&self, outgoing: Outgoing, copy: Option<Circumstance>) -> Exchange {
        let mut tries = 1;
        loop {
            let said = self.ask(outgoing.clone(), copy).await;
            if !said.not_now() || tries == COPY_TRIES_MAX {
                return said;
            }
            tries += 1;
            tokio::time::sleep(COPY_PAUSE).await;
        }
    }

    fn make(&self) {
        self.made.store(true, Ordering::Release);
    }

    fn made(&self) -> bool {
        self.made.load(Ordering::Acquire)
    }

    fn log(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_their_way(&self) -> MutexGuard<'_, Vec<String>> {
        self.on_their_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unanswered(&self) -> MutexGuard<'_, Vec<Replies>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The code under which the rehearsal itself speaks for a participant.
const REHEARSED: &str = "REHEARSED";

fn refusal() -> Outcome {
    Outcome::Refused { error: Said::coded(REHEARSED, "it was kept from the participant") }
}

fn broken_off() -> Outcome {
    Outcome::unknown("the connection broke off before an answer came, as rehearsed")
}
