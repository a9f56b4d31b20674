//! What the catalog is told of a saga, and what may leave memory once it knows.

use std::sync::Arc;

use amends_core::saga::{Cause, Saga};
use amends_core::{Direction, Millis, SagaId, Time, effects, rules};
use amends_store::{Checkpointed, Events, SagaRow};

use super::live::Live;
use super::{Desk, Shard};
use crate::convert;
use crate::deployed::Deployed;
use crate::options::DUE_WINDOW;
use crate::saga_map::SagaMap;
use crate::stuck::stuck_at;

/// How many sagas a map keeps room for, whatever is in it: a load of this size is no burst.
const ROOM_KEPT: usize = 4_096;

impl Shard {
    /// Answers the checkpointer, at a moment when everything decided is durable: the batch at hand
    /// is empty and none is under way.
    pub(super) fn answer_collect(&mut self) {
        if self.flight.is_some() || !self.desk.pending.is_empty() {
            return;
        }
        let Some(reply) = self.collect.take() else { return };
        self.read_clock();
        let mut sagas: Vec<Checkpointed> =
            self.archive.values().map(|archived| Checkpointed::clone(archived)).collect();
        for live in self.sagas.values().filter(|live| live.unsaved()) {
            sagas.push(self.desk.collected(live));
        }
        self.started = 0;
        self.bringing = sagas.iter().filter(|saga| saga.events.first_seq == 1).count();
        let _ = reply.send(sagas); // the engine is stopping
    }

    /// The catalog holds these sagas up to these events.
    pub(super) fn held(&mut self, sagas: Vec<(SagaId, u64)>) {
        self.bringing = 0;
        for (saga, seq) in sagas {
            if let Some(archived) = self.archive.get_mut(&saga) {
                if archived.row.seq == seq {
                    self.archive.remove(&saga);
                } else if let Some(rest) = after(archived, seq) {
                    // It was collected while it ran, and has ended since.
                    *archived = Arc::new(rest);
                }
                self.outdate(saga);
            } else if let Some(live) = self.sagas.get_mut(&saga) {
                live.now_held(seq);
                self.park(saga);
            }
        }
        give_back_room(&mut self.sagas);
        give_back_room(&mut self.archive);
    }

    /// Takes a saga out of memory that the catalog holds and that has nothing to do for a while.
    pub(super) fn park(&mut self, saga: SagaId) {
        let Some(live) = self.sagas.get(&saga) else { return };
        let waited_for = live.waiters.iter().any(|waiter| !waiter.is_closed());
        let busy = live.unsaved() || !live.places.is_empty() || waited_for;
        let until = self.desk.now + DUE_WINDOW;
        let soon = self.desk.wakes_at(live).is_some_and(|at| at <= until);
        if !busy
            && !soon
            && let Some(live) = self.sagas.remove(&saga)
        {
            self.leave_timers(&live);
            self.outdate(saga);
        }
    }

    /// What is being read of this saga from the catalog may be older than what has just left memory
    /// because the catalog holds it.
    fn outdate(&mut self, saga: SagaId) {
        if self.loading.contains_key(&saga) {
            self.outdated.insert(saga);
        }
        if let Some(left) = &mut self.left_while_due {
            left.insert(saga);
        }
    }
}

impl Desk {
    /// The saga's row and the events that the catalog lacks.
    pub fn collected(&self, live: &Live) -> Checkpointed {
        let bytes = live.collect();
        let first_seq = live.held_seq + 1;
        let count = (live.saga.seq - live.held_seq) as u32;
        let row = self.row(live);
        Checkpointed { row, events: Events { first_seq, count, bytes } }
    }

