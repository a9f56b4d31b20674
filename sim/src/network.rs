//! The network and the services behind it: commands and answers that are delayed, lost, doubled and
//! overtaken, connections that are refused or break, answers that come by callback or by message.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amends_core::definition::{Fence, Kind};
use amends_core::{Direction, RunRef, SagaId, StepIx};
use amends_engine::{Binder, Carrier};
use amends_transport::{Closing, Delivery, Outgoing, Receipt, Replies, Transport};
use amends_wire::{Fault, Outcome};
use tokio::sync::{oneshot, watch};

use crate::callbacks;
use crate::chance::Chance;
use crate::judge::{Call, Place, Said};
use crate::marks::Mark;
use crate::note;
use crate::participant::Participant;
use crate::plan::{Habits, Service};
use crate::world::World;

/// How many packets are under way, and whether things go wrong.
pub struct Traffic {
    under_way: AtomicU64,
    calm: watch::Sender<bool>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { under_way: AtomicU64::new(0), calm: watch::Sender::new(false) }
    }
}

impl Traffic {
    /// Nothing goes wrong any more.
    pub fn calm_down(&self) {
        self.calm.send_replace(true);
    }

    /// May things go wrong?
    pub fn troubled(&self) -> bool {
        !*self.calm.borrow()
    }

    /// Waits, but no longer than things go wrong.
    pub async fn wait_in_trouble(&self, span: Duration) {
        let mut calm = self.calm.subscribe();
        // Either is the end of it.
        let _ = tokio::time::timeout(span, calm.wait_for(|calm| *calm)).await;
    }

    /// How many packets are under way.
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }
}

/// Runs something that is a packet under way, beside everything else.
pub fn spawn(world: &Arc<World>, packet: impl Future<Output = ()> + Send + 'static) {
    world.traffic.under_way.fetch_add(1, Ordering::Relaxed);
    let world = Arc::clone(world);
    tokio::spawn(async move {
        packet.await;
        world.traffic.under_way.fetch_sub(1, Ordering::Relaxed);
    });
}

/// Binds the services of a plan to the network, for one engine.
pub struct Wires {
    /// The world.
    pub world: Arc<World>,
    /// The engine, by its opening of the store.
    pub opening: u64,
}

impl Binder for Wires {
    fn bind(&self, service: &str, _: &amends_definition::Binding) -> Option<Carrier> {
        let service = self.world.plan.service(service)?.clone();
        let answers_by_message = service.by_message;
        let wire = Wire { world: Arc::clone(&self.world), opening: self.opening, service };
        Some(Carrier { transport: Arc::new(wire), answers_by_message })
    }
}

struct Wire {
    world: Arc<World>,
    opening: u64,
    service: Service,
}

/// What becomes of a sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Arrives,
    Unreachable,
    CommandLost,
    AnswerLost,
    /// Somebody in between says "not now".
    Proxied,
}

impl Transport for Wire {
    fn send(&self, outgoing: Outgoing, replies: Replies) {
        let call = call_of(&outgoing);
        self.world.judge.leaves(self.opening, &outgoing, &call);
        let saga = Some(call.place.saga);
        let direction = if call.direction == Direction::Action { "a" } else { "c" };
        let run = call.place.run;
        let stream =
            format!("{}{}.{}{direction}{}", call.place.saga.0, run.step.0, run.run, call.attempt);
        let mut chance = Chance::named(self.world.plan.seed, &stream);
        let sending = Sending {
            fate: self.fate(&mut chance),
            world: Arc::clone(&self.world),
            opening: self.opening,
            service: self.service.clone(),
            outgoing,
            replies,
            call,
            chance,
        };
        note!(
            self.world.trace,
            saga,
            "leaves {} #{}: {:?}",
            sending.call.key,
            sending.call.attempt,
            sending.fate
        );
        spawn(&self.world, sending.go());
    }

    fn close(&self, _: Duration) -> Closing {
        Box::pin(std::future::ready(()))
    }
}

impl Wire {
    fn fate(&self, chance: &mut Chance) -> Fate {
        if !self.world.traffic.troubled() {
            return Fate::Arrives;
        }
        let now = self.world.trace.now();
        let away = self.service.away.iter().find(|(from, until, _)| (*from..*until).contains(&now));
        if let Some((_, _, refused)) = away {
            self.world.judge.mark(Mark::Away);
            return if *refused { Fate::Unreachable } else { Fate::CommandLost };
        }
        let Habits { unreachable, command_lost, answer_lost, proxied, .. } = self.service.habits;
        for (permille, fate, mark) in [
            (unreachable, Fate::Unreachable, Mark::Refused),
            (command_lost, Fate::CommandLost, Mark::CommandLost),
            (answer_lost, Fate::AnswerLost, Mark::AnswerLost),
            (proxied, Fate::Proxied, Mark::Proxied),
        ] {
            if chance.permille(permille) {
                self.world.judge.mark(mark);
                return fate;
            }
        }
        Fate::Arrives
    }
}

