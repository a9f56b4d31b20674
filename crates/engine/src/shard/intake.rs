//! What comes in: deliveries, callbacks, questions, verbs, starts. Each finds its saga, in memory
//! or by way of the catalog, and becomes an input of the machine.

use std::collections::HashSet;
use std::sync::Arc;

use amends_core::input::Answer;
use amends_core::{Input, Refusal, RunRef, SagaId, start};
use amends_store::StoredSaga;
use amends_transport::{Delivery, Receipt as Delivered};
use amends_wire::Reply;
use tokio::sync::oneshot;

use super::Shard;
use super::batch::{Effect, Starter};
use super::dispatch::sign;
use super::live::Live;
use super::message::{Callback, Internal, LaneLoad, NewSaga, Request, StartFailure, Survey};
use crate::convert;
use crate::mutant::{Mutant, mutated};
use crate::options::{LOAD_RETRY_AFTER, LOADS_MAX};
use crate::reading::{self, Reading};
use crate::replying::{nobodys, saga_of};
use crate::request::{
    Ask, AskError, Observation, ReplyError, ReplyIn, Snapshot, Unavailable, Unobserved,
};

/// What waits for a saga that is being read from the catalog.
pub enum Todo {
    Ask { ask: Ask, at_seq: Option<u64>, reply: oneshot::Sender<Result<Snapshot, AskError>> },
    Callback(Box<Callback>),
    Observe { observation: Box<Observation>, reply: oneshot::Sender<Result<(), Unobserved>> },
    Deliver(Delivery),
    Wait(oneshot::Sender<Result<Option<Snapshot>, Unavailable>>),
}

impl Shard {
    pub(super) fn delivery(&mut self, delivery: Delivery) {
        self.desk.pending.inputs += 1;
        let Some(saga) = saga_of(&delivery) else { return nobodys(delivery) };
        match self.sagas.contains_key(&saga) {
            true => self.deliver(saga, delivery),
            false => self.load(saga, Todo::Deliver(delivery)),
        }
    }

    fn deliver(&mut self, saga: SagaId, delivery: Delivery) {
        self.awake(saga);
        let Some(live) = self.sagas.get_mut(&saga) else { return };
        match delivery {
            Delivery::Ended { ticket, outcome } => {
                let outcome = convert::outcome_in(outcome);
                let sign = sign(&outcome);
                let answer = Answer {
                    run: RunRef { step: amends_core::StepIx(ticket.step), run: ticket.run },
                    direction: convert::direction_in(ticket.direction),
                    round: Some(u32::from(ticket.round)),
                    attempt: Some(ticket.attempt),
                    own_exchange: true,
                    outcome,
                };
                self.desk.shared.metrics.answered(&live.deployed, &answer);
                let taken = self.desk.work(live, Input::Answer(answer), Some(sign));
                if let Err(refusal) = taken {
                    // The fact of its sending was never durable, or the saga was taken back.
                    tracing::debug!(saga_id = %saga, ?refusal, "an answer found nothing to answer");
                }
            }
            Delivery::Replied { reply, from, receipt } => {
                let answer = match named(live, &reply, from.as_deref()) {
                    Ok(answer) => answer,
                    Err(why) => {
                        if let Some(receipt) = receipt {
                            let _ = receipt.send(why); // a transport that is gone asks no more
                        }
                        return;
                    }
                };
                let _ =
                    self.desk.work(live, Input::Answer(answer), Some(super::lane::Sign::Answered));
                if let Some(receipt) = receipt {
                    self.when_durable(saga, Effect::Delivered(receipt));
                }
            }
        }
    }

    pub(super) fn callback(&mut self, callback: Callback) {
        self.desk.pending.inputs += 1;
        match self.sagas.contains_key(&callback.saga) {
            true => self.call_back(callback),
            false => self.load(callback.saga, Todo::Callback(Box::new(callback))),
        }
    }

    fn call_back(&mut self, callback: Callback) {
        let Callback { saga, reply_in, reply } = callback;
        self.awake(saga);
        let Some(live) = self.sagas.get_mut(&saga) else { return };
        match answer_of(live, &reply_in) {
            Err(why) => drop(reply.send(Err(why))),
            Ok(answer) => {
                self.desk.shared.metrics.answered(&live.deployed, &answer);
                let sign = Some(super::lane::Sign::Answered);
                match self.desk.work(live, Input::Answer(answer), sign) {
                    Ok(()) => self.when_durable(saga, Effect::Taken(reply)),
                    Err(refusal) => {
                        let why = crate::words::refusal(&refusal).to_owned();
                        let _ = reply.send(Err(ReplyError::MadeUp(why)));
                    }
                }
            }
        }
    }

