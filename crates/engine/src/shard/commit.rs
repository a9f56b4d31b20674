//! The journal has answered: what was to leave leaves, what was refused is forgotten.

use std::sync::Arc;

use amends_store::{Appended, JournalError, Position};
use amends_transport::Receipt as Delivered;
use tokio::sync::watch;

use super::batch::{Effect, Sealed};
use super::message::{Request, StartFailure};
use super::{Fatal, Flight, Shard};
use crate::mutant::{Mutant, mutated};
use crate::options::FULL_RETRY_EVERY;
use crate::request::{Receipt, Unavailable};

impl Shard {
    pub(super) async fn committed(
        &mut self,
        appended: Result<Appended, JournalError>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Fatal> {
        let Some(flight) = self.flight.take() else { return Ok(()) };
        match taken_for_done(appended) {
            Ok(appended) => {
                self.desk.shared.journal_works();
                self.troubled = false;
                self.release(flight.sealed, &appended);
                Ok(())
            }
            Err(error) if error.may_be_retried() => {
                self.troubled = true;
                self.try_again(flight, error, stop).await
            }
            Err(error) => {
                // The state in memory is ahead of what is durable, and stays with this task: what
                // waits for an answer is told that there is none.
                self.desk.shared.journal_fails(&error);
                Err(error.into())
            }
        }
    }

    /// The disk is full: nothing new is acknowledged, and the same batch is tried again.
    ///
    /// The clock is not read meanwhile: the time that the disk was full was ours, and is made up for
    /// once, when it is over.
    async fn try_again(
        &mut self,
        flight: Flight,
        error: JournalError,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Fatal> {
        self.desk.shared.journal_fails(&error);
        let why = Unavailable::JournalFailed(error.to_string());
        let retry = tokio::time::sleep(FULL_RETRY_EVERY);
        tokio::pin!(retry);
        loop {
            // Answers and timers wait: what they bring about could not be written down. They are
            // bounded by what is out. The retry is not put off by any number of questions, nor they by
            // any number of starts.
            tokio::select! {
                biased;
                // Nothing of the batch was acknowledged, and it may never find room.
                _ = stop.wait_for(|stopped| *stopped) => return Err(error.into()),
                () = &mut retry => break,
                Some(request) = self.outlets.requests.recv() => self.request_in_trouble(request, &why),
                Some(callback) = self.outlets.callbacks.recv() => {
                    let _ = callback.reply.send(Err(why.clone().into())); // it is brought again
                }
                Some(new) = self.outlets.starts.recv() => {
                    let _ = new.reply.send(Err(StartFailure::Unavailable(why.clone())));
                }
            }
        }
        let journal = Arc::clone(&self.desk.shared.store.journal);
        let again = flight.batch.clone();
        let appending = Box::pin(async move { journal.append(again).await });
        self.flight = Some(Flight { appending, ..flight });
        Ok(())
    }

    /// Reads go on while nothing can be written, from what is durable; verbs do not.
    fn request_in_trouble(&mut self, request: Request, why: &Unavailable) {
        let durable = |saga| {
            let live = self.sagas.get(&saga);
            live.is_none_or(|live| live.durable_seq == live.saga.seq)
        };
        // A caller that went away is no error.
        match request {
            Request::Ask { reply, .. } => drop(reply.send(Err(why.clone().into()))),
            Request::Observe { reply, .. } => drop(reply.send(Err(why.clone().into()))),
            Request::Get { saga, reply } if !durable(saga) => drop(reply.send(Err(why.clone()))),
            Request::History { saga, reply } if !durable(saga) => {
                drop(reply.send(Err(why.clone())));
            }
            Request::Wait { reply, .. } => drop(reply.send(Err(why.clone()))),
            readable => self.request(readable),
        }
    }

    fn release(&mut self, sealed: Sealed, appended: &Appended) {
        let Sealed { sagas, starts, effects } = sealed;
        for (index, _) in &appended.rejected {
            let (saga, _) = sagas[*index];
            if let Some(live) = self.sagas.remove(&saga) {
                self.leave_timers(&live);
                self.leave_lanes(&live);
                self.desk.pending.forget(&live);
            }
        }
        for (index, starter) in starts {
            let rejection = appended.rejected.iter().find(|(rejected, _)| *rejected == index);
            let answer = match rejection {
                Some((_, rejection)) => Err(StartFailure::Claimed(rejection.clone())),
                None => Ok(starter.snapshot),
            };
            let _ = starter.reply.send(answer); // a caller that went away is no error
        }
        let rejected = |saga| appended.rejected.iter().any(|(index, _)| sagas[*index].0 == saga);
        for (saga, seq) in &sagas {
            if let Some(live) = self.sagas.get_mut(saga)
                && live.durable_seq < *seq
            {
                live.durable_seq = *seq;
            }
        }
        for effect in effects {
            if !appended.rejected.is_empty() && concerns(&effect).is_some_and(rejected) {
                continue;
            }
            self.carry_out(effect);
        }
    }

    /// What a mistake lets leave with a batch that is not durable yet.
    pub(super) fn leaves_early(&mut self, mut sealed: Sealed) -> Sealed {
        if mutated(Mutant::AnswerBeforeSync) {
            for (_, starter) in sealed.starts.drain(..) {
                let _ = starter.reply.send(Ok(starter.snapshot)); // a caller that went away
            }
        }
        let early = |effect: &Effect| match effect {
            Effect::Send { .. } => mutated(Mutant::SendBeforeSync),
            Effect::Publish(_) => mutated(Mutant::PublishBeforeSync),
            _ => false,
        };
        if sealed.effects.iter().any(early) {
            let effects = sealed.effects.into_iter();
            let (leaving, left) = effects.partition(early);
            sealed.effects = left;
            let leaving: Vec<Effect> = leaving;
            for effect in leaving {
                self.carry_out(effect);
            }
        }
        sealed
    }

    /// Answers whoever asked; a caller that went away is no error.
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send { transport, outgoing } => {
                transport.send(*outgoing, self.desk.replies.clone());
            }
            Effect::Publish(_) if mutated(Mutant::PublishNothing) => {}
            Effect::Publish(transition) => self.desk.shared.publish(transition),
            Effect::Asked { reply, snapshot } => drop(reply.send(Ok(snapshot))),
            Effect::Got { reply, snapshot } => drop(reply.send(Ok(Some(snapshot)))),
            Effect::Told { reply, history } => drop(reply.send(Ok(Some(history)))),
            Effect::Read { saga, reading } => self.read(saga, reading),
            Effect::Taken(reply) => drop(reply.send(Ok(Receipt::Taken))),
            Effect::Heard(reply) => drop(reply.send(Ok(()))),
            Effect::Delivered(receipt) => drop(receipt.send(Delivered::Durable)),
            Effect::Ended(saga) => self.ended(saga),
        }
    }
}

/// What a mistake takes for an append that was done.
fn taken_for_done(appended: Result<Appended, JournalError>) -> Result<Appended, JournalError> {
    match appended {
        Err(JournalError::StaleOwner { .. }) if mutated(Mutant::IgnoreStaleOwner) => {
            Ok(Appended { position: Position::START, rejected: Vec::new() })
        }
        Err(JournalError::Full { .. }) if mutated(Mutant::FullIsDone) => {
            Ok(Appended { position: Position::START, rejected: Vec::new() })
        }
        appended => appended,
    }
}

fn concerns(effect: &Effect) -> Option<amends_core::SagaId> {
    match effect {
        Effect::Send { outgoing, .. } => Some(amends_core::SagaId(outgoing.ticket.saga_id)),
        Effect::Publish(transition) => Some(transition.saga_id),
        Effect::Asked { snapshot, .. } | Effect::Got { snapshot, .. } => Some(snapshot.saga.id),
        Effect::Ended(saga) | Effect::Read { saga, .. } => Some(*saga),
        Effect::Told { .. } | Effect::Taken(_) | Effect::Heard(_) | Effect::Delivered(_) => None,
    }
}
