//! Carrying out an action, or an undo: its guard, its handler, its run's row and the events that it says, in
//! one transaction.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use amends_choreography::free::{Answered, Record, Service, Task};
use amends_choreography::{InVain, Reason};
use amends_core::Millis;
use amends_wire::SagaId;
use amends_wire::envelope::{AMENDS_ATTEMPT, TRACEPARENT};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use tracing::{Instrument, error, warn};

use super::turn::{Turned, Unturned, What};
use super::{Reactions, now};
use crate::about::About;
use crate::answer::{Answer, Doubt};
use crate::choreography::asking::{UNASKED, reason};
use crate::choreography::counts::count;
use crate::command::Command;
use crate::database::Database;
use crate::ending::Failed;
use crate::guard::ALREADY_UNDONE;
use crate::run::Beside;
use crate::tx::Tx;

impl<D: Database> Reactions<D> {
    /// Carries out what is asked, and what follows from that, until nothing is owed any more for now.
    pub(super) async fn carry_out(&self, service: &Service, saga_id: SagaId, turned: Turned) {
        let Turned { asks, traceparent } = turned;
        let mut asks: VecDeque<(Task, Bytes)> = asks.into();
        while let Some((task, body)) = asks.pop_front() {
            match self.ask(service, saga_id, task, &body, traceparent.as_deref()).await {
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
                    let action = service.action(task);
                    error!(saga_id = %saga_id, action, "what became of it is not kept yet: {why}");
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
        let attempt = task.attempt.to_string();
        let mut headers = vec![(AMENDS_ATTEMPT, &*attempt)];
        headers.extend(traceparent.map(|trace| (TRACEPARENT, trace)));
        let command = match Command::read(service.name(), None, &headers[..], body) {
            Ok(command) => command,
            Err(breach) => {
                let why = Reason::new(breach.code(), &breach.to_string());
                return self.in_vain(service, saga_id, task, InVain::of(why)).await;
            }
        };
        let about = About::of(&command);
        let beside = Keeping { of: self, service, saga_id, task, state: Mutex::default() };
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
            return Ok(turned);
        }
        let known = |why| InVain::of(why);
        let in_vain = match answer {
            // The guard had the answer already, and the record did not: as when a database was restored.
            Answer::Completed(result) => match RawValue::from_string(result) {
                Ok(result) => {
                    let what = What::Answered(task, Answered::Completed(result));
                    return self.turn(service, saga_id, &what).await;
                }
                Err(_) => known(Reason::new("BAD_DATA", "the result is no JSON")),
            },
            Answer::Undone(anything) => {
                let what = What::Answered(task, Answered::Undone { anything });
                return self.turn(service, saga_id, &what).await;
            }
            Answer::Refused(error) => {
                let why = reason(&error);
                let is_barred = why.code == ALREADY_UNDONE;
                let answered = if is_barred { Answered::Barred } else { Answered::Refused(why) };
                return self.turn(service, saga_id, &What::Answered(task, answered)).await;
            }
            Answer::Transient { code, message, retry_after } => {
                let after = retry_after.and_then(|after| u64::try_from(after.as_millis()).ok());
                let why = Reason::new(code, message);
                let asked = !UNASKED.contains(&&*why.code);
                InVain { not_before: after.map(Millis), asked, ..known(why) }
            }
            // Whoever holds the run's row sees what was committed.
            Answer::Unknown(Doubt::CommitLost) => {
                known(Reason::new("OUTCOME_UNKNOWN", "the commit's answer was lost"))
            }
            Answer::Unknown(Doubt::TransactionEnded) => InVain {
                is_known: false,
                ..known(Reason::new("OUTCOME_UNKNOWN", "the handler has ended its transaction"))
            },
            Answer::Breach(breach) => known(Reason::new(breach.code(), &breach.to_string())),
        };
        self.in_vain(service, saga_id, task, in_vain).await
    }

    async fn in_vain(
        &self,
        service: &Service,
        saga_id: SagaId,
        task: Task,
        in_vain: InVain,
    ) -> Result<Turned, Unturned> {
        count(&self.0.counts.in_vain);
        let (action, why) = (service.action(task), &in_vain.why);
        warn!(
            saga_id = %saga_id, action, attempt = task.attempt, direction = task.direction.as_str(),
            code = why.code, "the attempt came to nothing; it is made again: {}", why.message
        );
        self.turn(service, saga_id, &What::InVain(task, in_vain)).await
    }
}

/// What stands beside the command in its transaction: the run's row, held from before the claim, so that
/// whatever bars the action comes before or after it.
struct Keeping<'a, D: Database> {
    of: &'a Reactions<D>,
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
                Ok(record) if self.service.is_due(&record, self.task, now().at) => {
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
            let mut record = held().ok_or_else(|| Failed::new("the run's row is not held"))?;
            let answered = match answer {
                Answer::Completed(result) => {
                    Answered::Completed(RawValue::from_string(result.clone())?)
                }
                answer => Answered::Undone { anything: matches!(answer, Answer::Undone(true)) },
            };
            let now = now();
            let events = self.service.answered(&mut record, self.task, answered, now)?;
            let turned = self.of.keep(tx, self.service, &mut record, events, now).await?;
            tx.note_published();
            self.state.lock().unwrap_or_else(PoisonError::into_inner).turned = Some(turned);
            Ok(())
        }
        .boxed()
    }
}
