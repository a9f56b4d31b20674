//! The work: a saga of plain steps, one service a step, some of which are refused on the way.

use amends_core::definition::Fence;
use amends_definition::{BuildError, Compiled, Saga};
use bytes::Bytes;
use serde::Deserialize;

/// The saga type's name.
pub const SAGA_TYPE: &str = "Bench";

/// The step that refuses, counted from 1, as the limits we aim at have it.
pub const REFUSING_STEP: u32 = 3;

/// What a step answers: about what a real service has to say.
pub const RESULT: &[u8] = br#"{"reference":"r-01234567"}"#;

/// The members of a saga's data that are always there, for [`Work::data`].
const DATA_BYTES_MIN: usize = r#"{"refuse":false,"order":"0123456789ab","text":""}"#.len();

/// What a saga does.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// How many steps it has.
    pub steps: u32,
    /// About how many bytes its data has.
    pub data_bytes: usize,
    /// Which share of all sagas is refused at [`REFUSING_STEP`] (the last step, when there are
    /// fewer) and undone.
    pub failure_rate: f64,
}

/// What a participant looks for in a command.
#[derive(Deserialize)]
pub struct Asked {
    /// Refuse it, if you are the one.
    pub refuse: bool,
}

impl Work {
    /// The definition: one step after the other, each undone by a command of its own.
    pub fn definition(&self) -> Result<Compiled, BuildError> {
        let mut saga = Saga::named(SAGA_TYPE);
        for n in 1..=self.steps {
            let (action, undo) = (format!("{}.Do", service(n)), format!("{}.Undo", service(n)));
            saga = saga
                .service(&service(n), Fence::Barrier)
                .step(&step(n), |step| step.action(&action).compensation(&undo));
        }
        saga.build()
    }

    /// The same steps, all of one service.
    pub fn definition_of_one_service(&self) -> Result<Compiled, BuildError> {
        let mut saga = Saga::named(SAGA_TYPE).service(ONE_SERVICE, Fence::Barrier);
        let (action, undo) = (format!("{ONE_SERVICE}.Do"), format!("{ONE_SERVICE}.Undo"));
        for n in 1..=self.steps {
            saga = saga.step(&step(n), |step| step.action(&action).compensation(&undo));
        }
        saga.build()
    }

    /// How many commands are answered in so many sagas that completed and failed: of one that fails,
    /// the steps up to the one that refuses, and the undos of those before it.
    pub fn round_trips(&self, completed: u64, failed: u64) -> u64 {
        let refusing = u64::from(self.refusing_step());
        completed * u64::from(self.steps) + failed * (2 * refusing - 1)
    }

    /// The step that refuses where a saga is to fail.
    pub fn refusing_step(&self) -> u32 {
        REFUSING_STEP.min(self.steps)
    }

    /// Is the saga of this number one that is refused? They are spread evenly.
    pub fn refuses(&self, number: u64) -> bool {
        let refused_before = |n: u64| (n as f64 * self.failure_rate).floor();
        refused_before(number + 1) > refused_before(number)
    }

    /// The data of the saga of this number.
    pub fn data(&self, number: u64) -> Bytes {
        let refuse = self.refuses(number);
        let text = "x".repeat(self.data_bytes.saturating_sub(DATA_BYTES_MIN));
        format!(r#"{{"refuse":{refuse},"order":"{number:012x}","text":"{text}"}}"#).into()
    }
}

/// The service that has all steps where participants are behind a broker.
pub const ONE_SERVICE: &str = "Service";

/// The name of a step, counted from 1.
pub fn step(n: u32) -> String {
    format!("step-{n}")
}

/// The service of a step.
pub fn service(step: u32) -> String {
    format!("Service{step}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Work = Work { steps: 4, data_bytes: 200, failure_rate: 0.1 };

    #[test]
    fn a_definition_has_the_steps_asked_for() {
        for steps in [1, 4, 64] {
            let compiled = Work { steps, ..WORK }.definition().expect("a well-formed saga");
            assert_eq!(compiled.definition.steps().len(), steps as usize);
        }
    }

    #[test]
    fn a_saga_that_fails_is_asked_up_to_its_refusal_and_back() {
        assert_eq!(WORK.round_trips(9, 1), 9 * 4 + 3 + 2);
        let compiled = WORK.definition_of_one_service().expect("a well-formed saga");
        assert_eq!(compiled.definition.steps().len(), 4);
    }

    #[test]
    fn the_share_of_refusals_is_exact_and_spread() {
        let refused: Vec<u64> = (0..1_000).filter(|&n| WORK.refuses(n)).collect();
        assert_eq!(refused.len(), 100);
        assert!(refused.windows(2).all(|pair| pair[1] - pair[0] == 10));
        let share = |failure_rate| {
            let work = Work { failure_rate, ..WORK };
            (0..1_000).filter(|&n| work.refuses(n)).count()
        };
        assert_eq!((share(0.0), share(1.0)), (0, 1_000));
    }

    #[test]
    fn data_is_as_long_as_asked_for_and_says_what_to_do() {
        let data = WORK.data(9);
        assert!(data.len().abs_diff(200) <= 1, "{}", data.len());
        assert!(serde_json::from_slice::<Asked>(&data).expect("JSON").refuse);
        assert!(!serde_json::from_slice::<Asked>(&WORK.data(8)).expect("JSON").refuse);
    }
}
