//! A saga's history as the API shows it: every fact as one flat JSON object.

use amends_core::choreography::Said;
use amends_core::definition::Definition;
use amends_core::event::{CommandRef, Ending, Event, NewRound, Started};
use amends_core::saga::{Act, Cause, Saga};
use amends_core::{RunRef, StepIx};
use amends_engine::{HistoryItem, REDACTED};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::json_text::instant;
use crate::redaction::Redaction;
use crate::saga_json::{FaultJson, Named, hash};
use crate::words::{Direction, ExceptionReason, Reason, State, Status};

/// One fact of a saga's history. Which fields are there depends on the event.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = HistoryEvent)]
pub struct EventJson {
    /// Its place, counted from 1; `<saga_id>/<seq>` names it.
    pub seq: u64,
    /// When it happened.
    pub at: String,
    /// What happened, in the past tense: `started`, `sent`, `completed` …
    pub event: &'static str,
    /// The step, or `<step>.<i>` for one run of many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Which of its commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Which round of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<u32>,
    /// Which attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The state the saga ended in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The status the step is left in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// What the event is about: a version, an ending, a cause, a signal's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Why a person is needed, or no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<Reason>,
    /// What makes the end not clean, or no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<ExceptionReason>,
    /// Whether a refusal speaks for every sending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<bool>,
    /// Whether an undo said that there was something to undo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undone: Option<bool>,
    /// How often the redriver has tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redrives: Option<u32>,
    /// How long, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lasted_ms: Option<u64>,
    /// Until when an answer is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// When the next attempt comes at the earliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<String>,
    /// When a service said it, by its own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said_at: Option<String>,
    /// A deadline that was set or moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// Data, result or body, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub body: Option<Box<RawValue>>,
    /// What each run of the step carries; null for the saga's data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<serde_json::Value>)]
    pub inputs: Vec<Option<Box<RawValue>>>,
    /// An error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FaultJson>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who did it, if a person did; the service that said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The reason given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A fact of a saga, with what `redaction` leaves to see. Steps are named as the saga stands now.
pub fn event(
    definition: &Definition,
    saga: &Saga,
    redaction: &Redaction,
    item: &HistoryItem,
) -> EventJson {
    let telling = Telling { named: Named { definition, saga }, redaction };
    let told = telling.tell(&item.event);
    // Participants and operators may quote what is hidden.
    let note = told.note.map(|note| redaction.text(&note));
    let reason = told.reason.map(|reason| redaction.text(&reason));
    EventJson { seq: item.seq, at: instant(item.at), note, reason, ..told }
}

struct Telling<'a> {
    named: Named<'a>,
    redaction: &'a Redaction,
}

