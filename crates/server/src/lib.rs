//! The REST API, live events and metrics.
