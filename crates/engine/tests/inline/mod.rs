//! A store that answers at once, for tests on paused time.

pub use amends_store::conformance::inline;
