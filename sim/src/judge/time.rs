//! Time: what the engines' clocks have come to, and the outages in which nobody ran.
//!
//! No deadline that stood then may count an outage (section 5, time): each saga that waits hears of it
//! before anything else happens to it, and its deadlines have moved by as much. When nobody ran is
//! known from the world, which kills, freezes and starts the engines, and never from what they noticed.

use amends_core::event::Event;
use amends_core::saga::Settled;
use amends_core::{Millis, Saga, Time};

use super::{Inner, Judge, Known};

/// What is longer is an outage, for which deadlines make up; that is said in section 5 too.
const OUTAGE_AFTER: Millis = Millis::secs(5);

/// The clock of an opening's engine.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    /// What it said at most when it was read.
    started: Time,
    /// The moment of the run at which that was.
    pub(crate) read_at: u64,
    /// The moment from which nothing that the engine writes is taken any more.
    over_at: Option<u64>,
}

impl Clock {
    /// What it says at most.
    pub(crate) fn says(&self, now: u64) -> Time {
        self.started + Millis(now - self.read_at)
    }

    /// What it has come to at most while its engine could still write that down.
    fn reached(&self, now: u64) -> Time {
        self.says(self.over_at.map_or(now, |over| over.min(now)))
    }
}

/// A time in which nobody ran: at least so long of it, and by no engine's clock before this.
#[derive(Clone, Copy)]
pub(crate) struct Outage {
    from: Time,
    lasted: Millis,
}

impl Judge {
    /// An engine has read the wall clock. Its time is at most that, or what an engine before it had
    /// come to: it does not go back when the wall clock was set back. It may be less, where the one
    /// before has written nothing down, so a fact of a later time is wrong for certain, and so is an
    /// outage that is taken for shorter than from there to the wall clock.
    pub fn clock_read(&self, opening: u64, wall: Time) {
        let now = self.trace.now();
        let mut inner = self.inner();
        let reached = inner.truth.clocks.values().map(|clock| clock.reached(now)).max();
        let started = reached.map_or(wall, |reached| reached.max(wall));
        inner.truth.clocks.insert(opening, Clock { started, read_at: now, over_at: None });
        inner.goes_back(reached.map_or(Millis::ZERO, |reached| reached.since(wall)));
        if let Some(from) = reached {
            inner.missed(Outage { from, lasted: wall.since(from) });
        }
    }

    /// Nothing of the engine of that opening runs for so long.
    pub fn freezes(&self, opening: u64, lasted: Millis) {
        let now = self.trace.now();
        let mut inner = self.inner();
        if let Some(from) = inner.truth.clocks.get(&opening).map(|clock| clock.says(now)) {
            inner.missed(Outage { from, lasted });
        }
    }

    /// The engine of that opening is dead, or another has taken all of its shards.
    pub fn is_over(&self, opening: u64) {
        let now = self.trace.now();
        if let Some(clock) = self.inner().truth.clocks.get_mut(&opening) {
            clock.over_at.get_or_insert(now);
        }
    }
}

impl Inner {
    /// The engines' time goes back by so much at most: what of an outage nobody has written down was none.
    fn goes_back(&mut self, by: Millis) {
        let missed = self.truth.sagas.values_mut().flat_map(|known| &mut known.missed);
        missed.for_each(|outage| outage.lasted.0 = outage.lasted.0.saturating_sub(by.0));
    }

    /// Every saga that waits has to hear of it. A pause makes up for all of its time when it ends.
    fn missed(&mut self, outage: Outage) {
        if outage.lasted <= OUTAGE_AFTER {
            return;
        }
        for known in self.truth.sagas.values_mut().filter(|known| waits(&known.saga)) {
            known.missed.push(outage);
        }
    }
}

fn waits(saga: &Saga) -> bool {
    !saga.state.ended() && saga.paused.is_none()
}

/// A fact of this time has led to what is known now: has the saga heard of the outages before it, and
/// did its deadlines move by as much, and by no more than there was? Nothing is said where there was no
/// outage. A fact of before it may become durable after it.
pub(super) fn made_up(
    known: &mut Known,
    before: &Saga,
    at: Time,
    event: &Event,
) -> Option<Option<String>> {
    let (missed, mut later): (Vec<_>, Vec<_>) =
        known.missed.drain(..).partition(|outage| outage.from < at);
    let long = missed.iter().filter(|outage| outage.lasted > OUTAGE_AFTER);
    let missed = Millis(long.map(|outage| outage.lasted.0).sum());
    if let Event::OutageEnded { lasted } = event {
        // The clock may be behind what it says at most.
        later.retain(|outage| missed.0 + outage.lasted.0 > lasted.0);
    }
    if waits(&known.saga) {
        known.missed = later;
    }
    match event {
        Event::OutageEnded { lasted } if *lasted > at.since(before.updated_at) => {
            Some(Some(format!("an outage of {lasted} since its last fact, which is younger")))
        }
        Event::OutageEnded { .. } => Some(
            too_little(before, &known.saga, missed)
                .then(|| format!("a deadline moved by less than the outage of {missed}")),
        ),
        _ if missed > Millis::ZERO => {
            Some(Some(format!("it goes on and was not told of the outage of {missed}")))
        }
        _ => None,
    }
}

/// Did a deadline that stood move by less than that?
fn too_little(before: &Saga, after: &Saga, missed: Millis) -> bool {
    let mut open = before.runs().filter(|(_, run)| run.settled == Settled::Open);
    let step =
        open.any(|(at, was)| after.run(at).is_some_and(|is| is.deadline < was.deadline + missed));
    step || before.deadline.is_some_and(|was| after.deadline < Some(was + missed))
}
