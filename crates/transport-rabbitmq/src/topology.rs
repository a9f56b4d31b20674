//! The exchange and the queues of a place: looked at, and made where that is wanted.

mod settings;

use std::time::Duration;

use amends_transport::{End, Topology};
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ErrorKind, ExchangeKind};
use tokio::time::{Instant, sleep};

use crate::place::{ConnectError, Place, dead_letters, heard_by};
use crate::server::{PAUSE, Server, words};

/// From version 4 on the server gives a message up after 20 deliveries unless a queue says
/// otherwise, and an end whose disk is full gives it back more often than that. It knows no "never"
/// that every version takes; as often as this is a thousand years of the longest pause.
const DELIVERIES_MAX: i32 = 1_000_000_000;

/// How long events stay for whoever reads them: seven days.
const EVENTS_STAY_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How long a queue may take to be up in a server that has just started: it lets us in before.
const UP_WITHIN: Duration = Duration::from_secs(20);

/// Whoever listens hears all; so does the queue that keeps them.
const EVERY_EVENT: &str = "#";

/// Looks at what the server has of a place, for every end that is known there, and makes nothing.
///
/// # Errors
///
/// The server cannot be reached.
pub async fn examine(server: &Server, place: &Place) -> Result<Topology, ConnectError> {
    place.checked()?;
    let connection = server.connect().await?;
    let mut look = Look { connection: &connection, create: false, topology: Topology::default() };
    for thing in things(place, None) {
        look.at(&thing).await?;
    }
    Ok(look.topology)
}

/// All that a place needs for this end. What is missing is made with `create`, and is an error
/// where this end cannot do without it.
pub(crate) async fn prepare(
    connection: &Connection,
    place: &Place,
    end: &End,
    create: bool,
) -> Result<Topology, ConnectError> {
    if matches!(end, End::Listener(_)) && place.events.is_none() {
        return Err(ConnectError::Missing {
            what: "events at the place".to_owned(),
            way: "say their exchange".to_owned(),
        });
    }
    let mut look = Look { connection, create, topology: Topology::default() };
    let mut needed = Vec::new();
    let mut refused = None;
    for thing in things(place, Some(end)) {
        let outcome = look.at(&thing).await?;
        if let (true, Outcome::Missing(why)) = (thing.is_needed, outcome) {
            needed.push(thing.what());
            refused = refused.or(why);
        }
    }
    if needed.is_empty() {
        return Ok(look.topology);
    }
    let way = match refused {
        None => "make it, or allow it to be made".to_owned(),
        Some(why) => format!("this user may not make it: have it made ({why})"),
    };
    Err(ConnectError::Missing { what: needed.join(", no "), way })
}

/// Something that a place needs.
struct Thing {
    name: String,
    kind: ThingKind,
    /// Whether an end cannot do without it.
    is_needed: bool,
}

enum ThingKind {
    /// Of this type.
    Exchange(&'static str),
    /// Of an end: what the server cannot bring goes to `dead_letters`.
    Queue {
        dead_letters: String,
        bound: Option<Binding>,
    },
    DeadLetters,
    /// Keeps events for a time where nobody is known to listen. It is no stream, which would let many
    /// read them: one of a server that was killed may not come up again (3.10), and none syncs before
    /// it confirms.
    Events(Binding),
}

/// The exchange and the routing key by which messages come to a queue.
struct Binding {
    exchange: String,
    key: String,
}

/// The things of a place, each after what it stands on. The other end's queue of dead letters is
/// its own business, and what a named exchange brings to its queue, too.
fn things(place: &Place, end: Option<&End>) -> Vec<Thing> {
    let mut things = Vec::new();
    let mut thing = |name: &str, kind, is_needed| {
        things.push(Thing { name: name.to_owned(), kind, is_needed });
    };
    if let Some(queues) = &place.queues {
        let is_named = !place.exchange.is_empty();
        if is_named {
            // A routing key means just the queue of that name.
            thing(&place.exchange, ThingKind::Exchange("direct"), true);
        }
        for (of, queue) in [(End::Service, &queues.commands), (End::Engine, &queues.replies)] {
            let is_ours = end.is_none_or(|end| *end == of);
            let dead_letters = dead_letters(queue);
            thing(&dead_letters, ThingKind::DeadLetters, is_ours);
            let bound =
                is_named.then(|| Binding { exchange: place.exchange.clone(), key: queue.clone() });
            thing(queue, ThingKind::Queue { dead_letters, bound }, is_ours || !is_named);
        }
    }
    if let Some(events) = &place.events {
        let all = || Binding { exchange: events.at.clone(), key: EVERY_EVENT.to_owned() };
        let is_ours = end != Some(&End::Engine);
        // Whoever else binds a queue may pick by the name of the event.
        thing(&events.at, ThingKind::Exchange("topic"), is_ours);
        for listener in &events.listeners {
            // Who publishes needs the queues of all: an event is lost to whoever has none.
            let queue = heard_by(events, listener);
            let dead_letters = dead_letters(&queue);
            thing(&dead_letters, ThingKind::DeadLetters, is_ours);
            let bound = Some(all());
            thing(&queue, ThingKind::Queue { dead_letters, bound }, is_ours);
        }
        if events.listeners.is_empty() {
            thing(&events.at, ThingKind::Events(all()), is_ours);
        }
    }
    things
}

impl Thing {
    fn what(&self) -> String {
        let Self { name, kind, .. } = self;
        match kind {
            ThingKind::Exchange(_) => format!("exchange {name}"),
            _ => format!("queue {name}"),
        }
    }

