//! How long answers are waited for.

use std::sync::Arc;
use std::time::Duration;

use amends_core::StepIx;
use amends_core::definition::Definition;

/// The longest that an accepted answer is waited for: in production it may take days, by a person
/// say, and a rehearsal is waited for.
const ACCEPTED_MAX: Duration = Duration::from_secs(60);

/// What to do where an answer did not come in time.
pub const RAISED: &str = "if it is only slow, --patience raises that";

/// How long an answer is waited for in its exchange, and how long for the callback after a 202.
#[derive(Clone, Debug)]
pub struct Patience {
    exchange: Duration,
    /// By step.
    accepted: Arc<[Duration]>,
}

impl Patience {
    /// In an exchange as long as that; for a callback as long again, or as long as the step's own
    /// `accepted_timeout`, where that is longer.
    pub fn new(definition: &Definition, exchange: Duration) -> Self {
        let accepted = definition.steps().iter().map(|step| {
            let said = step.accepted_timeout.map_or(exchange, |t| Duration::from_millis(t.0));
            said.min(ACCEPTED_MAX).max(exchange)
        });
        Self { exchange, accepted: accepted.collect() }
    }

    /// For the answer in an exchange.
    pub fn exchange(&self) -> Duration {
        self.exchange
    }

    /// For the callback to a command of this step, from its 202 on.
    pub fn accepted(&self, step: StepIx) -> Duration {
        self.accepted.get(usize::from(step.0)).copied().unwrap_or(self.exchange)
    }

    /// For a command of any step, from its sending to the answer that comes last.
    pub fn whole(&self) -> Duration {
        self.exchange + self.accepted.iter().copied().max().unwrap_or(self.exchange)
    }
}

#[cfg(test)]
mod tests {
    use amends_definition::{Surroundings, check};

    use super::*;

    #[test]
    fn an_accepted_answer_has_its_own_time_within_a_minute() {
        let text = "saga: S\nsteps:\n  - { name: a, action: X.A, compensation: none }\n  \
                    - { name: b, action: X.B, compensation: none, accepted_timeout: 20s }\n  \
                    - { name: c, action: X.C, compensation: none, accepted_timeout: 2h }\n  \
                    - { name: d, action: X.D, compensation: none, accepted_timeout: 1s }\n\
                    services:\n  X: { http: { url: \"http://127.0.0.1:1\" } }\n";
        let checked = check(text.as_bytes(), "s.yaml", &Surroundings::none());
        let definition =
            checked.compiled.unwrap_or_else(|| panic!("{:?}", checked.findings)).definition;
        let patience = Patience::new(&definition, Duration::from_secs(5));
        let accepted = [0, 1, 2, 3].map(|step| patience.accepted(StepIx(step)).as_secs());
        assert_eq!(accepted, [5, 20, 60, 5]);
        assert_eq!(patience.whole().as_secs(), 65);
    }
}