/// The command as participants and the judge see it.
fn call_of(outgoing: &Outgoing) -> Call {
    let ticket = outgoing.ticket;
    let run = RunRef { step: StepIx(ticket.step), run: ticket.run };
    Call {
        place: Place { saga: SagaId(ticket.saga_id), run },
        direction: match ticket.direction {
            amends_wire::Direction::Action => Direction::Action,
            amends_wire::Direction::Compensation => Direction::Compensation,
        },
        key: outgoing.idempotency_key(),
        round: ticket.round,
        attempt: ticket.attempt,
    }
}

/// One sending on its way.
struct Sending {
    world: Arc<World>,
    opening: u64,
    service: Service,
    outgoing: Outgoing,
    replies: Replies,
    call: Call,
    fate: Fate,
    chance: Chance,
}

impl Sending {
    async fn go(mut self) {
        self.travel().await;
        match self.fate {
            Fate::Unreachable => self.end(Outcome::not_sent("the connection is refused")),
            Fate::CommandLost if self.service.by_message => {}
            Fate::CommandLost => self.breaks().await,
            Fate::AnswerLost | Fate::Proxied if !self.service.by_message => {
                let reached = self.fate == Fate::AnswerLost || self.chance.permille(500);
                if reached {
                    let _ = self.arrive().await; // nobody hears it
                }
                if self.fate == Fate::Proxied {
                    let error = Fault::new("503 by somebody in between");
                    let named = false;
                    return self.end(Outcome::Transient { error, named, retry_after: None });
                }
                self.breaks().await;
            }
            _ => self.arrives().await,
        }
    }

    async fn arrives(mut self) {
        let said = self.arrive().await;
        let doubled = self.world.traffic.troubled()
            && self.chance.permille(self.service.habits.doubled)
            && self.may_be_doubled(said);
        if doubled {
            self.world.judge.mark(Mark::Doubled);
            let twin = self.twin();
            if matches!(self.service.fence, None | Some(Fence::None)) {
                self.world.judge.doubled(&self.call);
            }
            spawn(&self.world.clone(), twin.arrives_again());
        }
        self.answer(said).await;
    }

    /// A copy by message is answered as well; of one in an exchange nobody hears the answer, so of a
    /// command whose answer is not remembered there must not be one: the second copy could be
    /// carried out and nobody would ever know.
    fn may_be_doubled(&self, said: Said) -> bool {
        let stored = !matches!(said, Said::Busy | Said::Accepted | Said::Garbage);
        let remembers = match self.service.fence {
            Some(Fence::Barrier) => true,
            Some(Fence::Settle) => stored,
            None | Some(Fence::None) => false,
        };
        self.service.by_message || remembers || self.call.direction == Direction::Compensation
    }

    fn twin(&mut self) -> Self {
        Self {
            world: Arc::clone(&self.world),
            opening: self.opening,
            service: self.service.clone(),
            outgoing: self.outgoing.clone(),
            replies: self.replies.clone(),
            call: self.call.clone(),
            fate: Fate::Arrives,
            chance: Chance::named(self.chance.below(u64::MAX), "twin"),
        }
    }

    async fn arrives_again(mut self) {
        let late = self.chance.span(2_000, 90_000);
        tokio::time::sleep(Duration::from_millis(late)).await;
        let said = self.arrive().await;
        if self.service.by_message {
            self.answer(said).await;
        }
    }

    /// The way there or back.
    async fn travel(&mut self) {
        let longest = if self.world.traffic.troubled() { 4_000 } else { 40 };
        let spent = self.chance.span(20, longest);
        tokio::time::sleep(Duration::from_millis(spent)).await;
    }

    /// The connection breaks, now or when the engine hangs up.
    async fn breaks(mut self) {
        if self.chance.permille(500) {
            let patience = self.outgoing.patience.keep_open_for;
            self.world.traffic.wait_in_trouble(patience).await;
        }
        self.end(Outcome::unknown("the connection broke"));
    }

    /// The command has come: it is carried out, or not.
    async fn arrive(&mut self) -> Said {
        let troubled = self.world.traffic.troubled();
        let slow = troubled && self.chance.permille(self.service.habits.is_slow);
        let work = if slow { self.chance.span(8_000, 60_000) } else { self.chance.span(10, 200) };
        tokio::time::sleep(Duration::from_millis(work)).await;
        self.act(false)
    }

