//! Mistakes against what may be seen (`semantics.md` S24), built in on purpose for the tests that look at
//! all that a server says: a process makes the one that `AMENDS_MISTAKE` names.
//!
//! In every other build `mutated` is the constant `false` and the compiler removes them. They are here,
//! below all who make them, because it takes a whole server to see one.

/// A mistake that shows what is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Keep what a participant echoes of the credentials that it was sent.
    KeepsEchoes,
    /// Keep what a participant quotes of them in a callback.
    KeepsQuotes,
    /// Look for what was sent, and not for the secret that it was signed with.
    ForgetsSigningSecrets,
    /// Show a viewer what the definition redacts.
    ShowsRedacted,
    /// Log what a saga is started with.
    LogsStarts,
    /// Tell the business keys of sagas beside the metrics.
    MetersKeys,
    /// Begin a stream of events with the token of who listens.
    NamesListeners,
}

/// Does this process make that mistake?
#[cfg(feature = "mutants")]
pub fn mutated(mutant: Mutant) -> bool {
    use std::sync::LazyLock;

    static NAMED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("AMENDS_MISTAKE").ok());
    NAMED.as_ref().is_some_and(|name| *name == format!("{mutant:?}"))
}

/// Does this process make that mistake?
#[cfg(not(feature = "mutants"))]
pub const fn mutated(_: Mutant) -> bool {
    false
}
