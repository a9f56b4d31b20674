//! The Journal and Catalog contracts, the in-memory store, and their conformance suite.
