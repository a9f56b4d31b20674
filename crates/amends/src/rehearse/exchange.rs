//! One exchange with a participant: what it was asked, under which circumstances, and what it said.

use amends_transport::Outgoing;
use amends_transport_http::Seen;
use amends_wire::{Direction, Outcome};

use super::callbacks::{Callback, Place};
use super::talk::Talk;

/// How much of a body is kept: all of any command.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Under which circumstances a participant was asked. It decides which rule its answer is held
/// against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circumstance {
    /// The action, for the first time.
    Action,
    /// The action, which it has answered.
    Repeat,
    /// The action, beside another copy of it.
    AtOnce,
    /// The action, which it has refused.
    RefusedRepeat,
    /// The action, which its undo was ahead of.
    Late,
    /// The action, which it has carried out and undone.
    AfterUndo,
    /// The undo of what it has carried out, with the result.
    Undo,
    /// The same without the result.
    BlindUndo,
    /// An undo that it has answered.
    UndoRepeat,
    /// An undo beside another copy of it.
    UndoAtOnce,
    /// The undo of what it never carried out.
    UndoFirst,
    /// The undo while the action is on its way: either may come first.
    UndoBeside,
    /// The undo of a second round.
    SecondRound,
    /// A command that nobody has.
    UnknownCommand,
    /// A body that is no command.
    Garbage,
    /// The undo of what should not have been done, which is therefore not held against anything.
    GivenBack,
    /// What is odd in a talk.
    Odd(Talk),
    /// The right command, after what was odd in a talk.
    Afterwards(Talk),
}

impl Circumstance {
    /// Is it outside of any saga, and no command?
    pub const fn is_probe(self) -> bool {
        match self {
            Self::UnknownCommand | Self::Garbage => true,
            Self::Odd(talk) => !talk.is_command(),
            _ => false,
        }
    }
}

/// What was asked, and what was said.
#[derive(Clone)]
pub struct Exchange {
    /// The service.
    pub service: String,
    /// The step.
    pub step: String,
    /// Whether it was to do or to undo.
    pub direction: Direction,
    /// Under which circumstances.
    pub circumstance: Circumstance,
    /// `POST <path>`.
    pub request: String,
    /// The idempotency key.
    pub key: String,
    /// The command's body; the start of one that is too large to be a command's.
    pub body: String,
    /// What the answer comes to, in the exchange or by callback.
    pub outcome: Outcome,
    /// The answer in the exchange as it came; none where there was none.
    pub seen: Option<Seen>,
    /// Its connection broke off before an answer came.
    pub broke_off: bool,
    /// It was accepted (202), so that the answer is to come by callback.
    pub accepted: bool,
    /// What came by callback; all of it once the drill is over.
    pub callbacks: Vec<Callback>,
    /// Where callbacks to it are kept.
    pub place: Place,
}

impl Exchange {
    /// What was asked, still without an answer.
    pub fn of(outgoing: &Outgoing, circumstance: Circumstance, path: &str, place: Place) -> Self {
        let body = &outgoing.body[..outgoing.body.len().min(BODY_BYTES_MAX)];
        Self {
            service: outgoing.service.to_string(),
            step: outgoing.step_name.to_string(),
            direction: outgoing.ticket.direction,
            circumstance,
            request: format!("POST {path}"),
            key: outgoing.idempotency_key(),
            body: String::from_utf8_lossy(body).into_owned(),
            outcome: Outcome::Accepted,
            seen: None,
            broke_off: false,
            accepted: false,
            callbacks: Vec::new(),
            place,
        }
    }

    /// A callback is the answer. One to its own address is among all that came there.
    pub fn hears(&mut self, callback: Callback) {
        if let Ok(outcome) = &callback.says {
            self.outcome = outcome.clone();
        }
        if callback.to_copy {
            self.callbacks.push(callback);
        }
    }

    /// Was an undo asked for?
    pub fn is_undo(&self) -> bool {
        self.direction == Direction::Compensation
    }

    /// Is it without an answer as one is that the participant was at work for when it stopped?
    pub fn is_left(&self) -> bool {
        matches!(self.outcome, Outcome::Unknown { .. }) && (self.broke_off || self.accepted)
    }