    fn act(&mut self, accepted: bool) -> Said {
        let troubled = self.world.traffic.troubled();
        let kind = self.kind();
        let by_message = self.service.by_message;
        let mut participant = Participant {
            service: &self.service,
            kind,
            troubled,
            undoes: self.world.trace.now() >= self.service.undoes_from,
            accepted: accepted || by_message,
            chance: &mut self.chance,
        };
        let deed =
            self.world.judge.arrives(&self.call, |ledger| participant.act(ledger, &self.call));
        deed.says
    }

    fn kind(&self) -> Kind {
        self.world.kind_of(self.call.place)
    }

    /// The answer goes back.
    async fn answer(mut self, said: Said) {
        self.travel().await;
        if self.service.by_message {
            return self.by_message(said).await;
        }
        let outcome = outcome(said, &self.call);
        let accepted = said == Said::Accepted;
        if accepted {
            let twin = self.twin();
            spawn(&self.world.clone(), twin.finish_later());
        }
        self.end(outcome);
    }

    /// What was accepted is done, or is not, and the answer comes by callback.
    async fn finish_later(mut self) {
        let work = self.chance.span(5_000, 60_000);
        self.world.traffic.wait_in_trouble(Duration::from_millis(work)).await;
        let said = loop {
            match self.act(true) {
                // It is its own "not now": it tries again.
                Said::Busy | Said::Accepted => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                said => break said,
            }
        };
        let names = self.names();
        callbacks::bring(&self.world, &self.call, said, names, &self.service.name).await;
        if self.world.traffic.troubled() && self.chance.permille(self.service.habits.doubled) {
            let again = self.chance.span(1_000, 60_000);
            tokio::time::sleep(Duration::from_millis(again)).await;
            callbacks::bring(&self.world, &self.call, said, names, &self.service.name).await;
        }
    }

    /// Does the reply name its attempt? Past the first round it must name the round at least.
    fn names(&mut self) -> callbacks::Names {
        match (self.call.round > 1, self.chance.below(3)) {
            (_, 0) => callbacks::Names { key: true, attempt: true },
            (true, _) | (_, 1) => callbacks::Names { key: true, attempt: false },
            (false, _) => callbacks::Names { key: false, attempt: false },
        }
    }

    async fn by_message(mut self, said: Said) {
        let names = match said {
            // A "not now" ends the attempt that it names.
            Said::Busy => callbacks::Names { key: true, attempt: true },
            _ => self.names(),
        };
        let Some(reply) = callbacks::reply(&self.call, said, names) else { return };
        if self.world.serves(self.opening) && self.chance.permille(500) {
            let (receipt, received) = oneshot::channel();
            let from = Some(Arc::clone(&self.service.name));
            let reply = Box::new(reply.0);
            self.replies.deliver(Delivery::Replied { reply, from, receipt: Some(receipt) });
            match received.await {
                Ok(Receipt::Durable) => return self.world.judge.reply_taken(&self.call, said),
                Ok(refused) => {
                    let what = format!("{} is answered {refused:?}", self.call.key);
                    return self.world.judge.reply_refused(&self.call, what);
                }
                Err(_) => {} // brought again
            }
        }
        callbacks::bring(&self.world, &self.call, said, names, &self.service.name).await;
    }

    /// The end of the exchange; an engine that is gone hears nothing.
    fn end(self, outcome: Outcome) {
        if !self.world.serves(self.opening) {
            return;
        }
        note!(
            self.world.trace,
            Some(self.call.place.saga),
            "heard {} #{}: {outcome:?}",
            self.call.key,
            self.call.attempt
        );
        self.replies.end(self.outgoing.ticket, outcome);
    }
}

/// What the words mean in an exchange.
fn outcome(said: Said, call: &Call) -> Outcome {
    let direction = match call.direction {
        Direction::Action => amends_wire::Direction::Action,
        Direction::Compensation => amends_wire::Direction::Compensation,
    };
    match said {
        Said::Done => Outcome::Completed { result: Some(callbacks::result(call)), undone: None },
        Said::Refused => Outcome::refused(direction, Fault::coded("NO", "refused")),
        Said::Already => Outcome::refused(direction, Fault::coded("EXISTS", "already there")),
        Said::Busy => Outcome::transient(Fault::coded("BUSY", "not now")),
        Said::Undone(undone) => Outcome::Completed { result: None, undone },
        Said::NotFound => Outcome::Gone { proven: false },
        Said::Accepted => Outcome::Accepted,
        Said::Garbage => Outcome::Unknown {
            error: Fault::new("this is no answer"),
            contract: Some("this is no answer".to_owned()),
        },
    }
}
