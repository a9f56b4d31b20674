//! The API against a real engine, on the in-memory store with in-process participants.

mod access;
mod acting;
mod bench;
mod describing;
mod hostile;
mod listing;
mod quoting;
mod reading;
mod reply_door;
mod replying;
mod serving;
mod starting;
mod streaming;
mod unreadable;
