//! The binary as people meet it: real processes on temporary folders, and every way a command can
//! end.

mod errors;
mod order;
mod server;
