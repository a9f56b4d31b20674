//! The differential: sequences of operations that nobody chose, done to a store and to the one in
//! memory, and after every single one all that can be read of both is held side by side.
//!
//! ```text
//! let compared = Differential::default().run(|| Box::new(MyInstallation::new()));
//! println!("{}", compared.unwrap_or_else(|difference| panic!("{difference}")));
//! ```
//!
//! A sequence that ends in a difference is made as short as it can be and still end in one; that is
//! what is shown. The same seed draws the same sequences.

mod op;
mod reading;
mod twins;

use std::cell::Cell;
use std::fmt;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::Installation;
pub use op::Op;
use twins::Twins;

/// How much is compared.
#[derive(Clone, Copy, Debug)]
pub struct Differential {
    /// So many sequences.
    pub cases: u32,
    /// Each of at most so many operations.
    pub operations_max: usize,
    /// Which sequences.
    pub seed: u64,
    /// How often it is tried to make a failing sequence shorter.
    pub shrinks_max: u32,
}

impl Default for Differential {
    fn default() -> Self {
        // So many tries leave out every part of the longest sequence that can be left out.
        Self { cases: 32, operations_max: 40, seed: 1, shrinks_max: 2_000 }
    }
}

/// How much was compared, and found the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Sequences.
    pub cases: u64,
    /// Operations, each with its answer.
    pub operations: u64,
    /// Questions after operations, each with its answer.
    pub readings: u64,
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, operations, readings } = self;
        write!(f, "{cases} sequences, {operations} operations, {readings} readings: the same")
    }
}

/// Where a store is not as the one in memory.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The shortest sequence that was found; the difference shows after its last operation.
    pub operations: Vec<Op>,
    /// What was asked: the last operation itself, or something that can be read after it.
    pub question: String,
    /// What the store in memory answers.
    pub expected: String,
    /// What the store under test answers.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the store is not as the one in memory after these operations:")?;
        for (number, op) in (1..).zip(&self.operations) {
            writeln!(f, "{number:>4}. {op:?}")?;
        }
        writeln!(f, "asked:    {}", self.question)?;
        writeln!(f, "expected: {}", self.expected)?;
        write!(f, "found:    {}", self.found)
    }
}

impl std::error::Error for Difference {}

impl Differential {
    /// Compares; the installations are made empty, one for each sequence.
    pub fn run(
        &self,
        installation: impl Fn() -> Box<dyn Installation>,
    ) -> Result<Compared, Difference> {
        let config = Config {
            cases: self.cases,
            failure_persistence: None,
            max_shrink_iters: self.shrinks_max,
            ..Config::default()
        };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let compared = Cell::new(Compared::default());
        let outcome = runner.run(&op::sequences(self.operations_max), |operations| {
            match Twins::compare(installation().as_ref(), &operations) {
                Ok(of_this) => {
                    compared.set(compared.get().and(of_this));
                    Ok(())
                }
                Err(difference) => Err(TestCaseError::fail(difference.question)),
            }
        });
        match outcome {
            Ok(()) => Ok(compared.get()),
            Err(TestError::Fail(why, operations)) => {
                let again = Twins::compare(installation().as_ref(), &operations);
                Err(again.err().unwrap_or_else(|| Difference {
                    operations,
                    question: why.to_string(),
                    expected: "the same answer every time".to_owned(),
                    found: "a difference that does not come again".to_owned(),
                }))
            }
            Err(TestError::Abort(why)) => Err(Difference {
                operations: Vec::new(),
                question: "for a sequence".to_owned(),
                expected: "one".to_owned(),
                found: why.to_string(),
            }),
        }
    }
}

impl Compared {
    fn and(self, other: Self) -> Self {
        Self {
            cases: self.cases + other.cases,
            operations: self.operations + other.operations,
            readings: self.readings + other.readings,
        }
    }
}
