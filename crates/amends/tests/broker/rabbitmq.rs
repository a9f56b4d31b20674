//! Services behind RabbitMQ.

use std::sync::Arc;
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::{Channel, End, Events};
use amends_transport_rabbitmq::{Place, Server, connect};
use futures_util::future::BoxFuture;
use lapin::options::BasicGetOptions;
use lapin::{Connection, ConnectionProperties};

use super::Broker;

pub struct RabbitMq;

fn place(short: &str) -> Place {
    let place = Place::new(format!("{short}.commands"), format!("{short}.replies"));
    place.with_exchange(short)
}

/// The place where this end is: who listens does so beside the queues.
fn place_of(short: &str, end: &End) -> Place {
    let End::Listener(listener) = end else { return place(short) };
    let events = Events::at(format!("{short}.events")).heard_by([listener.clone()]);
    Place::events_only(events)
}

impl Broker for RabbitMq {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    fn make(&self) -> testbed::Make {
        testbed::rabbitmq
    }

    fn option(&self) -> &'static str {
        "--rabbitmq"
    }

    fn binding(&self, short: &str) -> String {
        let queues = format!("commands: {short}.commands, replies: {short}.replies");
        format!("rabbitmq: {{ exchange: {short}, {queues} }}")
    }

    /// One that was made within the last seconds comes back without a leader, and confirms nothing.
    fn kept_after(&self) -> Duration {
        Duration::from_secs(8)
    }

    fn connect<'a>(
        &'a self,
        url: &'a str,
        short: &'a str,
        end: End,
    ) -> BoxFuture<'a, Result<Arc<dyn Channel>, String>> {
        Box::pin(async move {
            let connected = connect(&Server::new(url), place_of(short, &end), end, true).await;
            let (channel, _) = connected.map_err(|error| error.to_string())?;
            Ok(Arc::new(channel) as Arc<dyn Channel>)
        })
    }

    /// They are taken and not acknowledged: the number that a declaration tells is 0 as well where
    /// the queue cannot be asked.
    fn dead_letters<'a>(
        &'a self,
        url: &'a str,
        short: &'a str,
        end: End,
    ) -> BoxFuture<'a, Result<u64, String>> {
        Box::pin(async move {
            let queue = place_of(short, &end).dead_letters(&end).ok_or("nothing is taken there")?;
            let counted = async {
                let connection = Connection::connect(url, ConnectionProperties::default()).await?;
                let channel = connection.create_channel().await?;
                let mut found = 0;
                let options = BasicGetOptions::default();
                while channel.basic_get(queue.as_str().into(), options).await?.is_some() {
                    found += 1;
                }
                connection.close(200, "OK".into()).await?;
                Ok::<_, lapin::Error>(found)
            };
            counted.await.map_err(|error| error.to_string())
        })
    }
}
