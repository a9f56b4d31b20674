//! Faults to order: what a saga's data may ask a service to do wrong.
//!
//! The data's field `faults` names a step and a fault: `{"faults": {"process_payment": "refuse"}}`.
//! `"process_payment/compensation"` means the undo; the name of a `for_each` step means each of
//! its runs. Where a step has an `input` of its own, `faults` may stand inside any of its fields.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::command::{Command, Direction};

/// How long after nobody waits any more a late success comes, when the attempt says until when it
/// is waited for.
const LATE_BY: Duration = Duration::from_millis(300);

/// How late it comes when the attempt does not say.
const LATE_UNSAID: Duration = Duration::from_secs(2);

/// The latest: a fault must not outlive the longest deadline of a demonstration.
const LATE_MAX: Duration = Duration::from_secs(600);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A definite "no" (`refuse`).
    Refuse,
    /// No effect and never an answer, the first so many times (`timeout`: always, `timeout:2`).
    Timeout(u32),
    /// The effect, and the connection closed without an answer (`lost_reply`: once,
    /// `lost_reply:3`).
    LostReply(u32),
    /// The effect once, the answer twice: by its exchange and by the callback (`duplicate`).
    Duplicate,
    /// The effect and the answer when nobody waits any more (`late_success`: just after the
    /// attempt's time, `late_success:5s`: so much after it came), for the first sending.
    LateSuccess(Option<Duration>),
    /// 503 with `retryable: true`, so many times (`transient`: twice, `transient:5`).
    Transient(u32),
    /// The effect, and the service dies before the answer, once (`crash`).
    Crash,
    /// 202, and the answer by the callback (`accepted`).
    Accepted,
}

/// What a service does with one sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// What it is there for.
    Plain,
    Refuse,
    NeverAnswer,
    LoseReply,
    AnswerTwice,
    AnswerLate(Option<Duration>),
    NotNow,
    Die,
    AnswerByCallback,
}

impl Fault {
    /// What a command's data asks for; `None` is no fault.
    pub(crate) fn of(command: &Command) -> Result<Option<Self>, BadFault> {
        let Some(faults) = faults(command) else { return Ok(None) };
        let step = command.step.as_str();
        let plain = step.split_once('.').map_or(step, |(plain, _)| plain);
        let named = |step: &str| match command.direction {
            Direction::Action => faults.get(step),
            Direction::Compensation => faults.get(format!("{step}/compensation")),
        };
        match named(step).or_else(|| named(plain)) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => text.parse().map(Some),
            Some(other) => Err(BadFault(other.to_string())),
        }
    }

    /// What becomes of a sending of which `earlier` ones were met before.
    pub(crate) fn course(self, earlier: u32) -> Course {
        let first = |times: u32, course| if earlier < times { course } else { Course::Plain };
        match self {
            Self::Refuse => Course::Refuse,
            Self::Timeout(times) => first(times, Course::NeverAnswer),
            Self::LostReply(times) => first(times, Course::LoseReply),
            Self::Duplicate => first(1, Course::AnswerTwice),
            Self::LateSuccess(after) => first(1, Course::AnswerLate(after)),
            Self::Transient(times) => first(times, Course::NotNow),
            Self::Crash => first(1, Course::Die),
            Self::Accepted => Course::AnswerByCallback,
        }
    }
}

fn faults(command: &Command) -> Option<&Value> {
    command.field("faults").or_else(|| {
        let data = command.body.get("data")?.as_object()?;
        data.values().find_map(|value| value.get("faults"))
    })
}

/// How long a late answer waits: as said, or until the attempt's time is over, and a little more.
pub(crate) fn lateness(said: Option<Duration>, left: Option<Duration>) -> Duration {
    said.or(left.map(|left| left + LATE_BY)).unwrap_or(LATE_UNSAID).min(LATE_MAX)
}

/// A text that is no fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFault(pub String);

impl fmt::Display for BadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = "refuse, timeout[:times], lost_reply[:times], duplicate, late_success[:span], \
                     transient[:times], crash, accepted";
        write!(f, "{:?} is no fault; there are {known}", self.0)
    }
}

impl std::error::Error for BadFault {}

impl FromStr for Fault {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadFault(text.to_owned());
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let times = |unsaid: u32| argument.map_or(Ok(unsaid), |a| a.parse().map_err(|_| bad()));
        match (name, argument) {
            ("refuse", None) => Ok(Self::Refuse),
            ("timeout", _) => Ok(Self::Timeout(times(u32::MAX)?)),
            ("lost_reply", _) => Ok(Self::LostReply(times(1)?)),
            ("duplicate", None) => Ok(Self::Duplicate),
            ("late_success", None) => Ok(Self::LateSuccess(None)),
            ("late_success", Some(span)) => {
                Ok(Self::LateSuccess(Some(humantime::parse_duration(span).map_err(|_| bad())?)))
            }
            ("transient", _) => Ok(Self::Transient(times(2)?)),
            ("crash", None) => Ok(Self::Crash),
            ("accepted", None) => Ok(Self::Accepted),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::command::tests::command;

    #[test]
    fn a_fault_is_meant_for_one_step_and_one_direction() {
        let faults =
            json!({"faults": {"pay": "refuse", "ship/compensation": "crash", "room": "duplicate"}});
        let of = |step, undo| Fault::of(&command("s", step, "X", undo, faults.clone())).unwrap();
        assert_eq!(of("pay", false), Some(Fault::Refuse));
        assert_eq!(of("pay", true), None);
        assert_eq!(of("ship", false), None);
        assert_eq!(of("ship", true), Some(Fault::Crash));
        assert_eq!(of("room.3", false), Some(Fault::Duplicate));
    }

    #[test]
    fn a_fault_may_stand_inside_a_field_of_the_input() {
        let input = json!({"room": {"kind": "double", "faults": {"book_hotel": "timeout:1"}}});
        let found = Fault::of(&command("s", "book_hotel.0", "BookRoom", false, input));
        assert_eq!(found, Ok(Some(Fault::Timeout(1))));
    }

    #[test]
    fn a_fault_ends_after_its_times() {
        let check = |text: &str, expected: [Course; 3]| {
            let fault: Fault = text.parse().unwrap();
            assert_eq!([0, 1, 2].map(|earlier| fault.course(earlier)), expected, "{text}");
        };
        use Course::{Die, LoseReply, NeverAnswer, NotNow, Plain, Refuse};
        check("refuse", [Refuse, Refuse, Refuse]);
        check("timeout", [NeverAnswer, NeverAnswer, NeverAnswer]);
        check("timeout:1", [NeverAnswer, Plain, Plain]);
        check("lost_reply", [LoseReply, Plain, Plain]);
        check("transient", [NotNow, NotNow, Plain]);
        check("crash", [Die, Plain, Plain]);
    }

    #[test]
    fn what_is_no_fault_is_told_what_there_is() {
        for text in ["", "refuse:2", "timeout:x", "late_success:soon", "explode"] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains("lost_reply"), "{error}");
        }
    }

    #[test]
    fn late_is_after_the_attempt_or_as_said_but_not_for_ever() {
        let second = Duration::from_secs(1);
        assert_eq!(lateness(None, Some(second)), second + LATE_BY);
        assert_eq!(lateness(Some(second), Some(3 * second)), second);
        assert_eq!(lateness(None, None), LATE_UNSAID);
        assert_eq!(lateness(Some(10_000 * second), None), LATE_MAX);
    }
}
