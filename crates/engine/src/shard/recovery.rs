//! A shard comes back: the catalog's due sagas and the journal's tail are what it was.
//!
//! Replay sends nothing by itself. What is owed is derived from the state, as always, and goes out
//! paced.

use std::sync::Arc;

use amends_core::saga::State;
use amends_core::{Direction, Input, Millis, SagaId, Time};

use amends_store::{Checkpointed, Events, Quarantine, SagaRow, StoredSaga};

use super::live::Live;
use super::{Desk, Shard};
use crate::convert::{self, UNREADABLE_BIT};
use crate::mutant::{Mutant, mutated};
use crate::options::{DUE_WINDOW, OUTAGE_AFTER};
use crate::reading::{self, Unreadable, Whole};
use crate::request::Unavailable;

/// The type in the row of a saga whose own nobody can read.
const UNREADABLE: &str = "(unreadable)";

impl Shard {
    /// Takes a saga into memory. One that cannot be read is quarantined, and the others go on.
    pub(super) fn take_back(&mut self, row: &SagaRow, whole: Whole) -> Result<(), Unavailable> {
        let saga = SagaId(row.saga);
        match self.revive(saga, whole) {
            Ok(()) => {
                self.awake(saga);
                Ok(())
            }
            Err(unreadable) => {
                let why = unreadable.to_string();
                self.quarantine(row, why.clone());
                Err(Unavailable::Unreadable(why))
            }
        }
    }

    /// The same, for a caller that stops at what a newer version wrote.
    pub fn revive(&mut self, saga: SagaId, whole: Whole) -> Result<(), Unreadable> {
        if !self.sagas.contains_key(&saga) {
            let live = revived(&self.desk, whole)?;
            self.sagas.insert(saga, live);
            self.to_wake.push_back(saga);
        }
        Ok(())
    }

    /// Sagas were recovered: what they owe goes out paced, also what comes back from a backoff only in
    /// a while.
    pub fn begin_paced(&mut self) {
        self.desk.paced_until = self.desk.now + DUE_WINDOW;
    }

    /// Lets sagas go on that were read back, or that have an outage to make up for, as many as the
    /// batch has room for.
    pub(super) fn wake_up(&mut self) {
        while self.room_in_batch() {
            let Some(saga) = self.to_wake.pop_front() else {
                if mutated(Mutant::PaceFirstOnly) {
                    self.desk.paced_until = Time::default();
                }
                return;
            };
            self.desk.pending.inputs += 1;
            self.awake(saga);
        }
    }

    /// Tells a saga what it slept through, before anything else happens to it.
    pub(super) fn awake(&mut self, saga: SagaId) {
        let Some(live) = self.sagas.get_mut(&saga) else { return };
        let missed = std::mem::take(&mut live.missed);
        if std::mem::take(&mut live.asleep) {
            self.desk.wake(live);
        } else if missed > Millis::ZERO && !live.saga.state.ended() && !untold(live) {
            self.desk.make_up_for(live, missed);
        }
    }

    /// Keeps a saga whole that the journal has and nobody can read, for a person to look at: the
    /// journal is cut one day, and other sagas go on.
    pub fn keep_unreadable(
        &mut self,
        saga: SagaId,
        stored: Option<StoredSaga>,
        tail: Events,
        why: String,
    ) {
        tracing::error!(saga_id = %saga, why, "a saga cannot be read and is left alone");
        let now = self.desk.now.0;
        let unknown = || SagaRow {
            saga: saga.0,
            shard: self.desk.id,
            saga_type: UNREADABLE.into(),
            definition_version: 0,
            definition_hash: [0; 32],
            state: convert::state_out(State::Pending),
            paused: false,
            live: true,
            seq: 0,
            created_at: now,
            updated_at: now,
            ended_at: None,
            due_at: None,
            close_at: None,
            expires_at: None,
            business_key: None,
            attention: 0,
            stuck_at: None,
            error: None,
            quarantined: None,
        };
        let held = stored.map_or_else(unknown, |stored| stored.row);
        self.desk.shared.metrics.unreadable(&held.saga_type);
        let row = SagaRow {
            seq: tail.last_seq(),
            quarantined: Some(why),
            attention: held.attention | UNREADABLE_BIT,
            stuck_at: held.stuck_at.or(stuck_unread(&held, now)),
            ..held
        };
        self.archive.insert(saga, Arc::new(Checkpointed { row, events: tail }));
    }