    fn row(&self, live: &Live) -> SagaRow {
        let saga = &live.saga;
        let options = &self.shared.options;
        let owes = rules::live(&live.deployed.definition, saga);
        let deadlines = live.deployed.definition.steps().iter().map(|step| step.deadline);
        let late_window = deadlines.fold(options.late_window, Ord::max);
        let close_at = closes_at(saga, owes, late_window);
        SagaRow {
            saga: saga.id.0,
            shard: self.id,
            saga_type: Arc::clone(&saga.pinned.saga_type),
            definition_version: saga.pinned.version,
            definition_hash: saga.pinned.hash,
            state: convert::state_out(saga.state),
            paused: saga.paused.is_some(),
            live: owes,
            seq: saga.seq,
            created_at: saga.created_at.0,
            updated_at: saga.updated_at.0,
            ended_at: saga.ended_at.map(|at| at.0),
            due_at: if owes { self.wakes_at(live).map(|at| at.0) } else { None },
            close_at: close_at.map(|at| at.0),
            expires_at: close_at.map(|at| (at + options.retention).0),
            business_key: saga.business_key.clone(),
            attention: saga
                .attention
                .iter()
                .fold(0, |bits, a| bits | convert::reason_bit(a.reason)),
            stuck_at: stuck_at(&live.deployed, saga).map(|at| at.0),
            error: why_it_turned(live),
            quarantined: None,
        }
    }

    /// When the saga has something to do by itself: at once where a command of it is owed, or out with
    /// an exchange that a restart would lose.
    fn wakes_at(&self, live: &Live) -> Option<Time> {
        let (def, saga) = (&live.deployed.definition, &live.saga);
        if saga.heard.is_some() {
            return self.next_look(live);
        }
        let out = saga.runs().any(|(_, run)| {
            [Direction::Action, Direction::Compensation].into_iter().any(|direction| {
                let open = run.sendings(direction).and_then(|sendings| sendings.open);
                open.is_some_and(|open| !open.accepted)
            })
        });
        let owed = effects::owed(def, saga).map(|owed| owed.from);
        let exchange = out.then_some(saga.updated_at);
        owed.chain(effects::next_due(def, saga, self.now)).chain(exchange).min()
    }
}

/// Gives the room back that a burst has left in a map: a million sagas that are parked must not be
/// paid for as if they were in memory. It is kept while a quarter of it is used, so that a map whose
/// size goes up and down is seldom laid out anew.
fn give_back_room<T>(map: &mut SagaMap<T>) {
    if map.capacity() / 4 > map.len().max(ROOM_KEPT) {
        map.shrink_to(map.len() * 2);
    }
}

/// The same without the events up to `seq`, where it has any of them.
fn after(archived: &Checkpointed, seq: u64) -> Option<Checkpointed> {
    let held = (seq + 1).checked_sub(archived.events.first_seq).filter(|held| *held > 0)?;
    let rest = crate::persist::after(&archived.events.bytes, held)?;
    let bytes = archived.events.bytes.slice_ref(rest);
    let count = (archived.row.seq - seq) as u32;
    let events = Events { first_seq: seq + 1, count, bytes };
    Some(Checkpointed { row: archived.row.clone(), events })
}

/// When an ended saga is closed: as soon as every sending is answered, or when the late window has
/// passed; never while it owes an undo or has attention, and so not before the event that was the
/// last to need it open (section 5, retention).
fn closes_at(saga: &Saga, owes: bool, late_window: Millis) -> Option<Time> {
    let ended = saga.ended_at.filter(|_| !owes && saga.attention.is_empty())?;
    let unanswered = saga.runs().any(|(_, run)| {
        let heard = run.result.is_some();
        let waits = |direction| {
            run.sendings(direction).is_some_and(|s| s.left > 0 && !s.unresolved.is_empty())
        };
        let undone = run.undo.as_ref().is_some_and(|undo| undo.end.is_some());
        (!heard && run.settled != amends_core::saga::Settled::Refused && waits(Direction::Action))
            || (!undone && waits(Direction::Compensation))
    });
    let heard_out = if unanswered { ended + late_window } else { ended };
    Some(heard_out.max(saga.updated_at))
}

