//! The Transport contract, the in-process transport, and the suite that every transport passes.
//!
//! A transport carries commands to participants and brings back what they say. It decides
//! nothing: it neither retries nor gives up, and what an outcome means is the machine's business.

mod address;
mod bare;
mod by_message;
mod caught_up;
mod channel;
#[cfg(feature = "conformance")]
pub mod conformance;
mod contract;
mod events;
mod exchange;
mod hold;
mod in_memory;
mod in_process;
mod later;
mod queues;
mod readable;
mod signing;
mod topology;

pub use address::without_login;
pub use bare::{Acknowledging, Bare};
pub use by_message::{ByMessage, CONFIRMED_WITHIN};
pub use caught_up::CaughtUp;
pub use channel::{Channel, ChannelError, End, Kind, Message, Received, Tag, UNSETTLED_MAX};
pub use contract::{
    Closing, Delivery, Outgoing, Patience, Receipt, Replies, ReplySink, Ticket, Transport,
};
pub use events::{Events, Listener, Unspeakable};
pub use exchange::{Exchanges, KEPT_OPEN_MAX};
pub use hold::{Brought, HELD_BYTES_MAX, Hold, Room};
pub use in_memory::InMemory;
pub use in_process::{Answer, CommandView, Fail, InProcess, RawJson};
pub use later::{Connect, Later};
pub use queues::Queues;
pub use readable::{BODY_BYTES_MAX, next_readable};
pub use signing::Signing;
pub use topology::Topology;
