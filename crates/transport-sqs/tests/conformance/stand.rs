//! Places on real servers: one that all share, and one of its own, behind a door, for what has to do
//! without it. The server keeps all in memory, so it is not killed: the door is shut, every
//! connection cut, each new one refused. That Amazon's keeps what it has confirmed is its promise, and
//! cannot be tried here.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::conformance::channel::{Broker, Capabilities, LISTENERS, Mortal, Place};
use amends_transport::{Channel, End, Listener};
use amends_transport_sqs::{REASON, Server, connect};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

/// What SQS takes, without the envelope.
const BODY_BYTES_MAX: usize = 1024 * 1024 - 4096;

/// Short, so that what an end took to its grave comes soon.
const HELD_FOR: Duration = Duration::from_secs(3);

/// Short, since the server goes on with a question that was hung up, and brings to it what comes.
const ASKED_FOR: Duration = Duration::from_secs(1);

static PLACES: AtomicU32 = AtomicU32::new(0);

pub struct Sqs {
    /// Whether its queues keep order.
    pub fifo: bool,
}

/// The server of all cases that leave it alone.
static SHARED: LazyLock<testbed::Server> =
    LazyLock::new(|| testbed::Server::start(testbed::sqs()).expect("it starts"));

/// Where the shared server is.
pub async fn shared() -> Server {
    at(tokio::task::spawn_blocking(|| SHARED.url()).await.expect("it starts"))
}

/// As somebody who may do everything.
pub fn at(url: String) -> Server {
    let (key, secret) = testbed::SQS_OWNER;
    let mut server = Server::new(url).with_login(key, secret);
    (server.held_for, server.asked_for) = (HELD_FOR, ASKED_FOR);
    server
}

/// A place that no other case uses.
pub fn new_place(fifo: bool) -> amends_transport_sqs::Place {
    let number = PLACES.fetch_add(1, Ordering::Relaxed);
    let ending = if fifo { ".fifo" } else { "" };
    let [commands, replies, events] =
        ["commands", "replies", "events"].map(|of| format!("place-{number}-{of}{ending}"));
    amends_transport_sqs::Place::new(commands, replies).with_events(events)
}

/// The same, with those who listen in the suite: SQS has to know them.
fn heard_place(fifo: bool) -> amends_transport_sqs::Place {
    let listeners = LISTENERS.map(|name| Listener::named(name).expect("it can be said"));
    let place = new_place(fifo);
    let events = place.events.clone().map(|events| events.heard_by(listeners));
    amends_transport_sqs::Place { events, ..place }
}

struct Own {
    server: Server,
    place: amends_transport_sqs::Place,
    /// A server of its own, and the door before it.
    away: Option<(testbed::Server, Arc<Mutex<testbed::Door>>)>,
}

impl Own {
    async fn connected(&self, end: End) -> Arc<dyn Channel> {
        let connected = connect(&self.server, self.place.clone(), end, true).await;
        Arc::new(connected.expect("it is there").0)
    }
}

impl Broker for Sqs {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            keeps_order: self.fifo,
            one_at_a_time: self.fifo,
            settles_alone: true,
            knows_ids: self.fifo,
            counts_deliveries: true,
            body_bytes_max: BODY_BYTES_MAX,
        }
    }

    fn place(&self) -> BoxFuture<'_, Arc<dyn Place>> {
        async {
            let place = heard_place(self.fifo);
            Arc::new(Own { server: shared().await, place, away: None }) as Arc<dyn Place>
        }
        .boxed()
    }

    fn mortal(&self) -> BoxFuture<'_, Arc<dyn Mortal>> {
        async {
            let started = || testbed::Server::start(testbed::sqs());
            let process = tokio::task::spawn_blocking(started).await.expect("it starts");
            let process = process.expect("it starts");
            let door = testbed::Door::before(process.port()).expect("a port is free");
            let server = at(format!("http://127.0.0.1:{}", door.port()));
            let away = Some((process, Arc::new(Mutex::new(door))));
            Arc::new(Own { server, place: heard_place(self.fifo), away }) as Arc<dyn Mortal>
        }
        .boxed()
    }
}

impl Place for Own {
    fn end(&self, end: End) -> BoxFuture<'_, Arc<dyn Channel>> {
        self.connected(end).boxed()
    }

    fn dead_letters(&self, end: End) -> BoxFuture<'_, Vec<(Bytes, String)>> {
        dead_letters(&self.server, self.place.dead_letters(&end)).boxed()
    }
}

/// What an end has put aside, into the queue of this name. It stays there.
pub async fn dead_letters(server: &Server, queue: Option<String>) -> Vec<(Bytes, String)> {
    let client = client(server);
    let queue = queue.expect("the end takes something");
    let url = url(&client, &queue).await;
    let (mut dead, mut held) = (Vec::new(), Vec::new());
    loop {
        let asked = client.receive_message().queue_url(&url).max_number_of_messages(10);
        let asked =
            asked.message_attribute_names("All").wait_time_seconds(0).visibility_timeout(60);
        let messages = asked.send().await.expect("it is there").messages.unwrap_or_default();
        if messages.is_empty() {
            break;
        }
        for message in messages {
            let headers = message.message_attributes.clone().unwrap_or_default();
            let reason = headers.get(REASON).and_then(|reason| reason.string_value());
            let body = Bytes::from(message.body.unwrap_or_default());
            let (_, body) = amends_wire::envelope::open([], &body);
            dead.push((body, reason.unwrap_or_default().to_owned()));
            held.push(message.receipt_handle.expect("it has one"));
        }
    }
    for receipt in held {
        let hidden = client.change_message_visibility().queue_url(&url).receipt_handle(receipt);
        hidden.visibility_timeout(0).send().await.expect("it is held");
    }
    dead
}

/// Somebody else's way to the server.
pub fn client(server: &Server) -> Client {
    let login = server.login.as_ref().expect("it is said");
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(&login.key, &login.secret, None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(&server.at)
        .build();
    Client::from_conf(config)
}

pub async fn url(client: &Client, name: &str) -> String {
    let told = client.get_queue_url().queue_name(name).send().await.expect("it was made");
    told.queue_url.expect("it is told")
}

impl Own {
    async fn with_door(&self, act: impl FnOnce(&mut testbed::Door) + Send + 'static) {
        let (_, door) = self.away.as_ref().expect("it has a server of its own");
        let door = Arc::clone(door);
        let acted = tokio::task::spawn_blocking(move || act(&mut door.blocking_lock()));
        acted.await.expect("the door does as it is told");
    }
}

impl Mortal for Own {
    fn kill(&self) -> BoxFuture<'_, ()> {
        self.with_door(testbed::Door::shut).boxed()
    }

    fn start_again(&self) -> BoxFuture<'_, ()> {
        self.with_door(|door| door.open().expect("its port is free")).boxed()
    }
}
