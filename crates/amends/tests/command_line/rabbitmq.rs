//! What is reached over RabbitMQ.

use std::fs;
use std::sync::Arc;

use amends_testbed as testbed;
use amends_transport::{Channel, End};
use amends_transport_rabbitmq::{Place, Server, connect};
use futures_util::future::BoxFuture;

use crate::broker::{Broker, RabbitMq};
use crate::brokers::{Reached, definition, over};

over!(RabbitMq);

impl Reached for RabbitMq {
    fn made(&self, short: &str) -> String {
        format!("made at RabbitMQ: queue {short}.replies")
    }

    /// A queue of the same name keeps all of them.
    fn listener<'a>(&'a self, url: &'a str, short: &'a str) -> BoxFuture<'a, Arc<dyn Channel>> {
        Box::pin(async move {
            let events = self.events(short);
            let place = Place::new(&events, &events);
            let connected = connect(&Server::new(url), place, End::Engine, true).await;
            Arc::new(connected.unwrap().0) as Arc<dyn Channel>
        })
    }
}

/// In the environment, where a list of processes does not show it; and nowhere in the log, however
/// much is logged and whether it is taken or not.
#[test]
fn a_login_comes_from_the_environment_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let broker = testbed::Server::start(testbed::rabbitmq()).expect("RabbitMQ starts");
    let letter = folder.path().join("letter.yaml");
    fs::write(&letter, definition(&RabbitMq)).unwrap();
    let serve = |name: &str, password: &str| {
        let url = broker.url().replace("amqp://", &format!("amqp://guest:{password}@"));
        let env = [("AMENDS_RABBITMQ", url.as_str())];
        let data = folder.path().join(name);
        crate::server::Server::start_in(&env, &data, &letter, &["--log", "trace"])
    };
    let server = serve("wrong", "wr0ng-s3cr3t");
    server.says("ACCESS_REFUSED");
    assert!(!server.log().contains("s3cr3t"), "{}", server.log());
    drop(server);
    let server = serve("right", "guest");
    server.says(&RabbitMq.made("desk"));
    assert!(!server.log().contains("guest:guest"), "{}", server.log());
}
