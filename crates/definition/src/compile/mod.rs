//! From the file to what the machine runs: defaults filled in, the order worked out, the content
//! pinned.

mod compiled;
mod layout;
mod pinned;
mod policy;

pub(crate) use compiled::put_together;
pub use compiled::{
    Alerts, Binding, Bindings, Broker, Compiled, DataSchema, Failures, Messaging, Pattern, Places,
    Queues, Sla, StepExtras, Transport,
};
pub(crate) use layout::{Laid, PLACEHOLDER, command, fence_of, kind_of, lay_out};
pub(crate) use policy::Policy;
pub use policy::{
    BACKOFF_DEFAULT, DEADLINE_DEFAULT, DEADLINE_TIMEOUTS, TIMEOUT_DEFAULT, UNDO_DEFAULT,
};
