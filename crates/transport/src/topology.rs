//! What a broker has of what a place needs, for whoever asks what is missing.

/// What is there, what is not, and what is weaker than the promise. Each in words that name it:
/// `stream NOTIFY`, `queue shipping.commands`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// What is there and was before.
    pub there: Vec<String>,
    /// What was made just now.
    pub created: Vec<String>,
    /// What is not there.
    pub missing: Vec<String>,
    /// Which settings are too weak for what a saga promises, and what to set instead.
    pub weak: Vec<String>,
}
