//! A real server passes the suite of brokers, and commands over it that of transports.

mod own;
mod stand;

use amends_transport::conformance::channel::Commands;
use stand::Rabbit;

mod as_a_broker {
    amends_transport::channel_tests!(super::Rabbit);
}

mod as_a_transport {
    amends_transport::conformance_tests!(super::Commands(super::Rabbit));
}
