//! The journal has answered: what was to leave leaves, what was refused is forgotten.

use std::sync::Arc;

use amends_store::{Appended, JournalError};
use amends_transport::Receipt as Delivered;

use super::batch::{Effect, Sealed};
use super::message::StartFailure;
use super::{Fatal, Flight, Shard};
use crate::options::FULL_RETRY_EVERY;
use crate::request::{Receipt, Unavailable};

impl Shard {
    pub(super) async fn committed(
        &mut self,
        appended: Result<Appended, JournalError>,
    ) -> Result<(), Fatal> {
        let Some(flight) = self.flight.take() else { return Ok(()) };
        match appended {
            Ok(appended) => {
                self.desk.shared.journal_works();
                self.release(flight.sealed, &appended);
                Ok(())
            }
            Err(error) if error.may_be_retried() => {
                self.try_again(flight, &error).await;
                Ok(())
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
    async fn try_again(&mut self, flight: Flight, error: &JournalError) {
        self.desk.shared.journal_fails(error);
        let retry = tokio::time::sleep(FULL_RETRY_EVERY);
        tokio::pin!(retry);
        loop {
            tokio::select! {
                () = &mut retry => break,
                Some(new) = self.outlets.starts.recv() => {
                    let why = Unavailable::JournalFailed(error.to_string());
                    let _ = new.reply.send(Err(StartFailure::Unavailable(why)));
                }
            }
        }
        let journal = Arc::clone(&self.desk.shared.store.journal);
        let again = flight.batch.clone();
        let appending = Box::pin(async move { journal.append(again).await });
        self.flight = Some(Flight { appending, ..flight });
        // The time that the disk was full was ours.
        self.read_clock();
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

    /// Answers whoever asked; a caller that went away is no error.
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send { transport, outgoing } => {
                transport.send(*outgoing, self.desk.replies.clone());
            }
            Effect::Publish(transition) => self.desk.shared.publish(transition),
            Effect::Asked { reply, snapshot } => drop(reply.send(Ok(snapshot))),
            Effect::Got { reply, snapshot } => drop(reply.send(Ok(Some(snapshot)))),
            Effect::Told { reply, history } => drop(reply.send(Ok(Some(history)))),
            Effect::Taken(reply) => drop(reply.send(Ok(Receipt::Taken))),
            Effect::Delivered(receipt) => drop(receipt.send(Delivered::Durable)),
            Effect::Ended(saga) => self.ended(saga),
        }
    }
}

fn concerns(effect: &Effect) -> Option<amends_core::SagaId> {
    match effect {
        Effect::Send { outgoing, .. } => Some(amends_core::SagaId(outgoing.ticket.saga_id)),
        Effect::Publish(transition) => Some(transition.saga_id),
        Effect::Asked { snapshot, .. } | Effect::Got { snapshot, .. } => Some(snapshot.saga.id),
        Effect::Ended(saga) => Some(*saga),
        Effect::Told { .. } | Effect::Taken(_) | Effect::Delivered(_) => None,
    }
}
