//! One end of a place: what the server brings is held as long as there is room, and settled one by
//! one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_transport::{
    Channel, ChannelError, End, Hold, Message, Received, Tag, Topology, next_readable,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use lapin::options::BasicAckOptions;
use lapin::{Acker, BasicProperties};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::incoming::{CLOSED_WITHIN, Incoming, give_back};
use crate::letter;
use crate::place::{ConnectError, Place};
use crate::publisher::Publisher;
use crate::server::{PAUSE, Server, longer, words};
use crate::topology::prepare;

/// How long one may wait: half of the time after which the server takes back by force what was not
/// settled (`consumer_timeout`, 30 minutes), and every other message with it.
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);

/// One end of a place.
pub struct RabbitChannel {
    inner: Arc<Inner>,
    stop: watch::Sender<bool>,
    taking: Mutex<Option<JoinHandle<()>>>,
    /// Given back, each until its pause is over.
    waiting: Mutex<JoinSet<()>>,
}

struct Inner {
    server: Server,
    place: Place,
    end: End,
    hold: Hold<Arc<Held>>,
    publisher: Publisher,
}

/// A message that was brought, as it came.
struct Held {
    acker: Acker,
    properties: BasicProperties,
    body: Bytes,
}

/// Connects to a place, and says what was found or, with `create`, made there.
///
/// # Errors
///
/// The server cannot be reached, or something is missing that was not to be made.
pub async fn connect(
    server: &Server,
    place: Place,
    end: End,
    create: bool,
) -> Result<(RabbitChannel, Topology), ConnectError> {
    let place = place.heard_at(&end);
    place.checked()?;
    let connection = server.connect().await?;
    let topology = prepare(&connection, &place, &end, create).await?;
    let taken = place.taken_by(&end);
    let incoming = match &taken {
        Some(queue) => Some(Incoming::over(connection, queue).await?),
        None => None,
    };
    let publisher = Publisher::connect(server).await?;
    let hold = Hold::new();
    let inner = Arc::new(Inner { server: server.clone(), place, end, hold, publisher });
    let (stop, stopped) = watch::channel(false);
    let taking = taken
        .zip(incoming)
        .map(|(queue, incoming)| tokio::spawn(take(Arc::clone(&inner), queue, incoming, stopped)));
    let (taking, waiting) = (Mutex::new(taking), Mutex::default());
    Ok((RabbitChannel { inner, stop, taking, waiting }, topology))
}

/// Brings what the server has, over one connection after the other, until it is told to stop.
async fn take(
    inner: Arc<Inner>,
    queue: String,
    mut incoming: Incoming,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let why = tokio::select! {
            biased;
            () = told(&mut stop) => return incoming.close().await,
            why = inner.bring(&mut incoming) => why,
        };
        drop(incoming);
        inner.hold.lose();
        inner.hold.trouble(ChannelError::Away(why));
        incoming = tokio::select! {
            biased;
            () = told(&mut stop) => return,
            again = inner.again(&queue) => again,
        };
    }
}

async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await; // or whoever would tell is gone
}

impl Inner {
    /// Until the connection is lost, or the queue; says why.
    async fn bring(&self, incoming: &mut Incoming) -> String {
        loop {
            let mut room = self.hold.room(1, 1).await;
            let delivery = match incoming.next().await {
                Ok(delivery) => delivery,
                Err(why) => return why,
            };
            let body = Bytes::copy_from_slice(&delivery.data);
            let bytes = body.len();
            let brought = letter::incoming(&delivery, &body);
            let (acker, properties) = (delivery.acker, delivery.properties);
            let held = Arc::new(Held { acker, properties, body });
            if !self.hold.bring(&mut room, Arc::clone(&held), brought) {
                give_back(&held.acker).await;
            }
            if let Err(why) = incoming.came(bytes).await {
                return why;
            }
        }
    }

    async fn again(&self, queue: &str) -> Incoming {
        let mut pause = PAUSE;
        loop {
            sleep(pause).await;
            let incoming = async {
                let connection = self.server.connect().await?;
                Incoming::over(connection, queue).await
            };
            match incoming.await {
                Ok(incoming) => return incoming,
                Err(error) => self.hold.trouble(ChannelError::Away(error.to_string())),
            }
            pause = longer(pause);
        }
    }

    async fn publish(&self, message: &Message) -> Result<(), ChannelError> {
        let Some((exchange, key)) = self.place.route(message.kind, &message.name) else {
            return Err(ChannelError::nowhere(message.kind));
        };
        let (properties, body) = letter::outgoing(message);
        self.publisher.publish((exchange, &key), properties, &body).await
    }

    async fn acknowledge(&self, tag: Tag) -> Result<(), ChannelError> {
        let Some(held) = self.hold.settle(tag) else { return Ok(()) };
        // Where its connection is gone nothing happens: it comes again.
        let told = held.acker.ack(BasicAckOptions::default()).await;
        told.map(drop).map_err(|error| ChannelError::Away(words(&error)))
    }
}

impl Channel for RabbitChannel {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        Box::pin(next_readable(self, &self.inner.hold))
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        Box::pin(self.inner.acknowledge(tag))
    }

    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
        Box::pin(async move {
            let Some(held) = self.inner.hold.settle(tag) else { return Ok(()) };
            if after.is_zero() {
                give_back(&held.acker).await;
                return Ok(());
            }
            // The server has the body.
            let acker = held.acker.clone();
            drop(held);
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            while waiting.try_join_next().is_some() {}
            waiting.spawn(async move {
                sleep(after.min(WAIT_MAX)).await;
                give_back(&acker).await;
            });
            Ok(())
        })
    }

    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async move {
            let Some(queue) = self.inner.place.dead_letters(&self.inner.end) else { return Ok(()) };
            let Some(held) = self.inner.hold.peek(tag) else { return Ok(()) };
            let properties = letter::put_aside(&held.properties, reason);
            self.inner.publisher.publish(("", &queue), properties, &held.body).await?;
            self.inner.acknowledge(tag).await
        })
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(self.inner.publish(message))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // What waits comes to others at once: whom it waited for is gone.
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
            self.inner.hold.end();
            self.stop.send_replace(true);
            let taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(taking) = taking {
                let _ = taking.await; // it was told to end
            }
            let _ = timeout(CLOSED_WITHIN, self.inner.publisher.close()).await;
        })
    }
}

impl Drop for RabbitChannel {
    fn drop(&mut self) {
        if let Some(taking) = self.taking.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            taking.abort();
        }
    }
}

impl std::fmt::Debug for RabbitChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RabbitChannel").field("place", &self.inner.place).finish_non_exhaustive()
    }
}