    pub(super) fn request(&mut self, request: Request) {
        self.desk.pending.inputs += 1;
        match request {
            Request::Get { saga, reply } => match self.sagas.get(&saga) {
                Some(live) => {
                    let snapshot = live.snapshot();
                    self.when_durable(saga, Effect::Got { reply, snapshot });
                }
                None => self.read(saga, Reading::Snapshot(reply)),
            },
            Request::History { saga, reply } => match self.sagas.get(&saga) {
                Some(live) if live.held_seq == 0 => {
                    let history = reading::history(live.tail()).unwrap_or_default();
                    self.when_durable(saga, Effect::Told { reply, history });
                }
                Some(live) => {
                    let after = Some((live.held_seq, live.tail().to_vec()));
                    let reading = Reading::History { reply, after };
                    let effect = Effect::Read { saga, reading };
                    match mutated(Mutant::TellHistoryEarly) {
                        true => self.carry_out(effect),
                        false => self.when_durable(saga, effect),
                    }
                }
                None => self.read(saga, Reading::History { reply, after: None }),
            },
            Request::Wait { saga, reply } => match self.sagas.get_mut(&saga) {
                Some(_) => self.wait(saga, reply),
                None if self.archive.contains_key(&saga) => {
                    self.read(saga, Reading::Snapshot(reply));
                }
                None => self.load(saga, Todo::Wait(reply)),
            },
            Request::Ask { saga, ask, at_seq, reply } => match self.sagas.contains_key(&saga) {
                true => self.ask(saga, ask, at_seq, reply),
                false => self.load(saga, Todo::Ask { ask, at_seq, reply }),
            },
            Request::Observe { observation, reply } => {
                let saga = observation.saga_id;
                match self.sagas.contains_key(&saga) {
                    true => self.hear(*observation, reply),
                    false => self.load(saga, Todo::Observe { observation, reply }),
                }
            }
        }
    }

    fn wait(
        &mut self,
        saga: SagaId,
        reply: oneshot::Sender<Result<Option<Snapshot>, Unavailable>>,
    ) {
        let Some(live) = self.sagas.get_mut(&saga) else { return };
        if live.saga.state.ended() {
            let snapshot = live.snapshot();
            return self.when_durable(saga, Effect::Got { reply, snapshot });
        }
        // Whoever has stopped waiting is not kept: a saga may be waited for again and again.
        live.waiters.retain(|waiter| !waiter.is_closed());
        live.waiters.push(reply);
    }

    fn ask(
        &mut self,
        saga: SagaId,
        ask: Ask,
        at_seq: Option<u64>,
        reply: oneshot::Sender<Result<Snapshot, AskError>>,
    ) {
        self.awake(saga);
        let Some(live) = self.sagas.get_mut(&saga) else { return };
        if let Some(why) = self.desk.shared.journal_trouble() {
            return drop(reply.send(Err(Unavailable::JournalFailed(why).into())));
        }
        if at_seq.is_some_and(|seq| seq != live.saga.seq) {
            return drop(reply.send(Err(AskError::Moved { seq: live.saga.seq })));
        }
        if live.saga.heard.is_some() {
            return self.ask_services(saga, ask, reply);
        }
        let input = match convert::ask_in(ask, live) {
            Ok(input) => input,
            Err(why) => return drop(reply.send(Err(why))),
        };
        let verb = match &input {
            Input::Verb { verb, .. } => Some(verb.clone()),
            _ => None,
        };
        match (self.desk.work(live, input, None), verb) {
            (Ok(()), _) => {
                let snapshot = live.snapshot();
                self.when_durable(saga, Effect::Asked { reply, snapshot });
            }
            (Err(Refusal::VerbDoesNotFit), Some(verb)) => {
                let why = crate::misfit::misfit(&verb, &live.deployed.definition, &live.saga);
                drop(reply.send(Err(AskError::DoesNotFit(why))));
            }
            (Err(refusal), _) => drop(reply.send(Err(AskError::Refused(refusal)))),
        }
    }

    pub(super) fn start(&mut self, new: NewSaga) {
        self.desk.pending.inputs += 1;
        self.desk.pending.starts += 1;
        if let Some(why) = self.refuses_starts() {
            return drop(new.reply.send(Err(StartFailure::Unavailable(why))));
        }
        let NewSaga { started, deployed, claims, waiter, reply } = new;
        let moment = self.desk.moment();
        let (saga, facts) = start(&deployed.definition, *started, moment);
        let id = saga.id;
        let mut live = Live::new(saga, deployed);
        live.waiters.extend(waiter);
        self.desk.begin(&mut live, facts);
        let snapshot = live.snapshot();
        self.desk.pending.claim(&live, claims, Starter { reply, snapshot });
        self.sagas.insert(id, live);
        self.started += 1;
    }

