//! A lane: what one service of one shard may be sent, and who waits for it.
//!
//! Sending is pulled: a command is only given to the journal when its lane has room, so there is no
//! queue of commands behind the journal. A lane has room while its window is not used up, its
//! circuit is closed (or a probe is due), and its pace allows one more.

use std::collections::VecDeque;

use amends_core::{Direction, Millis, RunRef, SagaId, Time};

/// The circuit opens after this many failures without a success …
const FAILURES_MAX: u32 = 10;
/// … that came within this time.
const FAILURES_WITHIN: Millis = Millis::secs(10);
/// How often an open circuit lets one command through.
const PROBE_EVERY: Millis = Millis::secs(1);
/// A pace above this many a second limits nothing a machine of this size could do.
const PACE_MAX: u32 = 64_000;

/// A command that waits for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Whose.
    pub saga: SagaId,
    /// Which run.
    pub run: RunRef,
    /// Which of its commands.
    pub direction: Direction,
}

/// What an attempt says about the service's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It answered, whatever it said.
    Answered,
    /// It could not be reached, or failed to answer as itself.
    Failed,
}

/// See the module.
#[derive(Debug)]
pub struct Lane {
    window: usize,
    in_flight: usize,
    waiting: VecDeque<Waiting>,
    circuit: Circuit,
    pace: Option<Pace>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    Closed { failures: u32, since: Time },
    Open { probe_at: Time },
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    per_second: u32,
    left: u32,
    second: Time,
    answered: bool,
}

impl Lane {
    /// A lane that starts at `per_second`, and doubles that while answers come.
    pub fn new(window: usize, per_second: Option<u32>, now: Time) -> Self {
        let closed = Circuit::Closed { failures: 0, since: now };
        Self {
            window: window.max(1),
            in_flight: 0,
            waiting: VecDeque::new(),
            circuit: closed,
            pace: per_second.map(|rate| Pace::new(rate, now)),
        }
    }

    /// Takes a place, if there is room now.
    pub fn take(&mut self, now: Time) -> bool {
        if self.in_flight >= self.window {
            return false;
        }
        if let Circuit::Open { probe_at } = &mut self.circuit {
            if now < *probe_at {
                return false;
            }
            *probe_at = now + PROBE_EVERY;
        } else if self.pace.as_mut().is_some_and(|pace| !pace.take(now)) {
            return false;
        }
        self.in_flight += 1;
        true
    }

    /// Gives a place back that was taken for nothing.
    pub fn give_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Gives a place back with what its attempt says about the service.
    pub fn over(&mut self, sign: Option<Sign>, now: Time) {
        self.give_back();
        match sign {
            Some(Sign::Answered) => self.answered(now),
            Some(Sign::Failed) => self.failed(now),
            None => {}
        }
    }

    /// Puts a command into the queue. There is at most one entry a command, so the queue is bounded
    /// by the sagas in memory.
    pub fn wait(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }

    /// The first command in the queue.
    pub fn first(&self) -> Option<Waiting> {
        self.waiting.front().copied()
    }

    /// Takes the first command out of the queue that waits for nothing any more.
    pub fn drop_first(&mut self) {
        self.waiting.pop_front();
    }

    /// The next command in the queue, with a place taken for it.
    pub fn next(&mut self, now: Time) -> Option<Waiting> {
        if self.waiting.is_empty() || !self.take(now) {
            return None;
        }
        self.waiting.pop_front()
    }

    /// When there may be room again by time alone, for somebody who waits.
    pub fn room_at(&self) -> Option<Time> {
        if self.waiting.is_empty() || self.in_flight >= self.window {
            return None;
        }
        match (self.circuit, &self.pace) {
            (Circuit::Open { probe_at }, _) => Some(probe_at),
            (_, Some(pace)) if pace.left == 0 => Some(pace.second + Millis::secs(1)),
            _ => None,
        }
    }

    /// Is the circuit open?
    pub fn is_open(&self) -> bool {
        matches!(self.circuit, Circuit::Open { .. })
    }

    /// How many commands are out, and how many wait.
    pub fn load(&self) -> (usize, usize) {
        (self.in_flight, self.waiting.len())
    }

    fn answered(&mut self, now: Time) {
        if self.is_open() {
            // What waited for the service comes back paced, not all at once.
            self.pace = Some(Pace::new(Pace::AFTER_CIRCUIT, now));
        }
        self.circuit = Circuit::Closed { failures: 0, since: now };
        if let Some(pace) = &mut self.pace {
            pace.answered = true;
        }
    }

