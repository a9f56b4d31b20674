//! A service behind NATS.

use std::sync::Arc;
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::{Channel, End};
use amends_transport_nats::{Place, Server, connect};

use crate::brokers::{self, Dies, Reached};

const NATS: Reached = Reached {
    kind: testbed::nats,
    option: "--nats",
    described: "nats: { stream: DESK, commands: desk.commands, replies: desk.replies }",
    made: "made at NATS: stream DESK",
    env: &[],
    dies: Dies::Killed,
    kept_after: Duration::ZERO,
    service: |url| {
        Box::pin(async move {
            let place = Place {
                stream: "DESK".to_owned(),
                commands: "desk.commands".to_owned(),
                replies: "desk.replies".to_owned(),
                events: None,
            };
            let connected = connect(&Server::new(url), place, End::Service, true).await;
            Arc::new(connected.unwrap().0) as Arc<dyn Channel>
        })
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn sagas_run_over_a_broker_that_dies_and_a_server_that_is_killed() {
    brokers::every_saga_ends(&NATS).await;
}

#[test]
fn the_doctor_says_what_is_there_and_what_is_not() {
    brokers::the_doctor_says_what_is_there(&NATS);
}

#[test]
fn the_bench_measures_the_way_and_the_broker_alone() {
    brokers::the_bench_measures_the_way_and_the_broker_alone(&NATS);
}

#[test]
fn a_server_that_is_not_told_where_the_broker_is_says_so() {
    brokers::a_server_that_is_not_told_where_the_broker_is_says_so(&NATS);
}
