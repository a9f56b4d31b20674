//! A durable saga engine: embed it, or run the binary.
