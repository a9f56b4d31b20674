//! Carrying out an own step: its guard, its handler, its record and its events, in one transaction.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use amends_choreography::{Answered, InVain, Reason, Record, Service, Task};
use amends_core::Millis;
use amends_wire::SagaId;
use amends_wire::envelope::{AMENDS_ATTEMPT, AMENDS_DEADLINE, TRACEPARENT, rfc3339};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use serde_json::value::RawValue;
use tracing::{Instrument, error, warn};

use super::turn::{Turned, Unturned, What};
use super::{Choreographies, Hands, counts::count};
use crate::about::About;
use crate::answer::{Answer, Doubt};
use crate::command::Command;
use crate::database::Database;
use crate::ending::Failed;
use crate::run::Beside;
use crate::tx::Tx;

/// Answers of the kit's own that say that the handler has to wait: they use up no attempt.
pub(crate) const UNASKED: [&str; 3] = ["BUSY", "CONFLICT", "DATABASE_UNAVAILABLE"];

impl<D: Database> Choreographies<D> {
    /// Carries out what is asked, and what follows from that, until the service owes the saga nothing more
    /// for now.
    pub(super) async fn carry_out(&self, service: &Service, saga_id: SagaId, turned: Turned) {
        let Turned { asks, traceparent, late: _ } = turned;
        // Handlers of our own wait for one another at the saga's row; one elsewhere that hangs holds up
        // no other.
        let at_once = if matches!(self.0.hands, Hands::Own) { 1 } else { usize::MAX };
        let mut asks: VecDeque<(Task, Bytes)> = asks.into();
        let mut at_work = FuturesUnordered::new();
        loop {
            while at_work.len() < at_once
                && let Some((task, body)) = asks.pop_front()
            {
                let traceparent = traceparent.as_deref();
                at_work.push(async move {
                    (task, self.ask(service, saga_id, task, &body, traceparent).await)
                });
            }
            let Some((task, asked)) = at_work.next().await else { return };
            match asked {
                // What was asked already is among it, and nothing is done twice.
                Ok(turned) => {
                    for ask in turned.asks {
                        if !asks.contains(&ask) {
                            asks.push_back(ask);
                        }
                    }
                }
                Err(Unturned::NotTaken(_)) => {}
                // The row says when it is tried again.
                Err(why) => {
                    let step = service.step_name(task.step);
                    error!(saga_id = %saga_id, step, "what became of the step is not kept yet: {why}");
                }
            }
        }
    }

    async fn ask(
        &self,
        service: &Service,
        saga_id: SagaId,
        task: Task,
        body: &Bytes,
        traceparent: Option<&str>,
    ) -> Result<Turned, Unturned> {
        if let Hands::Elsewhere(transport) = &self.0.hands {
            let asked = (task, body.clone(), traceparent);
            return self.ask_elsewhere(transport, service, saga_id, asked).await;
        }
        let step = task.step;
        let (attempt, deadline) = (task.attempt.to_string(), task.deadline.map(|at| rfc3339(at.0)));
        let mut headers = vec![(AMENDS_ATTEMPT, &*attempt)];
        headers.extend(deadline.as_deref().map(|at| (AMENDS_DEADLINE, at)));
        headers.extend(traceparent.map(|trace| (TRACEPARENT, trace)));
        let command = match Command::read(service.name(), None, &headers[..], body) {
            Ok(command) => command,
            Err(breach) => {
                let why = Reason::new(breach.code(), &breach.to_string());
                return self.turn(service, saga_id, &in_vain(task, why, false)).await;
            }
        };
        let about = About::of(&command);
        let beside =
            Keeping { of: self, service, saga_id, task, state: Mutex::new(State::default()) };
        let span = about.span(&command);
        let carried_out =
            self.0.participant.carry_out_beside(&beside, &command, &about).instrument(span);
        let (answer, is_whole) = carried_out.await;
        let state = beside.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(foreign) = state.unreadable {
            return Err(foreign);
        }
        if state.is_settled {
            return Ok(Turned::default());
        }
        if is_whole && let Some(turned) = state.turned {
            self.say_late(service, saga_id, &turned);
            return Ok(turned);
        }
        let what = match answer {
            // The guard had the answer already, and the record did not: as when a database was restored.
            Answer::Completed(result) => match RawValue::from_string(result) {
                Ok(result) => What::Answered(step, Answered::Completed(result)),
                Err(_) => in_vain(task, Reason::new("BAD_DATA", "the result is no JSON"), false),
            },
            Answer::Undone(_) => What::Answered(step, Answered::Undone),
            Answer::Refused(error) => What::Answered(step, Answered::Refused(reason(&error))),
            Answer::Transient { code, message, retry_after } => {
                let after = retry_after.and_then(|after| u64::try_from(after.as_millis()).ok());
                let why = Reason::new(code, message);
                let (not_before, asked) = (after.map(Millis), !UNASKED.contains(&&*why.code));
                What::InVain(step, InVain { not_before, asked, ..InVain::of(why) })
            }
            // Whoever holds the saga's row sees what was committed.
            Answer::Unknown(Doubt::CommitLost) => {
                in_vain(task, Reason::new("OUTCOME_UNKNOWN", "the commit's answer was lost"), true)
            }
            Answer::Unknown(Doubt::TransactionEnded) => in_vain(
                task,
                Reason::new("OUTCOME_UNKNOWN", "the handler has ended its transaction"),
                false,
            ),
            Answer::Breach(breach) => {
                in_vain(task, Reason::new(breach.code(), &breach.to_string()), false)
            }
        };
        if let What::InVain(_, InVain { why, .. }) = &what {
            count(&self.0.counts.in_vain);
            let (step, attempt) = (service.step_name(step), task.attempt);
            warn!(
                saga_id = %saga_id, step, attempt, direction = task.direction.as_str(), code = why.code,
                "the attempt came to nothing; it is tried again: {}", why.message
            );
        }
        self.turn(service, saga_id, &what).await
    }
}

