//! What follows from an input: the saga's next facts.
//!
//! [`decide`] moves the saga as it records, through the same `apply` that a recovery uses. A refused
//! input leaves it as it was. After the input itself come its *consequences* — steps that become
//! ready, the decision to compensate, the end — and the attention that holds from then on.

mod answers;
mod attention;
mod consequences;
mod sending;
mod timers;
mod verbs;

use alloc::vec::Vec;

use crate::definition::{Backoff, Definition, Jitter};
use crate::event::{Event, Started};
use crate::ids::RunRef;
use crate::input::{Input, Moment, Refusal};
use crate::mutant::{Mutant, mutated};
use crate::saga::{Run, Saga};
use crate::time::{Millis, Time};

/// The longest a participant's "try again after" is honoured: a slip of the pen there must not park
/// a saga for days.
pub const RETRY_AFTER_MAX: Millis = Millis::mins(60);

/// Starts a saga: its state and its first facts.
pub fn start(def: &Definition, started: Started, now: Moment) -> (Saga, Vec<Event>) {
    let mut saga = Saga::started(&started, now.at);
    let mut facts = alloc::vec![Event::Started(started)];
    let mut decision = Decision { def, saga: &mut saga, now, facts: &mut facts };
    decision.settle();
    (saga, facts)
}

/// Takes an input in: moves the saga and appends the facts it moved by. Nothing is appended for an
/// input that says what is known already (S16).
pub fn decide(
    def: &Definition,
    saga: &mut Saga,
    now: Moment,
    input: Input,
    facts: &mut Vec<Event>,
) -> Result<(), Refusal> {
    let mut decision = Decision { def, saga, now, facts };
    match input {
        Input::Tick => decision.tick(),
        Input::Evaluated { step, value } => decision.evaluated(step, value)?,
        Input::Room { run, direction, terms } => decision.room(run, direction, terms)?,
        Input::Unbound { run } => decision.unbound(run)?,
        Input::Answer(answer) => decision.answer(answer)?,
        Input::Lost { run, direction } => decision.lost(run, direction)?,
        Input::Signal { name, body } => decision.signal(name, body)?,
        // A pause makes up for all of its time when it ends.
        Input::Outage { .. } if decision.saga.paused.is_some() => {}
        Input::Outage { lasted } => decision.record(Event::OutageEnded { lasted }),
        Input::Verb { verb, act } => decision.verb(verb, act)?,
    }
    decision.settle();
    Ok(())
}

/// One decision in the making.
struct Decision<'a> {
    def: &'a Definition,
    saga: &'a mut Saga,
    now: Moment,
    facts: &'a mut Vec<Event>,
}

impl Decision<'_> {
    /// Writes a fact and takes it in. A fact that does not fit is a mistake in this crate, and goes
    /// no further than this saga: the explorer and the tests look for it.
    fn record(&mut self, event: Event) {
        let applied = self.saga.apply(self.now.at, &event);
        debug_assert!(applied.is_ok(), "{applied:?}: {event:?}");
        let unwritten =
            mutated(Mutant::FactUnwritten) && matches!(event, Event::AttentionRaised { .. });
        if applied.is_ok() && !unwritten {
            self.facts.push(event);
        }
    }

    fn run(&self, at: RunRef) -> Result<&Run, Refusal> {
        self.saga.run(at).ok_or(Refusal::NoSuchStep)
    }

    fn at(&self) -> Time {
        self.now.at
    }

    /// When to try again after the `n`-th try, counted from 1.
    fn backoff(&self, backoff: Backoff, n: u32) -> Time {
        self.at() + backoff.pause(n, self.now.jitter)
    }
}

impl Backoff {
    /// The pause after the `n`-th try, counted from 1; `jitter` is a random number.
    pub fn pause(&self, n: u32, jitter: u32) -> Millis {
        let factor = u128::from(self.factor_percent.max(100));
        let mut pause = self.initial.0.min(self.max.0);
        for _ in 1..n {
            if pause >= self.max.0 || pause == 0 || factor == 100 {
                break;
            }
            // At least one millisecond longer, or a small pause would never grow.
            let longer = (u128::from(pause) * factor / 100).max(u128::from(pause) + 1);
            pause = u64::try_from(longer).unwrap_or(u64::MAX).min(self.max.0);
        }
        match self.jitter {
            Jitter::None => Millis(pause),
            Jitter::Full => {
                let share = ((u128::from(pause) + 1) * u128::from(jitter)) >> 32;
                Millis(share as u64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_to_its_limit_and_no_further() {
        let backoff = Backoff {
            initial: Millis(200),
            factor_percent: 200,
            max: Millis::secs(10),
            jitter: Jitter::None,
        };
        let pauses = [1, 2, 3, 6, 7, 1_000_000].map(|n| backoff.pause(n, 7).0);
        assert_eq!(pauses, [200, 400, 800, 6_400, 10_000, 10_000]);
    }

    #[test]
    fn full_jitter_takes_any_share_of_the_pause() {
        let backoff = Backoff {
            initial: Millis(1_000),
            factor_percent: 200,
            max: Millis::secs(10),
            jitter: Jitter::Full,
        };
        let shares = [0, u32::MAX / 2, u32::MAX].map(|jitter| backoff.pause(1, jitter).0);
        assert_eq!(shares, [0, 500, 1_000]);
    }
}
