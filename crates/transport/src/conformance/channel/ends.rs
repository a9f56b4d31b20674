//! What the cases have in common: messages to publish, and messages to await.

use std::sync::Arc;
use std::time::Duration;

use amends_wire::Headers;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::stage::within;
use super::Place;
use crate::channel::{Channel, ChannelError, End, Kind, Message, Received};
use crate::events::Listener;

/// How long it is waited to see that nothing comes. A broker that is slower passes for one that
/// brings nothing: then the case sees less, and fails for nothing.
pub const QUIET: Duration = Duration::from_millis(500);

/// A listener's end, by its name.
pub fn listener(name: &str) -> End {
    End::Listener(Listener::named(name).expect("every broker can say it"))
}

/// Whose end publishes what this one takes.
pub fn filled_by(end: &End) -> End {
    match end {
        End::Service => End::Engine,
        End::Engine | End::Listener(_) => End::Service,
    }
}

/// A message with a body.
pub fn message(kind: Kind, saga: u128, id: &str, body: impl Into<Bytes>) -> Message {
    let saga_id = amends_wire::SagaId(saga).to_string();
    let name = match kind {
        Kind::Command => "ConformanceService.Act",
        Kind::Reply => "SagaStepCompleted",
        Kind::Event => "Acted",
    };
    let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Message {
        id: id.to_owned(),
        kind,
        name: name.to_owned(),
        attributes: vec![
            attribute("specversion", "1.0"),
            attribute("id", id),
            attribute("source", "/conformance"),
            attribute("type", name),
            attribute("correlationid", &saga_id),
            attribute("datacontenttype", "application/json"),
        ],
        saga_id,
        body: body.into(),
    }
}

/// A command whose body is a number.
pub fn numbered(saga: u128, number: u32) -> Message {
    numbered_for(&End::Service, saga, number)
}

/// What this end takes, with a number as its body.
pub fn numbered_for(end: &End, saga: u128, number: u32) -> Message {
    message(end.takes(), saga, &format!("{saga}/{number}"), number.to_string())
}

/// Publishes, and has the broker's word.
pub async fn publish(end: &Arc<dyn Channel>, message: &Message) {
    let published = within(end.publish(message)).await;
    published.expect("the broker is there and takes it");
}

/// The same, as often as it takes: where the broker may be away.
pub async fn publish_through(end: &Arc<dyn Channel>, message: &Message) {
    let published = async {
        loop {
            match timeout(Duration::from_secs(10), end.publish(message)).await {
                Ok(Ok(())) => return,
                Ok(Err(ChannelError::Refused(why))) => panic!("the broker refuses it: {why}"),
                Ok(Err(_)) | Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    within(published).await;
}

/// The next message, whatever the broker said in between.
pub async fn next(end: &Arc<dyn Channel>) -> Received {
    let received = async {
        loop {
            match end.receive().await {
                Ok(received) => return received,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    within(received).await
}

/// The next message, done with.
pub async fn taken(end: &Arc<dyn Channel>) -> Received {
    let received = next(end).await;
    acknowledge(end, &received).await;
    received
}

/// The numbers that come to either of two copies, and are done with. Both read as long as somebody
/// wants to know.
pub fn taken_by(copies: &[Arc<dyn Channel>; 2]) -> mpsc::UnboundedReceiver<u32> {
    let (arrived, numbers) = mpsc::unbounded_channel();
    for copy in copies.clone() {
        let arrived = arrived.clone();
        tokio::spawn(async move {
            loop {
                let received = tokio::select! {
                    () = arrived.closed() => return,
                    received = copy.receive() => received,
                };
                if let Ok(received) = received
                    && copy.acknowledge(received.tag).await.is_ok()
                {
                    let _ = arrived.send(number(&received)); // or nobody wants to know any more
                }
            }
        });
    }
    numbers
}

/// Done with it, or the broker is away, and then it comes again.
pub async fn acknowledge(end: &Arc<dyn Channel>, received: &Received) {
    let _ = within(end.acknowledge(received.tag)).await;
}

/// What an end has put aside, as soon as there is something.
pub async fn aside(place: &dyn Place, end: End) -> Vec<(Bytes, String)> {
    within(async {
        loop {
            let dead = place.dead_letters(end.clone()).await;
            if !dead.is_empty() {
                return dead;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

/// Nothing more comes.
pub async fn quiet(end: &Arc<dyn Channel>) {
    if let Ok(received) = timeout(QUIET, next(end)).await {
        panic!("more came: {:?}", received.body);
    }
}

/// The number in a body.
pub fn number(received: &Received) -> u32 {
    let text = std::str::from_utf8(&received.body).ok();
    text.and_then(|text| text.parse().ok()).expect("the body is a number")
}

/// The saga of a message.
pub fn saga(received: &Received) -> String {
    received.value("ce-correlationid").expect("every message says its saga").to_owned()
}
