//! That a reaction takes place: what is said then, and what that carries.

use amends_core::Time;
use amends_definition::{Does, INPUT_BYTES_MAX, Reaction};
use amends_wire::SagaId;
use serde_json::value::RawValue;

use super::carried::{Carried, Data};
use super::definition::REASON;
use super::event::Event;
use super::record::{Outcome, Record, Taken};
use super::service::{NotTaken, Service};
use crate::event::Reason;

/// Where the fields come from that an event adds.
pub(super) enum Adds {
    Nothing,
    /// A best effort was gone on without: there is no such value.
    Nulls(Reason),
    Result(Box<RawValue>),
    Reason(Reason),
}

impl Service {
    /// Has a reaction take place, once.
    pub(super) fn take_place(
        &self,
        record: &mut Record,
        ix: usize,
        outcome: Outcome,
        adds: Adds,
        now: Time,
    ) -> Result<Vec<Event>, NotTaken> {
        let Reaction { does, then, .. } = self.reaction(ix);
        let mut carried = self.carried(record, ix);
        let action = self.of.action(ix).unwrap_or_default();
        let says = match (outcome, does) {
            (Outcome::Barred, _) => &[],
            (Outcome::Failed, Does::Act { on_failure, .. }) => on_failure.as_slice(),
            _ => &then[..],
        };
        match outcome {
            Outcome::Done => carried.completes(&action),
            Outcome::Undone | Outcome::NothingToUndo => carried.undoes(&action),
            Outcome::Failed | Outcome::WentOn | Outcome::Barred | Outcome::Said => {}
        }
        let mut events = Vec::new();
        for name in says {
            let mut carried = carried.clone();
            self.add(&mut carried.data, name, &action, &adds)?;
            let step = u32::try_from(ix + 1).unwrap_or(u32::MAX);
            let event = self.event(record.saga_id, name, step, carried, now);
            let reason = match &adds {
                Adds::Reason(why) | Adds::Nulls(why) => Some(why.clone()),
                Adds::Nothing | Adds::Result(_) => None,
            };
            events.push(Event { reason, traceparent: record.traceparent.clone(), ..event });
        }
        let key = self.of.key(ix);
        let result = match adds {
            // One that is null needs no room: its undo is given null where there is none.
            Adds::Result(result) if self.undos(ix).next().is_some() && result.get() != "null" => {
                Some(result)
            }
            _ => None,
        };
        record.clocks.remove(key);
        record.taken.insert(key.to_owned(), Taken { outcome, result });
        self.forget(record);
        Ok(events)
    }

    /// The fields that an event adds to what is carried.
    fn add(&self, data: &mut Data, event: &str, action: &str, adds: &Adds) -> Result<(), NotTaken> {
        let fields = self.of.fields(event).filter(|fields| !fields.is_empty());
        let Some(fields) = fields else { return Ok(()) };
        let from = match adds {
            Adds::Result(result) => Data::of(result.get()).unwrap_or_default(),
            Adds::Reason(why) => {
                let mut from = Data::default();
                let why = serde_json::value::to_raw_value(why);
                why.into_iter().for_each(|why| from.set(REASON, why));
                from
            }
            Adds::Nothing | Adds::Nulls(_) => Data::default(),
        };
        for field in fields {
            let missing = || NotTaken::NotWhole {
                action: action.to_owned(),
                event: event.to_owned(),
                field: field.clone(),
            };
            let value = match from.get(field) {
                Some(value) => value.to_owned(),
                None if matches!(adds, Adds::Nulls(_)) => {
                    RawValue::from_string("null".to_owned()).unwrap_or_default()
                }
                None => return Err(missing()),
            };
            data.set(field, value);
        }
        if matches!(adds, Adds::Result(_)) && data.to_json().len() > INPUT_BYTES_MAX {
            return Err(NotTaken::TooLarge(event.to_owned()));
        }
        Ok(())
    }

    pub(super) fn event(
        &self,
        saga_id: SagaId,
        name: &str,
        step: u32,
        carried: Carried,
        now: Time,
    ) -> Event {
        Event {
            saga_id,
            choreography: self.of.name().to_owned(),
            name: name.to_owned(),
            step,
            carried,
            reason: None,
            by: self.name.clone(),
            at: Some(now),
            traceparent: None,
        }
    }

    /// What comes to a reaction by the events that set it off.
    pub(super) fn carried(&self, record: &Record, ix: usize) -> Carried {
        let Reaction { on, any, .. } = self.reaction(ix);
        let of = |name: &String| {
            let heard = record.heard.iter().find(|(event, _)| event == name);
            heard.and_then(|(_, carried)| carried.as_ref())
        };
        let first = || record.heard.iter().find(|(event, _)| on.contains(event))?.1.as_ref();
        let mut carried = Carried::default();
        if *any {
            first().into_iter().for_each(|first| carried.join(first));
        } else {
            on.iter().filter_map(of).for_each(|one| carried.join(one));
        }
        carried
    }

    /// Forgets what events carry that nothing waits for any more.
    pub(super) fn forget(&self, record: &mut Record) {
        let waiting: Vec<usize> =
            self.mine.iter().copied().filter(|&ix| !self.has_taken_place(record, ix)).collect();
        for (event, carried) in &mut record.heard {
            if !waiting.iter().any(|&ix| self.waits_for(ix, event)) {
                *carried = None;
            }
        }
    }
}
