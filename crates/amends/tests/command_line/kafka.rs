//! What is reached over Kafka.

use std::fs;
use std::sync::Arc;

use amends_testbed as testbed;
use amends_transport::{Channel, End};
use amends_transport_kafka::{Place, Server, connect};
use futures_util::future::BoxFuture;

use crate::broker::{Broker, Kafka};
use crate::brokers::{Reached, definition, over};

over!(Kafka);

impl Reached for Kafka {
    fn made(&self, short: &str) -> String {
        format!("made at Kafka: topic {short}.commands")
    }

    /// All of them are in one topic.
    fn listener<'a>(&'a self, url: &'a str, short: &'a str) -> BoxFuture<'a, Arc<dyn Channel>> {
        Box::pin(async move {
            let place = Place::new(format!("{short}.listeners"), self.events(short));
            let connected = connect(&Server::new(url), place, End::Engine, true).await;
            Arc::new(connected.unwrap().0) as Arc<dyn Channel>
        })
    }
}

/// The login comes from a file, and is nowhere in the log, whether it is taken or not.
#[test]
fn a_login_comes_from_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let broker = testbed::Server::start(testbed::kafka_with_logins()).expect("a Kafka starts");
    let (owner, password) = testbed::KAFKA_OWNER;
    let letter = folder.path().join("letter.yaml");
    fs::write(&letter, definition(&Kafka)).unwrap();
    let login = folder.path().join("kafka.properties");
    let serve = |name: &str, password: &str| {
        let text = format!(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n\
             sasl.username={owner}\nsasl.password={password}\n"
        );
        fs::write(&login, text).unwrap();
        let more = ["--kafka", &broker.url(), "--kafka-config", login.to_str().unwrap()];
        crate::server::Server::start_with(&folder.path().join(name), &letter, &more)
    };
    let server = serve("wrong", "wr0ng");
    server.says("Authentication failed");
    assert!(!server.log().contains("wr0ng"), "{}", server.log());
    drop(server);
    let server = serve("right", password);
    server.says(&Kafka.made("desk"));
    assert!(!server.log().contains(password), "{}", server.log());
}

/// Before anything is served, with the line.
#[test]
fn a_file_of_settings_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter.yaml");
    fs::write(&letter, definition(&Kafka)).unwrap();
    let settings = folder.path().join("kafka.properties");
    fs::write(&settings, "sasl.username=me\ns3cr3t\n").unwrap();
    let more = ["--kafka", "127.0.0.1:1", "--kafka-config", settings.to_str().unwrap()];
    let data = folder.path().join("data");
    let server = crate::server::Server::start_with(&data, &letter, &more);
    server.says("line 2 is not of the form name=value");
    assert!(!server.log().contains("s3cr3t"), "{}", server.log());
}
