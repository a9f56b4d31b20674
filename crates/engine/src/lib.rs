//! Shards, batching, timers, dispatch and recovery around the machine.

pub mod persist;
