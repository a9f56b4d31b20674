//! What follows by itself: lateness, conditions, and what is to be asked.

use amends_core::StepIx;
use amends_core::definition::Kind;
use amends_wire::Direction;
use bytes::Bytes;

use crate::event::{Reason, SagaEvent};
use crate::record::Record;
use crate::service::{Answered, InVain, Moment, NotTaken, Service};
use crate::tasks::{Prepared, Task};

/// What follows by itself.
#[derive(Clone, Debug, Default)]
pub struct Advance {
    /// What is to be published.
    pub events: Vec<SagaEvent>,
    /// What is to be asked of the service's handlers now, each with the command's body.
    pub asks: Vec<(Task, Bytes)>,
    /// The steps, the service's own or those that it waits for, that are late; each is said once.
    pub late: Vec<StepIx>,
}

impl Service {
    /// Moves on what moves by itself, now that something was taken in or time has passed: says what is
    /// late, passes over steps whose condition does not hold, and prepares what is to be asked.
    pub fn advance(&self, record: &mut Record, now: Moment) -> Advance {
        let (late, mut events) = self.late(record, now);
        // Each pass settles a step for good, or puts it off.
        let mut asks = Vec::new();
        let mut passes = 0;
        while passes <= self.of.choreography().definition().steps().len() {
            asks.clear();
            let mut has_moved = false;
            for task in self.tasks(record, now.at) {
                let settled = match self.prepare(record, task.step, task.direction) {
                    Ok(Prepared::Ask(body)) => {
                        asks.push((task, body));
                        continue;
                    }
                    Ok(Prepared::Skip) => self.answered(record, task.step, Answered::Skipped, now),
                    Err(why) => self.unprepared(record, task, why, now),
                };
                events.extend(settled.unwrap_or_default());
                has_moved = true;
            }
            if !has_moved {
                break;
            }
            passes += 1;
        }
        Advance { events, asks, late }
    }

    /// What cannot be asked, since an expression has no value, is refused; or waits for whoever mends
    /// it, where the step must not be given up.
    fn unprepared(
        &self,
        record: &mut Record,
        task: Task,
        why: Reason,
        now: Moment,
    ) -> Result<Vec<SagaEvent>, NotTaken> {
        let is_given_up = task.direction == Direction::Action
            && self.of.step(task.step).kind != Kind::Retriable
            && !record.part.begun.contains(task.step);
        if is_given_up {
            return self.answered(record, task.step, Answered::Refused(why), now);
        }
        self.tried(record, task.step, InVain::of(why), now)
    }
}