    fn failed(&mut self, now: Time) {
        let Circuit::Closed { failures, since } = self.circuit else { return };
        let (failures, since) =
            if now.since(since) > FAILURES_WITHIN { (1, now) } else { (failures + 1, since) };
        self.circuit = if failures >= FAILURES_MAX {
            Circuit::Open { probe_at: now + PROBE_EVERY }
        } else {
            Circuit::Closed { failures, since }
        };
    }
}

impl Pace {
    /// What a service gets a second when its circuit has just closed.
    const AFTER_CIRCUIT: u32 = 500;

    fn new(per_second: u32, now: Time) -> Self {
        Self { per_second, left: per_second, second: now, answered: false }
    }

    fn take(&mut self, now: Time) -> bool {
        if now.since(self.second) >= Millis::secs(1) {
            if self.answered && self.per_second < PACE_MAX {
                self.per_second *= 2;
            }
            *self = Self { left: self.per_second, second: now, answered: false, ..*self };
        }
        if self.per_second >= PACE_MAX {
            return true;
        }
        let has_room = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has_room
    }
}

#[cfg(test)]
mod tests {
    use amends_core::StepIx;

    use super::*;

    const START: Time = Time(1_000_000);

    fn waiting(n: u128) -> Waiting {
        let run = RunRef::only(StepIx(0));
        Waiting { saga: SagaId(n), run, direction: Direction::Action }
    }

    #[test]
    fn a_window_is_used_up_and_freed() {
        let mut lane = Lane::new(2, None, START);
        assert!(lane.take(START) && lane.take(START) && !lane.take(START));
        lane.over(Some(Sign::Answered), START);
        assert!(lane.take(START));
    }

    #[test]
    fn who_waits_is_served_in_order() {
        let mut lane = Lane::new(1, None, START);
        lane.wait(waiting(1));
        lane.wait(waiting(2));
        assert_eq!(lane.next(START), Some(waiting(1)));
        assert_eq!(lane.next(START), None);
        lane.over(None, START);
        assert_eq!(lane.next(START), Some(waiting(2)));
    }

    #[test]
    fn ten_failures_in_ten_seconds_open_the_circuit_and_a_probe_that_is_answered_closes_it() {
        let mut lane = Lane::new(64, None, START);
        for _ in 0..10 {
            assert!(lane.take(START));
            lane.over(Some(Sign::Failed), START);
        }
        lane.wait(waiting(1));
        assert!(lane.is_open());
        assert_eq!((lane.next(START), lane.room_at()), (None, Some(START + Millis::secs(1))));
        let later = START + Millis::secs(1);
        assert_eq!(lane.next(later), Some(waiting(1)));
        assert!(!lane.take(later), "one probe a second");
        lane.over(Some(Sign::Answered), later);
        assert!(!lane.is_open() && lane.take(later));
    }

    #[test]
    fn what_waited_for_an_open_circuit_comes_back_paced() {
        let mut lane = Lane::new(10_000, None, START);
        for _ in 0..FAILURES_MAX {
            assert!(lane.take(START));
            lane.over(Some(Sign::Failed), START);
        }
        let later = START + PROBE_EVERY;
        assert!(lane.take(later));
        lane.over(Some(Sign::Answered), later);
        let served = (0..10_000).filter(|_| lane.take(later)).count();
        assert_eq!(served, Pace::AFTER_CIRCUIT as usize);
    }

    #[test]
    fn failures_far_apart_do_not_open_the_circuit() {
        let mut lane = Lane::new(64, None, START);
        for n in 0..100 {
            lane.take(START);
            lane.over(Some(Sign::Failed), START + Millis::secs(2 * n));
        }
        assert!(!lane.is_open());
    }

    #[test]
    fn a_pace_limits_a_second_and_doubles_while_answers_come() {
        let mut lane = Lane::new(10_000, Some(100), START);
        let served = |lane: &mut Lane, at| (0..1_000).filter(|_| lane.take(at)).count();
        let first = served(&mut lane, START);
        lane.over(Some(Sign::Answered), START);
        let second = served(&mut lane, START + Millis::secs(1));
        let third = served(&mut lane, START + Millis::secs(2));
        assert_eq!([first, second, third], [100, 200, 200]);
    }

    #[test]
    fn a_pace_of_one_a_second_is_one_a_second() {
        let mut lane = Lane::new(10_000, Some(1), START);
        lane.wait(waiting(1));
        assert!(lane.take(START) && !lane.take(START));
        assert_eq!(lane.room_at(), Some(START + Millis::secs(1)));
        assert!(lane.take(START + Millis::secs(1)));
    }
}