/// What stands beside the command in its transaction: the saga's row, held from before the claim, so that
/// whatever bars the step comes before or after it.
struct Keeping<'a, D: Database> {
    of: &'a Choreographies<D>,
    service: &'a Service,
    saga_id: SagaId,
    task: Task,
    state: Mutex<State>,
}

/// Of the try that is under way.
#[derive(Default)]
struct State {
    record: Option<Record>,
    /// It is not owed any more.
    is_settled: bool,
    unreadable: Option<Unturned>,
    turned: Option<Turned>,
}

impl<D: Database> Beside<D> for Keeping<'_, D> {
    fn before<'a>(&'a self, tx: &'a mut Tx<D>) -> BoxFuture<'a, sqlx::Result<bool>> {
        async move {
            let held = self.of.hold(tx, self.service, self.saga_id).await;
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            *state = State::default();
            match held {
                // Not while it rests: what was asked before may have come to nothing meanwhile.
                Ok(record) if self.is_due(&record) => {
                    state.record = Some(record);
                    Ok(true)
                }
                Ok(_) => {
                    state.is_settled = true;
                    Ok(false)
                }
                Err(Unturned::Database(error)) => Err(error),
                Err(why) => {
                    state.unreadable = Some(why);
                    Ok(false)
                }
            }
        }
        .boxed()
    }

    fn after<'a>(
        &'a self,
        tx: &'a mut Tx<D>,
        _command: &'a Command,
        answer: &'a Answer,
    ) -> BoxFuture<'a, Result<(), Failed>> {
        async move {
            let held = || self.state.lock().unwrap_or_else(PoisonError::into_inner).record.take();
            let mut record = held().ok_or_else(|| Failed::new("the saga's row is not held"))?;
            let answered = match answer {
                Answer::Completed(result) => {
                    Answered::Completed(RawValue::from_string(result.clone())?)
                }
                _ => Answered::Undone,
            };
            let now = self.of.now();
            let events = self.service.answered(&mut record, self.task.step, answered, now)?;
            let turned = self.of.keep(tx, self.service, &mut record, events, now).await?;
            tx.note_published();
            self.state.lock().unwrap_or_else(PoisonError::into_inner).turned = Some(turned);
            Ok(())
        }
        .boxed()
    }
}

impl<D: Database> Keeping<'_, D> {
    fn is_due(&self, record: &Record) -> bool {
        let (step, direction) = (self.task.step, self.task.direction);
        let due = self.service.tasks(record, self.of.now().at);
        due.iter().any(|task| (task.step, task.direction) == (step, direction))
    }
}

fn in_vain(task: Task, why: Reason, is_known: bool) -> What<'static> {
    What::InVain(task.step, InVain { is_known, ..InVain::of(why) })
}

/// A refusal's error, as the guard stores it.
pub(crate) fn reason(error: &str) -> Reason {
    #[derive(serde::Deserialize, Default)]
    struct Error {
        code: Option<String>,
        message: Option<String>,
    }
    let error: Error = serde_json::from_str(error).unwrap_or_default();
    let (code, message) = (error.code.unwrap_or_default(), error.message.unwrap_or_default());
    Reason::new(&code, &message)
}
