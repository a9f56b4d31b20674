//! How much was heard, and what came of it: for a service's metrics.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How much was heard, and what came of it. Each only grows.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counts! {
    /// Events that were taken in, new or not.
    heard,
    /// Messages at the same place that are about something else.
    others,
    /// Events that are damaged; they are among the dead letters.
    damaged,
    /// Events that contradict what this service knows, or name a step that there is not; they are among the
    /// dead letters.
    contradicted,
    /// How often an event was put off that is of a definition, or in a form, which this service does not
    /// have.
    put_off,
    /// Steps that were not done in their time, this service's own and those that it waits for.
    late,
    /// Attempts at an own step, or at its undo, that came to nothing.
    in_vain,
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
