//! Orphans: authentic answers whose saga has no record that can be read. Each may stand for an
//! effect that nobody undoes, so they are kept whole, for a person (section 5, retention).

use std::sync::Arc;

use amends_core::{SagaId, Time};
use amends_store::Orphan;
use amends_transport::{Delivery, Receipt as Delivered, Ticket};
use amends_wire::{Direction, Outcome, Reply, ReplyKind};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::Shard;
use super::message::Callback;
use crate::replying::nobodys;
use crate::request::{Receipt, ReplyError, Unavailable};

impl Shard {
    /// A reply to a saga that is not there. It is kept if its sender is authentic and such a saga
    /// may have been; what nobody vouches for is as good as made up.
    pub(super) fn orphan(&self, callback: Callback) {
        let Callback { saga, reply_in, .. } = &callback;
        // A token of ours names a command that was sent.
        let kept = reply_in.token.is_some()
            || (reply_in.services.is_some() && may_have_been(*saga, self.desk.now));
        if kept {
            return self.keep_orphan(callback);
        }
        let why = "no saga of this id was ever started here, or it is long gone".to_owned();
        let _ = callback.reply.send(Err(ReplyError::MadeUp(why))); // the sender went away
    }

    /// Keeps a reply to a saga that is not there, or that nobody can read.
    pub(super) fn keep_orphan(&self, callback: Callback) {
        let Callback { saga, reply_in, reply } = callback;
        let orphan = self.orphan_of(saga, reply_in.source, reply_in.raw);
        let shared = Arc::clone(&self.desk.shared);
        tokio::spawn(async move {
            let kept = shared.store.catalog.put_orphan(orphan).await;
            shared.metrics.orphan();
            let answer = kept
                .map(|_| Receipt::Orphan)
                .map_err(|error| ReplyError::from(Unavailable::CatalogFailed(error.to_string())));
            let _ = reply.send(answer); // the sender went away and will repeat it
        });
    }

    /// The same of what a transport brought: `gone` says that there is no such saga, where it else
    /// cannot be read.
    pub(super) fn deliver_orphan(&self, saga: SagaId, delivery: Delivery, gone: bool) {
        let shared = Arc::clone(&self.desk.shared);
        match delivery {
            Delivery::Ended { ticket, outcome } => {
                // Its sending is on record, so such a saga has been.
                let Some(said) = said_in_exchange(&ticket, &outcome) else { return };
                let orphan = self.orphan_of(saga, "its own exchange".to_owned(), said);
                tokio::spawn(async move {
                    shared.metrics.orphan();
                    if let Err(error) = shared.store.catalog.put_orphan(orphan).await {
                        tracing::error!(saga_id = %saga, %error, "an orphan could not be kept");
                    }
                });
            }
            Delivery::Replied { from: Some(_), .. }
                if gone && !may_have_been(saga, self.desk.now) =>
            {
                nobodys(delivery);
            }
            Delivery::Replied { reply, from, receipt } => {
                let source = match from {
                    Some(service) => format!("a message of {service}"),
                    None => "a message by token".to_owned(),
                };
                let orphan = self.orphan_of(saga, source, said_by_name(&reply));
                tokio::spawn(async move {
                    shared.metrics.orphan();
                    match (shared.store.catalog.put_orphan(orphan).await, receipt) {
                        (Ok(_), Some(receipt)) => drop(receipt.send(Delivered::Durable)),
                        (Ok(_), None) => {}
                        // Unsent, the receipt says that it is to be brought again.
                        (Err(error), _) => {
                            tracing::error!(saga_id = %saga, %error, "an orphan could not be kept");
                        }
                    }
                });
            }
        }
    }

    fn orphan_of(&self, saga: SagaId, source: String, reply: Bytes) -> Orphan {
        Orphan { received_at: self.desk.now.0, saga: saga.0, source, reply }
    }
}

/// May a saga of this id have been started here? Every id is a UUIDv7, and holds the time of its
/// start. How long ago that was does not matter: its record is gone with its retention, which may
/// have been another then, or with a store that was restored from a copy older than the saga.
fn may_have_been(saga: SagaId, now: Time) -> bool {
    let (version, variant) = (saga.0 >> 76 & 0xf, saga.0 >> 62 & 0b11);
    let started_at = (saga.0 >> 80) as u64;
    version == 7 && variant == 0b10 && started_at <= now.0
}