    /// Was its answer waited for in vain? It may come later: a service that is only slow is told apart
    /// from a broken one by more patience.
    pub fn is_overdue(&self) -> bool {
        let is_unknown = matches!(self.outcome, Outcome::Unknown { .. });
        is_unknown && self.seen.is_none() && !self.broke_off
    }

    /// Did the participant say no for good?
    pub fn refused(&self) -> bool {
        matches!(self.outcome, Outcome::Refused { .. })
    }

    /// Did it say what ends a command: done, undone or refused?
    pub fn ends(&self) -> bool {
        self.acknowledged() || self.refused()
    }

    /// Did the participant say that it is done?
    pub fn completed(&self) -> bool {
        matches!(self.outcome, Outcome::Completed { .. })
    }

    /// Did it acknowledge an undo?
    pub fn acknowledged(&self) -> bool {
        matches!(self.outcome, Outcome::Completed { .. } | Outcome::Gone { .. })
    }

    /// Did it say of an undo that there was nothing to undo?
    pub fn found_nothing(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Gone { .. } | Outcome::Completed { undone: Some(false), .. }
        )
    }

    /// Did it say of an undo that it has undone something?
    pub fn undid(&self) -> bool {
        matches!(self.outcome, Outcome::Completed { undone: Some(true), .. })
    }

    /// Did it acknowledge an undo without saying whether there was something to undo?
    pub fn says_not_whether(&self) -> bool {
        matches!(self.outcome, Outcome::Completed { undone: None, .. })
    }

    /// Did it say that it cannot do it now?
    pub fn not_now(&self) -> bool {
        matches!(self.outcome, Outcome::Transient { .. })
    }

    /// Its result as JSON; null where there was none.
    pub fn result(&self) -> serde_json::Value {
        match &self.outcome {
            Outcome::Completed { result: Some(result), .. } => {
                serde_json::from_slice(result).unwrap_or_default()
            }
            _ => serde_json::Value::Null,
        }
    }

    /// Its answer in the exchange, in a line.
    pub fn answer(&self) -> String {
        match (&self.seen, &self.outcome) {
            (Some(seen), _) => {
                format!("{} {}", seen.status, seen.body.trim()).trim_end().to_owned()
            }
            (None, Outcome::Unknown { error, .. } | Outcome::NotSent { error }) => {
                format!("no answer: {error}")
            }
            (None, _) => "no answer".to_owned(),
        }
    }
}

/// Under which circumstances a participant is asked, after all that it was asked before; `beside` says
/// that the step's action is on its way.
pub fn circumstance(log: &[Exchange], beside: bool, outgoing: &Outgoing) -> Circumstance {
    let key = outgoing.idempotency_key();
    let of_step = || log.iter().filter(|e| *e.step == *outgoing.step_name);
    let undos = || of_step().filter(|e| e.is_undo());
    let actions = || of_step().filter(|e| !e.is_undo());
    let ran = actions().any(Exchange::completed);
    match outgoing.ticket.direction {
        Direction::Action if undos().any(Exchange::acknowledged) => {
            if ran {
                Circumstance::AfterUndo
            } else {
                Circumstance::Late
            }
        }
        Direction::Action if ran => Circumstance::Repeat,
        Direction::Action if actions().any(Exchange::refused) => Circumstance::RefusedRepeat,
        Direction::Action => Circumstance::Action,
        Direction::Compensation if undos().any(|e| e.key == key && e.acknowledged()) => {
            Circumstance::UndoRepeat
        }
        Direction::Compensation if outgoing.ticket.round > 1 => Circumstance::SecondRound,
        Direction::Compensation if beside && !ran => Circumstance::UndoBeside,
        Direction::Compensation if actions().all(Exchange::refused) => Circumstance::UndoFirst,
        Direction::Compensation if knows_the_result(&outgoing.body) => Circumstance::Undo,
        Direction::Compensation => Circumstance::BlindUndo,
    }
}

/// Does an undo's body say what the action came to?
fn knows_the_result(body: &[u8]) -> bool {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    body["outcome"] == "completed"
}
