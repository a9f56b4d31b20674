//! A real server passes the suite of brokers, and commands over it that of transports, with queues of
//! either sort.

mod own;
mod stand;

use amends_transport::conformance::channel::Commands;
use stand::Sqs;

const STANDARD: Sqs = Sqs { fifo: false };

const FIFO: Sqs = Sqs { fifo: true };

mod as_a_broker {
    amends_transport::channel_tests!(super::STANDARD);
}

mod as_a_broker_that_keeps_order {
    amends_transport::channel_tests!(super::FIFO);
}

mod as_a_transport {
    amends_transport::conformance_tests!(super::Commands(super::STANDARD));
}

mod as_a_transport_that_keeps_order {
    amends_transport::conformance_tests!(super::Commands(super::FIFO));
}