/// What a participant said in its own exchange, in the form of a reply; none where it said nothing
/// of what it did. The step is told by its place: its name stands in what cannot be read.
fn said_in_exchange(ticket: &Ticket, outcome: &Outcome) -> Option<Bytes> {
    let action = ticket.direction == Direction::Action;
    let kind = match outcome {
        Outcome::Completed { .. } | Outcome::Gone { .. } if !action => {
            ReplyKind::CompensationCompleted
        }
        Outcome::Completed { .. } => ReplyKind::StepCompleted,
        Outcome::Refused { .. } => ReplyKind::StepFailed,
        _ => return None,
    };
    let mut said = Map::new();
    said.insert("type".to_owned(), kind.as_str().into());
    said.insert("saga_id".to_owned(), amends_wire::SagaId(ticket.saga_id).to_string().into());
    said.insert("step".to_owned(), ticket.step.into());
    said.insert("run".to_owned(), ticket.run.into());
    said.insert("round".to_owned(), ticket.round.into());
    said.insert("attempt".to_owned(), ticket.attempt.into());
    let result = match outcome {
        Outcome::Completed { result, undone } => {
            insert(&mut said, "undone", *undone);
            result.as_ref()
        }
        Outcome::Gone { .. } => {
            insert(&mut said, "undone", Some(false));
            None
        }
        Outcome::Refused { error } => {
            said.insert("error".to_owned(), fault(error));
            None
        }
        _ => None,
    };
    Some(with_result(said, result))
}

/// A reply by name that a transport has read already.
fn said_by_name(reply: &Reply) -> Bytes {
    let mut said = Map::new();
    said.insert("type".to_owned(), reply.kind.as_str().into());
    insert(&mut said, "saga_id", reply.saga_id.map(|saga| saga.to_string()));
    insert(&mut said, "step_name", reply.step_name.clone());
    insert(&mut said, "round", reply.round);
    insert(&mut said, "attempt", reply.attempt);
    insert(&mut said, "retryable", reply.retryable);
    insert(&mut said, "undone", reply.undone);
    insert(&mut said, "error", reply.error.as_ref().map(fault));
    with_result(said, reply.result.as_ref())
}

fn insert(said: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        said.insert(name.to_owned(), value.into());
    }
}

fn fault(fault: &amends_wire::Fault) -> Value {
    json!({ "code": fault.code, "message": fault.message })
}

/// The text of what was said with the result at its end, byte for byte as it came: a number in it
/// may be larger than a reading would keep.
fn with_result(said: Map<String, Value>, result: Option<&Bytes>) -> Bytes {
    let mut text = Value::Object(said).to_string().into_bytes();
    if let Some(result) = result {
        text.pop(); // the brace; something was said, so a comma follows
        text.extend_from_slice(b",\"result\":");
        text.extend_from_slice(result);
        text.push(b'}');
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(0x0192_f0c1_2345);

    #[test]
    fn only_what_was_started_by_now_may_have_been() {
        for (id, may_have_been_here) in [
            (0x0192_f0c1_2345_7abc_8def_0123_4567_89ab, true),
            (0x0000_0000_0001_7abc_bdef_0123_4567_89ab, true),
            (0x0192_f0c1_2346_7abc_8def_0123_4567_89ab, false), // a millisecond from now
            (0x0192_f0c1_2345_4abc_8def_0123_4567_89ab, false), // a random one
            (0x0192_f0c1_2345_7abc_cdef_0123_4567_89ab, false), // no UUID of the common kind
            (0, false),
            (u128::MAX, false),
        ] {
            assert_eq!(may_have_been(SagaId(id), NOW), may_have_been_here, "{id:032x}");
        }
    }

    #[test]
    fn what_was_said_in_an_exchange_is_kept_and_what_was_not_said_is_not() {
        let ticket =
            |direction| Ticket { saga_id: 7, step: 2, run: 1, direction, round: 1, attempt: 3 };
        let text = |direction, outcome| {
            let said = said_in_exchange(&ticket(direction), &outcome)?;
            Some(String::from_utf8(said.to_vec()).expect("it is text"))
        };
        let (action, undo) = (Direction::Action, Direction::Compensation);
        let result = Some(Bytes::from_static(b"{\"n\":12345678901234567890123}"));
        let said = text(action, Outcome::Completed { result, undone: None }).expect("it is said");
        assert!(said.contains("\"n\":12345678901234567890123"), "{said}");
        for part in ["\"SagaStepCompleted\"", "\"step\":2", "\"run\":1", "\"attempt\":3"] {
            assert!(said.contains(part), "{said}");
        }
        let refused = Outcome::Refused { error: amends_wire::Fault::coded("NO", "not today") };
        let said = text(action, refused).expect("it is said");
        assert!(said.contains("SagaStepFailed") && said.contains("not today"), "{said}");
        let said = text(undo, Outcome::Gone { proven: true }).expect("it is said");
        assert!(said.contains("SagaCompensationCompleted") && said.contains("\"undone\":false"));
        for nothing in [
            Outcome::Accepted,
            Outcome::unknown("broke off"),
            Outcome::not_sent("refused"),
            Outcome::transient(amends_wire::Fault::new("busy")),
            Outcome::Gone { proven: true },
        ] {
            assert_eq!(text(action, nothing), None);
        }
    }
}