impl Telling<'_> {
    fn tell(&self, event: &Event) -> EventJson {
        match event {
            Event::Started(started) => self.started(started),
            Event::Readied { step, deadline, inputs, .. } => EventJson {
                deadline: Some(instant(*deadline)),
                inputs: inputs
                    .iter()
                    .map(|input| input.as_ref().map(|input| self.redaction.input(*step, input)))
                    .collect(),
                ..self.of_step("readied", *step)
            },
            Event::Skipped { step, .. } => self.of_step("skipped", *step),
            Event::ExpressionFailed { step, failed, fault: why } => EventJson {
                status: failed.then_some(Status::Failed),
                error: Some(self.redaction.fault(why)),
                ..self.of_step("expression_failed", *step)
            },
            Event::Sent { command, attempt, until, deadline, .. } => EventJson {
                until: Some(instant(*until)),
                deadline: deadline.map(instant),
                ..self.of_attempt("sent", *command, *attempt)
            },
            Event::NotSent { command, attempt, next_at, fault: why } => EventJson {
                next_attempt_at: Some(instant(*next_at)),
                error: Some(self.redaction.fault(why)),
                ..self.of_attempt("not_sent", *command, *attempt)
            },
            Event::Accepted { command, attempt, until } => EventJson {
                until: Some(instant(*until)),
                ..self.of_attempt("accepted", *command, *attempt)
            },
            Event::AttemptEnded { command, attempt, ending, next_at, fault: why } => EventJson {
                what: Some(ending_word(*ending).to_owned()),
                next_attempt_at: Some(instant(*next_at)),
                error: why.as_ref().map(|why| self.redaction.fault(why)),
                ..self.of_attempt("attempt_ended", *command, *attempt)
            },
            Event::ContractBroken { run, note } => {
                // The note quotes the beginning of the answer, in which a redacted value may stand in
                // a form that nobody foresaw.
                let note = if self.redaction.hides() { REDACTED } else { note };
                EventJson { note: Some(note.to_owned()), ..self.of_run("contract_broken", *run) }
            }
            Event::UnboundFound { run } => self.of_run("unbound_found", *run),
            Event::Completed { run, result } => EventJson {
                body: Some(self.redaction.result(run.step, result)),
                ..self.of_run("completed", *run)
            },
            Event::Refused { run, attempt, settled, leaves, next_at, fault: why } => {
                let asked_on = Status::from(*leaves) == Status::Executing;
                EventJson {
                    attempt: *attempt,
                    settled: Some(*settled),
                    status: Some((*leaves).into()),
                    next_attempt_at: asked_on.then(|| instant(*next_at)),
                    error: Some(self.redaction.fault(why)),
                    ..self.of_run("refused", *run)
                }
            }
            Event::GivenUp { run, unreachable } => EventJson {
                what: unreachable.then(|| "unreachable".to_owned()),
                ..self.of_run("given_up", *run)
            },
            Event::Overdue { run } => self.of_run("overdue", *run),
            Event::RoundOpened { command, next_at, why } => self.round(*command, why, *next_at),
            Event::UndoAcknowledged { run, undone } => {
                EventJson { undone: *undone, ..self.of_undo("undo_acknowledged", *run) }
            }
            Event::DeadLettered { run, redrives, next_at } => EventJson {
                redrives: Some(*redrives),
                next_attempt_at: Some(instant(*next_at)),
                ..self.of_undo("dead_lettered", *run)
            },
            Event::Poisoned { run, next_at } => EventJson {
                next_attempt_at: Some(instant(*next_at)),
                ..self.of_undo("poisoned", *run)
            },
            Event::SignalReceived { name, body } => EventJson {
                what: Some(name.to_string()),
                body: Some(self.redaction.signal(name, body)),
                ..plain("signal_received")
            },
            Event::SignalRefused { step, fault: why } => EventJson {
                error: Some(self.redaction.fault(why)),
                ..self.of_step("signal_refused", *step)
            },
            Event::Turned { cause } => self.because("turned", cause),
            Event::Ended { state } => EventJson { state: Some((*state).into()), ..plain("ended") },
            Event::Paused(act) => by_hand(plain("paused"), act),
            Event::Resumed(act) => by_hand(plain("resumed"), act),
            Event::OutageEnded { lasted } => {
                EventJson { lasted_ms: Some(lasted.0), ..plain("outage_ended") }
            }
            Event::AttentionRaised { run, direction, reason } => {
                self.attention("attention_raised", *run, *direction, *reason)
            }
            Event::AttentionCleared { run, direction, reason, act } => {
                let cleared = self.attention("attention_cleared", *run, *direction, *reason);
                match act {
                    Some(act) => by_hand(cleared, act),
                    None => cleared,
                }
            }
            Event::Excepted(exception) => EventJson {
                exception: Some(exception.reason.into()),
                note: Some(exception.note.to_string()),
                ..self.of_run("excepted", exception.run)
            },
            Event::Proven { run, reason } => {
                EventJson { exception: Some((*reason).into()), ..self.of_run("proven", *run) }
            }
            Event::DeadlineMoved { deadline } => {
                EventJson { deadline: Some(instant(*deadline)), ..plain("deadline_moved") }
            }
            Event::Extended { run, deadline, act } => {
                let extended = EventJson {
                    step: run.map(|run| self.named.run(run)),
                    deadline: Some(instant(*deadline)),
                    ..plain("extended")
                };
                by_hand(extended, act)
            }
            Event::RetriedByHand { run, direction, act } => {
                let direction = Some((*direction).into());
                by_hand(EventJson { direction, ..self.of_run("retried_by_hand", *run) }, act)
            }
            Event::ActionResolved { run, result, act } => {
                let resolved = EventJson {
                    status: Some(if result.is_some() { Status::Completed } else { Status::Failed }),
                    body: result.as_ref().map(|result| self.redaction.result(run.step, result)),
                    ..self.of_run("action_resolved", *run)
                };
                by_hand(resolved, act)
            }
            Event::ActionSkipped { run, act } => by_hand(self.of_run("action_skipped", *run), act),
            Event::UndoSettledByHand { run, skipped, act } => {
                let what = if *skipped { "skipped" } else { "resolved" };
                let settled = self.of_undo("undo_settled_by_hand", *run);
                by_hand(EventJson { what: Some(what.to_owned()), ..settled }, act)
            }
            Event::Heard { said, by, said_at, result, fault: why, cause } => {
                let about = match cause {
                    Some(Cause::Step(run)) => Some(run.step),
                    _ => said.step(),
                };
                let heard = about.map_or(plain("heard"), |step| self.of_step("heard", step));
                EventJson {
                    what: Some(word(*said).to_owned()),
                    said_at: Some(instant(*said_at)),
                    body: said
                        .step()
                        .zip(result.as_ref())
                        .map(|(step, result)| self.redaction.result(step, result)),
                    error: why.as_ref().map(|why| self.redaction.fault(why)),
                    by: Some(by.to_string()),
                    ..heard
                }
            }
            Event::EndAsked { cause } => self.because("end_asked", cause),
        }
    }

    fn started(&self, started: &Started) -> EventJson {
        let pinned = &started.pinned;
        let version = format!("{} version {}", pinned.saga_type, pinned.version);
        EventJson {
            what: Some(version),
            note: Some(format!("pinned to {}", hash(&pinned.hash))),
            body: Some(self.redaction.data(&started.data)),
            deadline: started.deadline.map(instant),
            ..plain("started")
        }
    }

    fn round(&self, command: CommandRef, why: &NewRound, next_at: amends_core::Time) -> EventJson {
        let opened = EventJson {
            direction: Some(command.direction.into()),
            round: Some(command.round),
            next_attempt_at: Some(instant(next_at)),
            ..self.of_run("round_opened", command.run)
        };
        let because = |what: &str, opened| EventJson { what: Some(what.to_owned()), ..opened };
        match why {
            NewRound::Refused => because("refused", opened),
            NewRound::LateSuccess => because("late_success", opened),
            NewRound::Edited { body, act } => {
                let body = Some(self.redaction.body(command.run.step, body));
                by_hand(EventJson { body, ..because("edited", opened) }, act)
            }
        }
    }

    fn because(&self, event: &'static str, cause: &Cause) -> EventJson {
        let turned = plain(event);
        let because = |what: &str, turned| EventJson { what: Some(what.to_owned()), ..turned };
        match cause {
            Cause::Step(run) => {
                let step = Some(self.named.run(*run));
                EventJson { step, ..because("step", turned) }
            }
            Cause::Cancelled(act) => by_hand(because("cancelled", turned), act),
            Cause::Deadline => because("deadline", turned),
        }
    }

    fn attention(
        &self,
        event: &'static str,
        run: Option<RunRef>,
        direction: amends_core::Direction,
        reason: amends_core::saga::Reason,
    ) -> EventJson {
        EventJson {
            step: run.map(|run| self.named.run(run)),
            direction: run.map(|_| direction.into()),
            attention: Some(reason.into()),
            ..plain(event)
        }
    }

    fn of_step(&self, event: &'static str, step: StepIx) -> EventJson {
        let name = &self.named.definition.step(step).name;
        EventJson { step: Some(name.to_string()), ..plain(event) }
    }

    fn of_run(&self, event: &'static str, run: RunRef) -> EventJson {
        EventJson { step: Some(self.named.run(run)), ..plain(event) }
    }

    fn of_undo(&self, event: &'static str, run: RunRef) -> EventJson {
        EventJson { direction: Some(Direction::Compensation), ..self.of_run(event, run) }
    }

    fn of_attempt(&self, event: &'static str, command: CommandRef, attempt: u32) -> EventJson {
        EventJson {
            direction: Some(command.direction.into()),
            round: Some(command.round),
            attempt: Some(attempt),
            ..self.of_run(event, command.run)
        }
    }
}

fn plain(event: &'static str) -> EventJson {
    EventJson { event, ..EventJson::default() }
}

fn by_hand(event: EventJson, act: &Act) -> EventJson {
    EventJson { by: Some(act.by.to_string()), reason: Some(act.reason.to_string()), ..event }
}

const fn ending_word(ending: Ending) -> &'static str {
    match ending {
        Ending::NamedTransient | Ending::Transient => "transient",
        Ending::Unknown => "unknown",
        Ending::TimedOut => "timed_out",
    }
}

/// What a service says, as it stands in its event.
const fn word(said: Said) -> &'static str {
    match said {
        Said::Started => "started",
        Said::Completed(_) => "completed",
        Said::Skipped(_) => "skipped",
        Said::NeverRan(_) => "never_ran",
        Said::Compensated(_) => "compensated",
        Said::Failed => "failed",
    }
}
