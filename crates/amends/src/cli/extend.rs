//! `amends extend`: moves a deadline, later only.

use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::act::{Act, field};
use super::client::escaped;
use super::exit::{Exit, Failure};
use super::{Outcome, Session, input};

/// Move a deadline of a step, or of the whole saga; later only
#[derive(Args, Debug)]
pub struct Extend {
    /// The saga: its id, the beginning of it, or its business key
    saga: String,
    /// The step; the saga's own deadline when none is named
    step: Option<String>,
    /// To when: an instant (RFC 3339), or +2h for two hours from now
    #[arg(long, value_name = "INSTANT", allow_hyphen_values = true)]
    to: String,
    #[command(flatten)]
    act: Act,
}

impl Extend {
    pub async fn run(self, session: &Session) -> Outcome {
        let deadline = instant(&self.to, OffsetDateTime::now_utc())?;
        let path = match &self.step {
            Some(step) => format!("steps/{}/extend", escaped(step)),
            None => "extend".to_owned(),
        };
        self.act.send(session, &self.saga, &path, vec![field("deadline", deadline)]).await
    }
}

fn instant(said: &str, now: OffsetDateTime) -> Result<String, Failure> {
    let wrong = |why: String| Failure::new(Exit::Usage, format!("--to: {why}"));
    let at = match said.strip_prefix('+') {
        Some(later) => now + input::duration(later).map_err(wrong)?,
        None => OffsetDateTime::parse(said, &Rfc3339).map_err(|_| {
            wrong(format!("{said:?} is no instant; write 2030-01-31T12:00:00Z, or +2h"))
        })?,
    };
    at.format(&Rfc3339).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_said_or_counted_from_now() {
        let now = OffsetDateTime::UNIX_EPOCH;
        assert_eq!(instant("+2h", now).unwrap(), "1970-01-01T02:00:00Z");
        assert_eq!(instant("2030-01-31T12:00:00Z", now).unwrap(), "2030-01-31T12:00:00Z");
        for wrong in ["2h", "+2", "tomorrow", ""] {
            assert!(instant(wrong, now).is_err(), "{wrong}");
        }
    }
}