    pub(super) fn internal(&mut self, message: Internal) {
        match message {
            Internal::Loaded { saga, stored } => self.loaded(saga, stored),
            Internal::DueRead => self.left_while_due = Some(HashSet::new()),
            Internal::Due(stored) => {
                let left = self.left_while_due.take().unwrap_or_default();
                for stored in stored {
                    let saga = SagaId(stored.row.saga);
                    // One that has left meanwhile has ended, or is due at some other time.
                    if !self.archive.contains_key(&saga) && !left.contains(&saga) {
                        // One that cannot be read is set aside.
                        let whole = reading::whole(Some(&stored), 0, &[]);
                        let _ = self.take_back(&stored.row, whole);
                    }
                }
            }
            Internal::Collect(reply) => self.collect = Some(reply),
            Internal::Held(sagas) => self.held(sagas),
            Internal::Survey(reply) => drop(reply.send(self.survey())),
            Internal::Rebound => self.rebound(),
        }
    }

    fn survey(&self) -> Survey {
        let mut survey = Survey { in_memory: self.sagas.len() as u64, ..Survey::default() };
        let load = |lane: &super::lane::Lane| {
            let (in_flight, waiting) = lane.load();
            LaneLoad { in_flight, waiting, circuits_open: usize::from(lane.is_open()) }
        };
        survey.lanes = self.desk.lanes.iter().map(load).collect();
        survey
    }

    /// What found no transport may find one now.
    fn rebound(&mut self) {
        let unbound = |live: &Live| live.saga.runs().any(|(_, run)| run.unbound);
        let mut ids: Vec<SagaId> =
            self.sagas.values().filter(|live| unbound(live)).map(Live::id).collect();
        ids.sort_unstable();
        for saga in ids {
            if let Some(live) = self.sagas.get_mut(&saga) {
                self.desk.nudge(live);
            }
        }
    }

    /// Lets something happen once what is known of the saga now is durable.
    pub(super) fn when_durable(&mut self, saga: SagaId, effect: Effect) {
        let Some(live) = self.sagas.get(&saga) else { return self.carry_out(effect) };
        if live.durable_seq == live.saga.seq {
            return self.carry_out(effect);
        }
        match &mut self.flight {
            // Nothing of it in the batch at hand: then it is in the one under way.
            Some(flight) if !self.desk.pending.holds(live) => flight.sealed.effects.push(effect),
            _ => self.desk.pending.effect(effect),
        }
    }

    /// Reads a saga back, with something to do once it is there.
    fn load(&mut self, saga: SagaId, todo: Todo) {
        let waiting = self.loading.entry(saga).or_default();
        waiting.push(todo);
        if waiting.len() > 1 {
            return;
        }
        self.to_load.push_back(saga);
        self.load_more();
    }

    pub(super) fn load_more(&mut self) {
        while self.loads < LOADS_MAX {
            let Some(saga) = self.to_load.pop_front() else { return };
            self.loads += 1;
            let shared = Arc::clone(&self.desk.shared);
            tokio::spawn(async move {
                let stored = shared.store.catalog.read(saga.0).await;
                let stored = stored.map_err(|error| Unavailable::CatalogFailed(error.to_string()));
                shared
                    .tell(saga, Internal::Loaded { saga, stored: stored.map(|s| s.map(Box::new)) });
            });
        }
    }

    /// Answers a reader from the catalog, beside the shard's own work.
    pub(super) fn read(&mut self, saga: SagaId, reading: Reading) {
        let archived = self.archive.get(&saga).map(Arc::clone);
        let shared = Arc::clone(&self.desk.shared);
        tokio::spawn(async move { reading::answer(&shared, saga, archived, reading).await });
    }

    fn loaded(&mut self, saga: SagaId, stored: Result<Option<Box<StoredSaga>>, Unavailable>) {
        self.loads = self.loads.saturating_sub(1);
        if self.outdated.remove(&saga) {
            self.to_load.push_back(saga);
            return self.load_more();
        }
        let todos = self.loading.remove(&saga).unwrap_or_default();
        let archived = self.archive.remove(&saga);
        let whole = stored.map(|stored| match (&archived, stored) {
            (Some(archived), stored) => {
                let whole = reading::whole_of_archive(stored.as_deref(), archived);
                Some((archived.row.clone(), whole))
            }
            (None, Some(stored)) => {
                let whole = reading::whole(Some(&stored), 0, &[]);
                Some((stored.row, whole))
            }
            (None, None) => None,
        });
        let missing = match whole {
            Ok(Some((row, whole))) => self.take_back(&row, whole).err(),
            Ok(None) => None,
            Err(why) => Some(why),
        };
        if let Some(archived) = archived.filter(|_| !self.sagas.contains_key(&saga)) {
            // It could not be read back; the catalog is still to be told its end.
            self.archive.insert(saga, archived);
        }
        for todo in todos {
            if self.sagas.contains_key(&saga) {
                self.carry_on(saga, todo);
            } else {
                self.without_saga(saga, todo, missing.clone());
            }
        }
        // One that was read back for what was known of it already is let go again.
        if self.sagas.get(&saga).is_some_and(|live| live.saga.heard.is_some()) {
            self.park(saga);
        }
    }

