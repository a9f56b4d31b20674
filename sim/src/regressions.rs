//! The seeds that found something: they run first, always, each with its name.
//!
//! A seed means what the generator makes of it. So a line has the digest of the plan that the seed made
//! when it was named; where that differs today the seed is run all the same, and the report says that it
//! means something else now. What keeps the fault findable then is its mistake: each fault that was found
//! is built in again by one of [`mutants`](crate::mutants), and must be caught.

use crate::plan::Plan;

/// A seed that found something.
#[derive(Clone, Debug)]
pub struct Regression {
    /// The seed.
    pub seed: u64,
    /// The digest of its plan.
    pub plan: String,
    /// What it found.
    pub name: String,
}

impl Regression {
    /// Does the seed still mean what it did?
    pub fn is_current(&self) -> bool {
        Plan::of(self.seed).digest() == self.plan
    }
}

/// All of them: of each line of the file the seed, the digest and the name.
///
/// # Panics
/// When the file is not as it says itself.
pub fn all() -> Vec<Regression> {
    let lines = include_str!("../regressions.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let regression = |line: &str| {
        let mut fields = line.splitn(3, ' ');
        let mut field = || fields.next().unwrap_or_default().to_owned();
        let seed = field().parse().unwrap_or_else(|_| panic!("no seed: {line}"));
        Regression { seed, plan: field(), name: field() }
    };
    lines.map(regression).collect()
}
