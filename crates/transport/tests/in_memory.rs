//! The broker in memory passes the suite of brokers, and commands over it that of transports.

use std::sync::Arc;

use amends_transport::conformance::channel::{Broker, Capabilities, Commands, Mortal, Place};
use amends_transport::{Channel, End, InMemory};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

struct Memory;

impl Broker for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            keeps_order: true,
            one_at_a_time: false,
            settles_alone: true,
            knows_ids: false,
            counts_deliveries: true,
            body_bytes_max: usize::MAX,
        }
    }

    fn place(&self) -> BoxFuture<'_, Arc<dyn Place>> {
        ready(Arc::new(Own::default()) as Arc<dyn Place>).boxed()
    }

    fn mortal(&self) -> BoxFuture<'_, Arc<dyn Mortal>> {
        ready(Arc::new(Own::default()) as Arc<dyn Mortal>).boxed()
    }
}

#[derive(Default)]
struct Own(InMemory);

impl Place for Own {
    fn end(&self, end: End) -> BoxFuture<'_, Arc<dyn Channel>> {
        ready(self.0.end(&end)).boxed()
    }

    fn dead_letters(&self, end: End) -> BoxFuture<'_, Vec<(Bytes, String)>> {
        ready(self.0.put_aside_by(&end)).boxed()
    }
}

/// What is in memory outlives a death that is only told.
impl Mortal for Own {
    fn kill(&self) -> BoxFuture<'_, ()> {
        self.0.set_away(true);
        ready(()).boxed()
    }

    fn start_again(&self) -> BoxFuture<'_, ()> {
        self.0.set_away(false);
        ready(()).boxed()
    }
}

mod as_a_broker {
    amends_transport::channel_tests!(super::Memory);
}

mod as_a_transport {
    amends_transport::conformance_tests!(super::Commands(super::Memory));
}
