//! A service behind RabbitMQ.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::{Channel, End};
use amends_transport_rabbitmq::{Place, Server, connect};

use crate::brokers::{self, Dies, Reached};

const RABBITMQ: Reached = Reached {
    kind: testbed::rabbitmq,
    option: "--rabbitmq",
    described: "rabbitmq: { exchange: desk, commands: desk.commands, replies: desk.replies }",
    made: "made at RabbitMQ: queue desk.replies",
    env: &[],
    dies: Dies::Killed,
    // One that was made within the last seconds comes back without a leader, and confirms nothing.
    kept_after: Duration::from_secs(8),
    service: |url| {
        Box::pin(async move {
            let place = Place {
                exchange: "desk".to_owned(),
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
    brokers::every_saga_ends(&RABBITMQ).await;
}

#[test]
fn the_doctor_says_what_is_there_and_what_is_not() {
    brokers::the_doctor_says_what_is_there(&RABBITMQ);
}

#[test]
fn the_bench_measures_the_way_and_the_broker_alone() {
    brokers::the_bench_measures_the_way_and_the_broker_alone(&RABBITMQ);
}

#[test]
fn a_server_that_is_not_told_where_the_broker_is_says_so() {
    brokers::a_server_that_is_not_told_where_the_broker_is_says_so(&RABBITMQ);
}

/// In the environment, where a list of processes does not show it; and nowhere in the log, however
/// much is logged and whether it is taken or not.
#[test]
fn a_login_comes_from_the_environment_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let broker = testbed::Server::start(testbed::rabbitmq()).expect("RabbitMQ starts");
    let definition = folder.path().join("letter.yaml");
    fs::write(&definition, RABBITMQ.definition()).unwrap();
    let serve = |name: &str, password: &str| {
        let url = broker.url().replace("amqp://", &format!("amqp://guest:{password}@"));
        let env = [("AMENDS_RABBITMQ", url.as_str())];
        let data = folder.path().join(name);
        crate::server::Server::start_in(&env, &data, &definition, &["--log", "trace"])
    };
    let server = serve("wrong", "wr0ng-s3cr3t");
    server.says("ACCESS_REFUSED");
    assert!(!server.log().contains("s3cr3t"), "{}", server.log());
    drop(server);
    let server = serve("right", "guest");
    server.says(RABBITMQ.made);
    assert!(!server.log().contains("guest:guest"), "{}", server.log());
}
