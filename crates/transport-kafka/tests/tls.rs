//! A cluster that encrypts and asks for a login by SCRAM is reached, and one whose certificate nobody
//! vouches for is not.

use std::time::Duration;

use amends_testbed::{self as testbed, KAFKA_CERTIFICATE, KAFKA_OWNER};
use amends_transport::{Channel, End, Kind, Message};
use amends_transport_kafka::{Place, Server, connect};

fn place() -> Place {
    Place::new("commands", "replies")
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_encrypted_and_only_to_who_is_known() {
    let started = || testbed::Server::start(testbed::kafka_with_tls());
    let broker = tokio::task::spawn_blocking(started).await.unwrap().expect("a Kafka starts");
    let certificate = broker.folder().join(KAFKA_CERTIFICATE);
    let (name, password) = KAFKA_OWNER;
    let unknown = Server::new(broker.url())
        .with("security.protocol", "SASL_SSL")
        .with("sasl.mechanism", "SCRAM-SHA-512")
        .with("sasl.username", name)
        .with("sasl.password", password);
    let known = unknown.clone().with("ssl.ca.location", certificate.to_str().unwrap());

    let error = connect(&unknown, place(), End::Engine, true).await.unwrap_err().to_string();
    assert!(error.contains("certificate") && !error.contains(password), "{error}");
    let wrong = known.clone().with("sasl.password", "s3cr3t-that-is-wrong");
    let error = connect(&wrong, place(), End::Engine, true).await.unwrap_err().to_string();
    assert!(error.contains("uthentication") && !error.contains("s3cr3t"), "{error}");

    let (engine, _) = connect(&known, place(), End::Engine, true).await.unwrap();
    let (service, _) = connect(&known, place(), End::Service, true).await.unwrap();
    let command = Message {
        id: "a/1".to_owned(),
        saga_id: "a".to_owned(),
        kind: Kind::Command,
        name: "Desk.Write".to_owned(),
        attributes: Vec::new(),
        body: "1".into(),
    };
    engine.publish(&command).await.expect("it is kept");
    let received = async {
        loop {
            if let Ok(received) = service.receive().await {
                return received;
            }
        }
    };
    let received = tokio::time::timeout(Duration::from_secs(60), received).await.unwrap();
    assert_eq!(received.body, "1");
    service.acknowledge(received.tag).await.unwrap();
    engine.close().await;
    service.close().await;
}
