//! What an engine cannot work out by itself: the time of day, and an identity that nobody else has.
//! A simulator brings its own, so that a run is the same every time.

use std::time::{SystemTime, UNIX_EPOCH};

use amends_core::{SagaId, Time};

/// Where an engine gets it.
pub trait Outside: Send + Sync + 'static {
    /// What the wall clock says. It is read once, when an engine starts.
    fn wall_clock(&self) -> Time;

    /// An identity for a new saga, a UUIDv7.
    fn saga_id(&self) -> SagaId;
}

/// The machine that it runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Outside for Machine {
    fn wall_clock(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn saga_id(&self) -> SagaId {
        SagaId(uuid::Uuid::now_v7().as_u128())
    }
}
