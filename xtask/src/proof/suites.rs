//! What tests show, where the test itself has the mistake built in.

/// A test that springs mistakes.
pub(crate) struct Suite {
    pub(crate) law: &'static str,
    pub(crate) file: &'static str,
    pub(crate) test: &'static str,
    /// Over how much.
    pub(crate) over: &'static str,
    pub(crate) mistakes: &'static str,
}

pub(super) const SUITES: &[Suite] = &[];
