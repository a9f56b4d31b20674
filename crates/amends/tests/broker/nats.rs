//! Services behind NATS.

use std::sync::Arc;

use amends_testbed as testbed;
use amends_transport::{Channel, End, Events};
use amends_transport_nats::{Place, Server, connect};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;

use super::Broker;

pub struct Nats;

fn place(short: &str) -> Place {
    Place::new(short.to_uppercase(), format!("{short}.commands"), format!("{short}.replies"))
}

/// The place where this end is: who listens does so beside the queues.
fn place_of(short: &str, end: &End) -> Place {
    let End::Listener(listener) = end else { return place(short) };
    let events = Events::at(format!("{short}.events")).heard_by([listener.clone()]);
    Place::events_only(short.to_uppercase(), events)
}

impl Broker for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn make(&self) -> testbed::Make {
        testbed::nats
    }

    fn option(&self) -> &'static str {
        "--nats"
    }

    fn binding(&self, short: &str) -> String {
        let stream = short.to_uppercase();
        format!(
            "nats: {{ stream: {stream}, commands: {short}.commands, replies: {short}.replies }}"
        )
    }

    fn telling(&self, short: &str) -> String {
        let stream = short.to_uppercase();
        format!("nats: {{ stream: {stream}, events: {short}.events }}")
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

    fn dead_letters<'a>(
        &'a self,
        url: &'a str,
        short: &'a str,
        end: End,
    ) -> BoxFuture<'a, Result<u64, String>> {
        Box::pin(async move {
            let place = place_of(short, &end);
            let subject = place.dead_letters(&end).ok_or("nothing is taken there")?;
            let counted = async {
                let context = async_nats::jetstream::new(async_nats::connect(url).await?);
                let stream = context.stream_by_subject(subject.as_str()).await?;
                let stream = context.get_stream(stream).await?;
                let subjects = stream.info_with_subjects(subject).await?;
                let counts: Vec<(String, usize)> = subjects.try_collect().await?;
                Ok::<_, async_nats::Error>(counts.iter().map(|(_, count)| *count as u64).sum())
            };
            counted.await.map_err(|error| error.to_string())
        })
    }
}