/// Why the saga failed, in a line, for everybody who may see lists.
fn why_it_turned(live: &Live) -> Option<String> {
    let Deployed { definition, redaction, .. } = &*live.deployed;
    let why = words_of_turn(live)?;
    Some(match redaction.hides() {
        true => redaction.values(definition, &live.saga).text(&why).into_owned(),
        false => why,
    })
}

fn words_of_turn(live: &Live) -> Option<String> {
    let turned = live.saga.turned.as_ref()?;
    Some(match &turned.cause {
        Cause::Step(at) => {
            let name = live.deployed.run_name(&live.saga, *at);
            let fault = live.saga.run(*at).and_then(|run| run.error.as_ref());
            match fault {
                Some(fault) => match &fault.code {
                    Some(code) => format!("{name}: {code}: {}", fault.message),
                    None => format!("{name}: {}", fault.message),
                },
                None => format!("{name}: no answer in time"),
            }
        }
        Cause::Cancelled(act) => format!("cancelled by {}: {}", act.by, act.reason),
        Cause::Deadline => "the saga's deadline passed".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use amends_core::event::{CommandRef, Event, Started};
    use amends_core::saga::{Act, Pinned, Reason, State, Terms};
    use amends_core::{RunRef, StepIx};

    use super::*;

    const RUN: RunRef = RunRef::only(StepIx(0));
    const WINDOW: Millis = Millis::secs(100);

    /// A saga of one best effort that was sent at 1 s and never answered, ended at 2 s.
    fn unanswered() -> Saga {
        let started = Started {
            saga_id: SagaId(1),
            pinned: Pinned { saga_type: "Order".into(), version: 1, hash: [0; 32] },
            steps: 1,
            data: "{}".into(),
            business_key: None,
            deadline: None,
            choreographed: false,
        };
        let mut saga = Saga::started(&started, secs(0));
        let command = CommandRef { run: RUN, direction: Direction::Action, round: 1 };
        let terms = Terms { fence: None, flat: true };
        let inputs = vec![None];
        let facts = [
            Event::Readied { step: RUN.step, deadline: secs(2), for_each: false, inputs },
            Event::Sent { command, attempt: 1, until: secs(2), deadline: None, terms },
            Event::GivenUp { run: RUN, unreachable: false },
            Event::Ended { state: State::Completed },
        ];
        for (at, fact) in [1, 1, 2, 2].into_iter().zip(&facts) {
            saga.apply(secs(at), fact).unwrap();
        }
        saga
    }

    fn secs(n: u64) -> Time {
        Time::default() + Millis::secs(n)
    }

    #[test]
    fn it_is_closed_when_the_late_window_has_passed() {
        assert_eq!(closes_at(&unanswered(), false, WINDOW), Some(secs(102)));
    }

    #[test]
    fn it_is_closed_with_the_answer_that_was_the_last() {
        let mut saga = unanswered();
        saga.apply(secs(50), &Event::Completed { run: RUN, result: "1".into() }).unwrap();
        assert_eq!(closes_at(&saga, false, WINDOW), Some(secs(50)));
    }

    #[test]
    fn it_is_not_closed_while_it_owes_an_undo_or_has_attention_nor_before_that_went() {
        let mut saga = unanswered();
        assert_eq!(closes_at(&saga, true, WINDOW), None);
        let (run, direction, reason) = (Some(RUN), Direction::Action, Reason::Contradicted);
        saga.apply(secs(3), &Event::AttentionRaised { run, direction, reason }).unwrap();
        assert_eq!(closes_at(&saga, false, WINDOW), None);
        let act = Some(Act { by: "me".into(), reason: "seen".into() });
        saga.apply(secs(900), &Event::AttentionCleared { run, direction, reason, act }).unwrap();
        assert_eq!(closes_at(&saga, false, WINDOW), Some(secs(900)));
    }
}
