//! What NATS alone can get wrong: consumers that others made.

use std::sync::LazyLock;
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::{Channel, End, Kind, Message, Received};
use amends_transport_nats::{NatsChannel, Place, Server, connect};
use tokio::time::timeout;

/// Long, so that only what never happens fails.
const WITHIN: Duration = Duration::from_secs(60);

static SERVER: LazyLock<testbed::Server> =
    LazyLock::new(|| testbed::Server::start(testbed::nats()).expect("a NATS server starts"));

async fn server() -> Server {
    Server::new(tokio::task::spawn_blocking(|| SERVER.url()).await.expect("it starts"))
}

fn place(name: &str) -> Place {
    let of = |what: &str| format!("{name}.{what}");
    Place::new(name.to_uppercase(), of("commands"), of("replies"))
}

async fn end(server: &Server, name: &str, end: End) -> NatsChannel {
    connect(server, place(name), end, true).await.expect("it is there").0
}

async fn next(end: &NatsChannel) -> Received {
    let received = async {
        loop {
            if let Ok(received) = end.receive().await {
                return received;
            }
        }
    };
    timeout(WITHIN, received).await.expect("a message comes")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_said_to_be_at_work_as_often_as_its_consumer_wants_it() {
    const HASTY: Duration = Duration::from_secs(1);
    let mut hasty = server().await;
    hasty.ack_wait = HASTY;
    end(&hasty, "hasty", End::Service).await.close().await;

    let server = server().await;
    let (engine, service) =
        (end(&server, "hasty", End::Engine).await, end(&server, "hasty", End::Service).await);
    let message = Message {
        id: "1".to_owned(),
        saga_id: "saga".to_owned(),
        kind: Kind::Command,
        name: "Desk.Write".to_owned(),
        attributes: Vec::new(),
        body: "{}".into(),
    };
    engine.publish(&message).await.expect("it is kept");
    let held = next(&service).await;
    assert!(
        timeout(3 * HASTY, service.receive()).await.is_err(),
        "it came again while it was held"
    );
    service.acknowledge(held.tag).await.expect("it is there");
}