    fn carry_on(&mut self, saga: SagaId, todo: Todo) {
        match todo {
            Todo::Ask { ask, at_seq, reply } => self.ask(saga, ask, at_seq, reply),
            Todo::Callback(callback) => self.call_back(*callback),
            Todo::Observe { observation, reply } => self.hear(*observation, reply),
            Todo::Deliver(delivery) => self.deliver(saga, delivery),
            Todo::Wait(reply) => self.wait(saga, reply),
        }
    }

    fn without_saga(&mut self, saga: SagaId, todo: Todo, why: Option<Unavailable>) {
        match (todo, why) {
            (Todo::Ask { reply, .. }, None) => {
                drop(reply.send(Err(AskError::NoSuchSaga(saga))));
            }
            (Todo::Ask { reply, .. }, Some(why)) => drop(reply.send(Err(why.into()))),
            (Todo::Wait(reply), None) => drop(reply.send(Ok(None))),
            (Todo::Wait(reply), Some(why)) => drop(reply.send(Err(why))),
            (Todo::Observe { observation, reply }, None) => self.first_heard(*observation, reply),
            (Todo::Observe { reply, .. }, Some(why)) => drop(reply.send(Err(why.into()))),
            (Todo::Callback(callback), None) => self.orphan(*callback),
            (Todo::Callback(callback), Some(Unavailable::Unreadable(_))) => {
                self.keep_orphan(*callback);
            }
            (Todo::Callback(callback), Some(why)) => {
                drop(callback.reply.send(Err(why.into())));
            }
            (Todo::Deliver(delivery), None) => self.deliver_orphan(saga, delivery, true),
            (Todo::Deliver(delivery), Some(Unavailable::Unreadable(_))) => {
                self.deliver_orphan(saga, delivery, false);
            }
            (Todo::Deliver(delivery), Some(_)) => self.deliver_later(delivery),
        }
    }

    /// An answer is not lost because the catalog cannot be read just now.
    fn deliver_later(&self, delivery: Delivery) {
        let replies = self.desk.replies.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LOAD_RETRY_AFTER).await;
            replies.deliver(delivery);
        });
    }
}

/// The answer that a reply by name is, for a saga that is in memory.
fn named(live: &Live, reply: &Reply, from: Option<&str>) -> Result<Answer, Delivered> {
    let step_name = reply.step_name.as_deref().ok_or(Delivered::NoSuchSaga)?;
    let run = live.deployed.run_of(step_name).ok_or(Delivered::NoSuchSaga)?;
    let direction = convert::direction_in(reply.kind.direction());
    let names = live.deployed.names(run.step);
    let service = live.deployed.definition.step(run.step).command(direction);
    if let (Some(from), Some(command)) = (from, service)
        && *from != *command.service
    {
        return Err(Delivered::ForeignService);
    }
    let outcome = convert::outcome_in(reply.outcome(&names.codes));
    Ok(Answer {
        run,
        direction,
        round: reply.round.map(u32::from),
        attempt: reply.attempt,
        own_exchange: false,
        outcome,
    })
}

fn answer_of(live: &Live, reply_in: &ReplyIn) -> Result<Answer, ReplyError> {
    let made_up = |why: &str| ReplyError::MadeUp(why.to_owned());
    let mut reply = reply_in.reply.clone();
    if let Some(token) = &reply_in.token {
        // The token knows better than the body, which may leave these out. One that names another
        // step was posted to the wrong address, and its result is not this step's.
        if reply.kind.direction() != token.direction {
            return Err(made_up("the token is for the other direction of this step"));
        }
        if reply.step_name.as_ref().is_some_and(|said| *said != token.step_name) {
            return Err(made_up("the body names another step than its reply address"));
        }
        reply.step_name = Some(token.step_name.clone());
        reply.round = Some(token.round);
    }
    let answer =
        named(live, &reply, None).map_err(|_| made_up("the saga has no step of this name"))?;
    if let Some(services) =
        reply_in.services.as_ref().filter(|_| !mutated(Mutant::BelieveForeigners))
    {
        let command = live.deployed.definition.step(answer.run.step).command(answer.direction);
        if let Some(command) = command
            && !services.iter().any(|service| **service == *command.service)
        {
            return Err(ReplyError::ForeignService { service: Arc::clone(&command.service) });
        }
    }
    Ok(answer)
}
