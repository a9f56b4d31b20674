//! The participants' ledgers, and the laws that every command keeps which leaves or arrives.

use std::collections::BTreeMap;

use amends_core::definition::{Fence, Kind};
use amends_core::saga::UndoEnd;
use amends_core::{Direction, RunRef, SagaId, StepIx};
use amends_transport::Outgoing;

use super::{Inner, Judge, Known, Law};
use crate::marks::Mark;
use crate::plan::Plan;

/// What the participants did, by saga and step.
#[derive(Default)]
pub struct Ledgers {
    pub(crate) steps: BTreeMap<Place, StepLedger>,
    /// What came under a key: a hash of its bytes.
    bodies: BTreeMap<String, u64>,
    /// Commands of recovered sagas that have left since the start of an opening, by its number and
    /// the service.
    recovered: BTreeMap<(u64, String), u64>,
}

/// A run of a step of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The saga.
    pub saga: SagaId,
    /// The step and its run.
    pub run: RunRef,
}

/// What a participant has done for a step, and what it remembers.
#[derive(Clone, Debug, Default)]
pub struct StepLedger {
    /// How often the action was done.
    pub done: u32,
    /// How often it was undone.
    pub undone: u32,
    /// The mark of an undo that found nothing: no action may be done after it.
    pub tombstone: bool,
    /// An undo has found nothing: where no tombstone is left, the action may still be done after it.
    pub found_nothing: bool,
    /// A service that forgets has had two copies of one sending: the refusal of one speaks for that
    /// sending, and the success of the other is late.
    pub twin: bool,
    /// The answers that are repeated, by the key.
    pub stored: BTreeMap<String, Said>,
}

/// What a participant answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is done.
    Done,
    /// A definite no.
    Refused,
    /// A definite no: it was done before.
    Already,
    /// Not now.
    Busy,
    /// It is undone; whether there was something to undo, where that is said.
    Undone(Option<bool>),
    /// There is nothing of the sort.
    NotFound,
    /// The answer comes later.
    Accepted,
    /// Something that is no answer.
    Garbage,
}

/// A command as a participant sees it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Whose.
    pub place: Place,
    /// Action or undo.
    pub direction: Direction,
    /// Its key.
    pub key: String,
    /// The round.
    pub round: u16,
    /// The attempt.
    pub attempt: u32,
}

/// What a participant did about a command: its effect and its word.
#[derive(Clone, Copy, Debug)]
pub struct Deed {
    /// What it says.
    pub says: Said,
    /// That is not what its service promises.
    pub lied: bool,
}

impl Judge {
    /// A command leaves the engine of that opening.
    pub fn leaves(&self, opening: u64, outgoing: &Outgoing, call: &Call) {
        let now = self.trace.now();
        let mut inner = self.inner();
        let id = call.place.saga;
        let place = (call.place.run.step.0, call.place.run.run, call.direction, call.attempt);
        let clock = inner.truth.clocks.get(&opening).copied();
        let known = inner.truth.sagas.get_mut(&id);
        let sent = known.and_then(|known| {
            let sent = known.sent.get_mut(&place)?;
            let before = *sent;
            sent.1 = true;
            let command = &known.definition.step(call.place.run.step).command(call.direction)?;
            let command = format!("{}.{}", command.service, command.name);
            Some((before, command, known.started_by != opening))
        });
        let undurable = sent.is_none().then(|| format!("{} left before its fact", call.key));
        inner.check(&self.trace, Law::S5, Some(id), undurable);
        if let Some(((writer, left), command, recovered)) = sent {
            let again = (left || writer != opening)
                .then(|| format!("{} attempt {} is sent again", call.key, call.attempt));
            inner.check(&self.trace, Law::S17, Some(id), again);
            let other = (*command != *outgoing.command)
                .then(|| format!("{} is sent and {command} is pinned", outgoing.command));
            inner.check(&self.trace, Law::S19, Some(id), other);
            if let Some(clock) = clock.filter(|_| recovered) {
                let seconds = (now - clock.read_at) / 1_000 + 1;
                let service = outgoing.service.to_string();
                let count = inner.ledgers.recovered.entry((opening, service)).or_default();
                *count += 1;
                let count = *count;
                if let Some(most) = paced(self.plan.recovery_rate, seconds) {
                    let burst = (count > most).then(|| {
                        let service = &outgoing.service;
                        format!(
                            "{count} commands for {service} in {seconds} s, where {most} may be"
                        )
                    });
                    inner.check(&self.trace, Law::L5, Some(id), burst);
                }
            }
        }
        let bytes = checksum(&outgoing.body);
        let first = *inner.ledgers.bodies.entry(call.key.clone()).or_insert(bytes);
        let other = (first != bytes).then(|| format!("{} carries other bytes", call.key));
        inner.check(&self.trace, Law::S4, Some(id), other);
    }

    /// A sending comes twice to a service that forgets.
    pub fn doubled(&self, call: &Call) {
        if call.direction == Direction::Action {
            self.inner().ledgers.steps.entry(call.place).or_default().twin = true;
        }
    }

