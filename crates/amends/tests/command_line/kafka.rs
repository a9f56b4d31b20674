//! A service behind Kafka.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::{Channel, End};
use amends_transport_kafka::{Place, Server, connect};

use crate::brokers::{self, Dies, Reached};

const KAFKA: Reached = Reached {
    kind: testbed::kafka,
    option: "--kafka",
    described: "kafka: { commands: desk.commands, replies: desk.replies }",
    made: "made at Kafka: topic desk.commands",
    env: &[],
    dies: Dies::Killed,
    kept_after: Duration::ZERO,
    service: |addresses| {
        Box::pin(async move {
            let place = Place {
                commands: "desk.commands".to_owned(),
                replies: "desk.replies".to_owned(),
                events: None,
            };
            let connected = connect(&Server::new(addresses), place, End::Service, true).await;
            Arc::new(connected.unwrap().0) as Arc<dyn Channel>
        })
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn sagas_run_over_a_broker_that_dies_and_a_server_that_is_killed() {
    brokers::every_saga_ends(&KAFKA).await;
}

#[test]
fn the_doctor_says_what_is_there_and_what_is_not() {
    brokers::the_doctor_says_what_is_there(&KAFKA);
}

#[test]
fn the_bench_measures_the_way_and_the_broker_alone() {
    brokers::the_bench_measures_the_way_and_the_broker_alone(&KAFKA);
}

#[test]
fn a_server_that_is_not_told_where_the_broker_is_says_so() {
    brokers::a_server_that_is_not_told_where_the_broker_is_says_so(&KAFKA);
}

/// The login comes from a file, and is nowhere in the log, whether it is taken or not.
#[test]
fn a_login_comes_from_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let broker = testbed::Server::start(testbed::kafka_with_logins()).expect("a Kafka starts");
    let (owner, password) = testbed::KAFKA_OWNER;
    let definition = folder.path().join("letter.yaml");
    fs::write(&definition, KAFKA.definition()).unwrap();
    let login = folder.path().join("kafka.properties");
    let serve = |name: &str, password: &str| {
        let text = format!(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n\
             sasl.username={owner}\nsasl.password={password}\n"
        );
        fs::write(&login, text).unwrap();
        let more = ["--kafka", &broker.url(), "--kafka-config", login.to_str().unwrap()];
        crate::server::Server::start_with(&folder.path().join(name), &definition, &more)
    };
    let server = serve("wrong", "wr0ng");
    server.says("Authentication failed");
    assert!(!server.log().contains("wr0ng"), "{}", server.log());
    drop(server);
    let server = serve("right", password);
    server.says(KAFKA.made);
    assert!(!server.log().contains(password), "{}", server.log());
}

/// Before anything is served, with the line.
#[test]
fn a_file_of_settings_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let definition = folder.path().join("letter.yaml");
    fs::write(&definition, KAFKA.definition()).unwrap();
    let settings = folder.path().join("kafka.properties");
    fs::write(&settings, "sasl.username=me\ns3cr3t\n").unwrap();
    let more = ["--kafka", "127.0.0.1:1", "--kafka-config", settings.to_str().unwrap()];
    let data = folder.path().join("data");
    let server = crate::server::Server::start_with(&data, &definition, &more);
    server.says("line 2 is not of the form name=value");
    assert!(!server.log().contains("s3cr3t"), "{}", server.log());
}
