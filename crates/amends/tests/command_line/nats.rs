//! What is reached over NATS.

use std::fs;
use std::sync::Arc;

use amends_transport::{Channel, End};
use amends_transport_nats::{Place, Server, connect};
use futures_util::future::BoxFuture;

use crate::broker::Nats;
use crate::brokers::{Reached, definition, over};

over!(Nats);

impl Reached for Nats {
    fn made(&self, short: &str) -> String {
        format!("made at NATS: stream {}", short.to_uppercase())
    }

    fn telling(&self, short: &str) -> String {
        let stream = short.to_uppercase();
        format!("nats: {{ stream: {stream}, events: {short}.events }}")
    }

    /// They lie in a stream of their own, each under its name.
    fn listener<'a>(&'a self, url: &'a str, short: &'a str) -> BoxFuture<'a, Arc<dyn Channel>> {
        Box::pin(async move {
            let stream = format!("{}_EVENTS", short.to_uppercase());
            let place = Place::new(stream, format!("{short}.events"), format!("{short}.events.>"));
            let connected = connect(&Server::new(url), place, End::Engine, true).await;
            Arc::new(connected.unwrap().0) as Arc<dyn Channel>
        })
    }
}

/// Of two definitions one cannot see that another has its queue: the server can.
#[test]
fn a_queue_that_two_services_would_take_from_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let definitions = folder.path().join("definitions");
    fs::create_dir(&definitions).unwrap();
    fs::write(definitions.join("letter.yaml"), definition(&Nats)).unwrap();
    let another = definition(&Nats).replace("Letter", "Parcel").replace("Desk", "Counter");
    fs::write(definitions.join("parcel.yaml"), another).unwrap();
    let more = ["--nats", "127.0.0.1:1"];
    let server =
        crate::server::Server::start_with(&folder.path().join("data"), &definitions, &more);
    server.says("takes from desk.replies already");
}