    /// A command arrives, and this is done about it.
    pub fn arrives(&self, call: &Call, deed: impl FnOnce(&mut StepLedger) -> Deed) -> Deed {
        let mut inner = self.inner();
        let id = call.place.saga;
        let honest = !inner.lied_to(&self.plan, call.place);
        if call.direction == Direction::Compensation && honest {
            let (s8, s11) = inner.broken_by_undo(&self.plan, call.place);
            inner.check(&self.trace, Law::S8, Some(id), s8);
            inner.check(&self.trace, Law::S11, Some(id), s11);
        }
        let barrier = inner.keeps_tombstones(&self.plan, call.place);
        let ledger = inner.ledgers.steps.entry(call.place).or_default();
        let before = ledger.clone();
        let deed = deed(ledger);
        let after = ledger.clone();
        let refused = call.direction == Direction::Action && deed.says == Said::Refused;
        inner.marks.extend((before.tombstone && refused).then_some(Mark::Tombstoned));
        inner.marks.extend(deed.lied.then_some(Mark::Lied));
        self.trace.line(
            Some(id),
            format_args!(
                "arrives {} #{}: {:?}, done {} undone {}",
                call.key, call.attempt, deed.says, after.done, after.undone
            ),
        );
        if honest {
            let twice = (after.done > 1 || after.undone > 1)
                .then(|| format!("it is done {} and undone {} times", after.done, after.undone));
            inner.check(&self.trace, Law::S4, Some(id), twice);
            if call.direction == Direction::Compensation {
                let nothing = before.done == 0 && (after.undone > 0 || after.done > 0);
                let nothing = nothing.then(|| "what never ran was undone".to_owned());
                inner.check(&self.trace, Law::S9, Some(id), nothing);
            } else if before.found_nothing && barrier {
                let done = (after.done > before.done)
                    .then(|| "it was done after its tombstone".to_owned());
                inner.check(&self.trace, Law::S10, Some(id), done);
            }
        }
        deed
    }
}

impl Known {
    /// May it be done after all, though everything that counts was settled before: is it a late success,
    /// which has its own undo or its attention (section 5)? So it may when a person has said what it came
    /// to; when its undo, which had found nothing where no tombstone is left, was acknowledged; and when
    /// the refusal of one of two copies of its only sending spoke for both.
    fn may_be_done_late(&self, at: RunRef, ledger: &StepLedger) -> bool {
        let run = self.saga.run(at);
        let undo = run.and_then(|run| run.undo.as_ref());
        let said = run.is_some_and(|run| run.resolved)
            || undo
                .and_then(|undo| undo.end.as_ref())
                .is_some_and(|end| matches!(end, UndoEnd::Resolved(_) | UndoEnd::Skipped(_)));
        let acknowledged = undo.is_some_and(|undo| undo.end.is_some() || undo.second_round);
        let found_nothing = ledger.found_nothing && !ledger.tombstone && acknowledged;
        let copied = ledger.twin && self.refused.contains(&at);
        said || found_nothing || copied
    }
}

/// How many shards an engine has.
const SHARDS: u32 = 4;

/// After so many failures of a service a shard leaves it alone for a second.
const FAILURES_MAX: u64 = 10;

/// The most commands that a service may have got so many seconds after a start (L5): each shard sends
/// it its share of the pace in the first second, and at most twice as many in each that follows.
/// Nothing is said from when on a service may have failed so often that it was left alone, and is
/// sent what waited at the pace of one that has come back.
fn paced(rate: u32, seconds: u64) -> Option<u64> {
    let share = u64::from(rate.div_ceil(SHARDS));
    let within = |seconds: u64| {
        let doubled = 1_u64.checked_shl(u32::try_from(seconds).ok()?)?;
        share.checked_mul(doubled - 1)
    };
    if within(seconds - 1)? >= FAILURES_MAX {
        return None;
    }
    u64::from(SHARDS).checked_mul(within(seconds)?)
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Inner {
    /// Does the service of a step promise tombstones?
    fn keeps_tombstones(&self, plan: &Plan, at: Place) -> bool {
        let Some(known) = self.truth.saga(at.saga) else { return false };
        let action = known.definition.step(at.run.step).action();
        let service = action.and_then(|command| plan.service(&command.service));
        service.is_some_and(|service| service.fence == Some(Fence::Barrier))
    }

    /// Is it a step whose service breaks its promises? Then nothing is promised of that step.
    pub(crate) fn lied_to(&self, plan: &Plan, at: Place) -> bool {
        let Some(known) = self.truth.saga(at.saga) else { return false };
        let step = known.definition.step(at.run.step);
        [step.action(), step.compensation()]
            .into_iter()
            .flatten()
            .any(|command| plan.service(&command.service).is_some_and(|service| service.lies))
    }

    /// What the arrival of this undo breaks of the order of undos, and of the point of no return.
    fn broken_by_undo(&self, plan: &Plan, at: Place) -> (Option<String>, Option<String>) {
        let Some(known) = self.truth.saga(at.saga) else { return (None, None) };
        let (mut order, mut no_return) = (None, None);
        let pivot = known.definition.steps().iter().any(|step| step.kind == Kind::Pivot);
        for (place, ledger) in self.of(at.saga) {
            if known.may_be_done_late(place.run, ledger) || self.lied_to(plan, *place) {
                continue;
            }
            let step = known.definition.step(place.run.step);
            let decisive = match step.kind {
                Kind::Pivot => true,
                Kind::Retriable => !pivot,
                Kind::Compensatable | Kind::BestEffort => false,
            };
            if decisive && ledger.done > 0 {
                no_return = Some(format!("{} is done, and an undo came", step.name));
            }
            let depends =
                known.definition.descendants(at.run.step).contains(StepIx(place.run.step.0));
            if depends && step.compensation().is_some() && ledger.done > ledger.undone {
                order = Some(format!("{} depends on it and is not undone", step.name));
            }
        }
        (order, no_return)
    }

    /// The ledgers of a saga.
    pub(crate) fn of(&self, saga: SagaId) -> impl Iterator<Item = (&Place, &StepLedger)> {
        let run = |step, run| RunRef { step: StepIx(step), run };
        let (first, last) = (run(0, 0), run(u8::MAX, u8::MAX));
        self.ledgers.steps.range(Place { saga, run: first }..=Place { saga, run: last })
    }
}
