//! The Transport contract and the in-process transport.
