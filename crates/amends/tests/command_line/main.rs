//! The binary as people meet it: real processes on temporary folders, and every way a command can
//! end.

mod access;
#[path = "../broker/mod.rs"]
mod broker;
mod brokers;
mod endings;
mod errors;
mod forms;
mod free;
mod kafka;
mod messaging;
mod nats;
mod order;
mod plan;
mod rabbitmq;
mod secrets;
mod server;
mod sidecar;
mod sqs;
mod verify;
mod watching;