    /// Sets a saga aside that the catalog has and nobody can read.
    pub fn quarantine(&self, row: &SagaRow, why: String) {
        let saga = SagaId(row.saga);
        tracing::error!(saga_id = %saga, why, "a saga cannot be read and is left alone");
        let shared = Arc::clone(&self.desk.shared);
        if row.quarantined.is_none() {
            shared.metrics.unreadable(&row.saga_type);
        }
        let quarantine = Quarantine {
            reason: why,
            attention: UNREADABLE_BIT,
            stuck_at: stuck_unread(row, self.desk.now.0),
        };
        tokio::spawn(async move {
            if let Err(error) = shared.store.catalog.quarantine(saga.0, quarantine).await {
                tracing::error!(saga_id = %saga, %error, "its quarantine could not be noted");
            }
        });
    }
}

/// From when on a saga is stuck that cannot be read: as with all attention from now on, where it
/// was to go on.
fn stuck_unread(row: &SagaRow, now: u64) -> Option<u64> {
    let ended = convert::state_in(row.state).is_some_and(State::ended);
    (!ended && !row.paused).then_some(now)
}

fn revived(desk: &Desk, whole: Whole) -> Result<Live, Unreadable> {
    let saga = reading::replay(&whole.bytes)?;
    let registry = &desk.shared.registry;
    let current = || registry.version(&saga.pinned.saga_type, saga.pinned.version + 1);
    if mutated(Mutant::CurrentVersion)
        && let Some(deployed) = current()
    {
        return Ok(Live::held(saga, deployed, whole.held_seq, whole.unsaved));
    }
    let deployed = registry
        .version(&saga.pinned.saga_type, saga.pinned.version)
        .ok_or_else(|| Unreadable::Damaged(registry.unknown(&saga.pinned)))?;
    Ok(Live::held(saga, deployed, whole.held_seq, whole.unsaved))
}

/// Does a mistake keep outages from this saga?
fn untold(live: &Live) -> bool {
    mutated(Mutant::OutageUntold)
        || (mutated(Mutant::OutageUntoldOnceTurned) && live.saga.turned.is_some())
}

impl Desk {
    /// A saga is in memory again: it makes up for an outage, hears that its exchanges are gone, and
    /// goes on.
    pub fn wake(&mut self, live: &mut Live) {
        if mutated(Mutant::ForgetTimers) {
            live.due = Some(Time::default());
        }
        let lasted = self.shared.outages.since(live.saga.updated_at);
        let waits = !live.saga.state.ended() && live.saga.paused.is_none();
        if lasted > OUTAGE_AFTER && waits && !untold(live) {
            self.make_up_for(live, lasted);
        }
        if live.saga.heard.is_some() {
            return self.look(live);
        }
        let lost: Vec<_> = live
            .saga
            .runs()
            .flat_map(|(at, run)| {
                [Direction::Action, Direction::Compensation].map(|direction| {
                    let open = run.sendings(direction)?.open;
                    open.filter(|open| !open.accepted).map(|_| (at, direction))
                })
            })
            .flatten()
            .collect();
        for (run, direction) in lost {
            if mutated(Mutant::SendAgain) {
                self.send_again(live, run, direction);
            }
            let answers_by_message = live
                .deployed
                .binding(run.step, direction)
                .is_some_and(|binding| binding.answers_by_message);
            if answers_by_message {
                continue; // its reply is still to come
            }
            // It refuses nothing: the attempt was out a moment ago.
            let _ = self.work(live, Input::Lost { run, direction }, None);
        }
        self.nudge(live);
    }
}