    /// How a queue is made.
    fn arguments(&self) -> FieldTable {
        let text = |text: &str| AMQPValue::LongString(text.into());
        let mut said = vec![
            ("x-queue-type", text("quorum")),
            ("x-delivery-limit", AMQPValue::LongInt(DELIVERIES_MAX)),
        ];
        match &self.kind {
            ThingKind::Queue { dead_letters, .. } => said.extend([
                ("x-dead-letter-exchange", text("")),
                ("x-dead-letter-routing-key", text(dead_letters)),
                // Not lost on the way there, which needs the other one.
                ("x-dead-letter-strategy", text("at-least-once")),
                ("x-overflow", text("reject-publish")),
            ]),
            ThingKind::Events(_) => {
                said.push(("x-message-ttl", AMQPValue::LongLongInt(EVENTS_STAY_MS)));
            }
            ThingKind::Exchange(_) | ThingKind::DeadLetters => {}
        }
        let mut arguments = FieldTable::default();
        for (name, value) in said {
            arguments.insert(name.into(), value);
        }
        arguments
    }

    fn binding(&self) -> Option<&Binding> {
        match &self.kind {
            ThingKind::Queue { bound, .. } => bound.as_ref(),
            ThingKind::Events(bound) => Some(bound),
            ThingKind::Exchange(_) | ThingKind::DeadLetters => None,
        }
    }

    /// Declares it: with `passive` it is only looked for. The server closes a channel after a no,
    /// so each question has one of its own.
    async fn declare(&self, connection: &Connection, passive: bool) -> Result<(), lapin::Error> {
        let channel = connection.create_channel().await?;
        let name = self.name.as_str().into();
        match &self.kind {
            ThingKind::Exchange(kind) => {
                let options = ExchangeDeclareOptions { passive, durable: true, ..no_options() };
                let kind = ExchangeKind::Custom((*kind).to_owned());
                channel.exchange_declare(name, kind, options, FieldTable::default()).await
            }
            _ => {
                let options = QueueDeclareOptions {
                    passive,
                    durable: true,
                    ..QueueDeclareOptions::default()
                };
                channel.queue_declare(name, options, self.arguments()).await.map(drop)
            }
        }
    }

    async fn bind(&self, connection: &Connection) -> Result<(), lapin::Error> {
        let Some(Binding { exchange, key }) = self.binding() else { return Ok(()) };
        let channel = connection.create_channel().await?;
        let (name, options) = (self.name.as_str().into(), QueueBindOptions::default());
        let (exchange, key) = (exchange.as_str().into(), key.as_str().into());
        channel.queue_bind(name, exchange, key, options, FieldTable::default()).await
    }
}

fn no_options() -> ExchangeDeclareOptions {
    ExchangeDeclareOptions::default()
}

/// A look at the things of a place, and what came of it so far.
struct Look<'a> {
    connection: &'a Connection,
    create: bool,
    topology: Topology,
}

enum Outcome {
    IsThere,
    /// And why it was not made, where that was tried.
    Missing(Option<String>),
}

impl Look<'_> {
    async fn at(&mut self, thing: &Thing) -> Result<Outcome, ConnectError> {
        let what = thing.what();
        let refused =
            |error: &lapin::Error| ConnectError::Topology { what: thing.what(), why: words(error) };
        match self.look_for(thing).await {
            Ok(()) => {
                let weak = settings::weaknesses(self.connection, thing).await;
                self.topology.weak.extend(weak.map_err(|error| refused(&error))?);
                self.topology.there.push(what);
            }
            Err(error) if is(&error, &AMQPSoftError::NOTFOUND) && !is_down(&error) => {
                if !self.create {
                    self.topology.missing.push(what);
                    return Ok(Outcome::Missing(None));
                }
                match thing.declare(self.connection, false).await {
                    Ok(()) => self.topology.created.push(what),
                    Err(error) if is(&error, &AMQPSoftError::ACCESSREFUSED) => {
                        self.topology.missing.push(what);
                        return Ok(Outcome::Missing(Some(words(&error))));
                    }
                    Err(error) => return Err(refused(&error)),
                }
            }
            Err(error) => return Err(refused(&error)),
        }
        self.bind(thing).await?;
        Ok(Outcome::IsThere)
    }

    /// Waits for one that is not up yet.
    async fn look_for(&self, thing: &Thing) -> Result<(), lapin::Error> {
        let until = Instant::now() + UP_WITHIN;
        loop {
            match thing.declare(self.connection, true).await {
                Err(error) if is_down(&error) && Instant::now() < until => sleep(PAUSE).await,
                told => return told,
            }
        }
    }

    /// It is made wherever it may be: the server does not tell whether it is there.
    async fn bind(&mut self, thing: &Thing) -> Result<(), ConnectError> {
        let (true, Some(Binding { exchange, key })) = (self.create, thing.binding()) else {
            return Ok(());
        };
        match thing.bind(self.connection).await {
            Ok(()) => Ok(()),
            // Not there, or already bound by whoever may. What no queue takes comes back, and says so.
            Err(error)
                if is(&error, &AMQPSoftError::ACCESSREFUSED)
                    || is(&error, &AMQPSoftError::NOTFOUND) =>
            {
                let what = thing.what();
                self.topology.weak.push(format!(
                    "{what}: it could not be bound to exchange {exchange} by {key} ({}); unless it \
                     is, nothing comes to it",
                    words(&error)
                ));
                Ok(())
            }
            Err(error) => Err(ConnectError::Topology { what: thing.what(), why: words(&error) }),
        }
    }
}

/// Whether the server knows it, and cannot reach it: it says so as of one that is not there.
fn is_down(error: &lapin::Error) -> bool {
    words(error).contains("is down or inaccessible")
}

/// Whether the server says no for this reason.
fn is(error: &lapin::Error, reason: &AMQPSoftError) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error)
        if matches!(error.kind(), AMQPErrorKind::Soft(said) if said == reason))
}
