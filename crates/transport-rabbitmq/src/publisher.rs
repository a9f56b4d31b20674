//! The way out: a connection of its own, and a message on each of its channels until the server has
//! given its word.
//!
//! The server closes a channel for a message that it does not take, and says of one that no queue
//! takes only which came back. With one message at a time on a channel its word is always about
//! that one, and no other is held up or doubted. And a server that is short of memory stops reading
//! from whoever publishes, so what is settled goes over another connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amends_transport::ChannelError;
use futures_util::StreamExt;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::AMQPErrorKind;
use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation, Connection, ErrorKind};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::place::ConnectError;
use crate::server::{PAUSE, Server, longer, words};

/// How many messages may be on their way at once: as many as an engine has open with one service.
/// The next one waits its turn.
const UNDER_WAY_MAX: usize = 64;

/// How long the connection's end may go unnoticed where nothing tells of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// See the module. It connects again by itself.
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    keeping: JoinHandle<()>,
}

struct Shared {
    state: Mutex<State>,
    room: Semaphore,
}

/// A connection with the channels on which nothing is under way; or why there is none.
enum State {
    There { connection: Arc<Connection>, idle: Vec<lapin::Channel> },
    Away(String),
}

impl Publisher {
    /// Connects.
    pub(crate) async fn connect(server: &Server) -> Result<Self, ConnectError> {
        let connection = Arc::new(server.connect().await?);
        let state = State::There { connection: Arc::clone(&connection), idle: Vec::new() };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), room: Semaphore::new(UNDER_WAY_MAX) });
        let keeping = keep(Arc::clone(&shared), server.clone(), connection);
        Ok(Self { shared, keeping: tokio::spawn(keeping) })
    }

    /// Publishes, and has the server's word that a queue keeps it.
    pub(crate) async fn publish(
        &self,
        (exchange, key): (&str, &str),
        properties: BasicProperties,
        body: &[u8],
    ) -> Result<(), ChannelError> {
        let name = |name: &str| {
            ShortString::try_new(name)
                .map_err(|_| ChannelError::Refused(format!("AMQP has no name as long as `{name}`")))
        };
        let (exchange, routing_key) = (name(exchange)?, name(key)?);
        let _room = self.shared.room.acquire().await;
        let channel = self.shared.channel().await?;
        // From here on it may have left. Given up meanwhile, the channel is closed, and with it
        // what the server might still say.
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent = channel.basic_publish(exchange, routing_key, options, body, properties).await;
        let told = match sent {
            Ok(confirmation) => confirmation.await,
            Err(error) => Err(error),
        };
        match told {
            Ok(Confirmation::Ack(None)) => {
                self.shared.is_idle(channel);
                Ok(())
            }
            Ok(Confirmation::Ack(Some(returned))) => {
                self.shared.is_idle(channel);
                let why = format!("no queue takes `{key}`: {}", returned.reply_text);
                Err(ChannelError::Refused(why))
            }
            // A queue that is full, or one that broke down: then it may be kept all the same.
            Ok(Confirmation::Nack(_)) => {
                let why =
                    "the server would not confirm it (basic.nack): its queue is full or broke";
                Err(ChannelError::Unknown(why.to_owned()))
            }
            Ok(Confirmation::NotRequested) => {
                Err(ChannelError::Unknown("the server was not asked to confirm".to_owned()))
            }
            Err(error) => Err(not_published(&error)),
        }
    }

    /// Leaves.
    pub(crate) async fn close(&self) {
        self.keeping.abort();
        let closed = State::Away("it is closed".to_owned());
        let was = std::mem::replace(&mut *self.shared.state(), closed);
        if let State::There { connection, .. } = was {
            let _ = connection.close(200, "OK".into()).await; // it is gone already
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

/// Connects again, as often as it takes.
async fn keep(shared: Arc<Shared>, server: Server, mut connection: Arc<Connection>) {
    loop {
        let mut events = connection.events_listener();
        while connection.status().connected() {
            let _ = timeout(LOOK_EVERY, events.next()).await;
        }
        *shared.state() = State::Away("the connection was lost".to_owned());
        let mut pause = PAUSE;
        connection = loop {
            sleep(pause).await;
            match server.connect().await {
                Ok(connection) => break Arc::new(connection),
                Err(error) => *shared.state() = State::Away(error.to_string()),
            }
            pause = longer(pause);
        };
        *shared.state() = State::There { connection: Arc::clone(&connection), idle: Vec::new() };
    }
}

impl Shared {
    /// One on which nothing is under way.
    async fn channel(&self) -> Result<lapin::Channel, ChannelError> {
        let connection = match &mut *self.state() {
            State::Away(why) => return Err(ChannelError::Away(why.clone())),
            State::There { connection, .. } if !connection.status().connected() => {
                return Err(ChannelError::Away("the connection was lost".to_owned()));
            }
            State::There { connection, .. } if connection.status().blocked() => {
                let why = "the server takes no message: it is short of memory or disk \
                           (connection.blocked)";
                return Err(ChannelError::Away(why.to_owned()));
            }
            State::There { connection, idle } => {
                while let Some(channel) = idle.pop() {
                    if channel.status().connected() {
                        return Ok(channel);
                    }
                }
                Arc::clone(connection)
            }
        };
        let opened = async {
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        opened.await.map_err(|error: lapin::Error| ChannelError::Away(words(&error)))
    }

    fn is_idle(&self, channel: lapin::Channel) {
        if let State::There { idle, .. } = &mut *self.state() {
            idle.push(channel); // one of a connection that was lost is passed over
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What closes the channel alone is about the message that was on it: too large, or for an exchange
/// that is not there or not ours.
fn not_published(error: &lapin::Error) -> ChannelError {
    let why = words(error);
    match error.kind() {
        ErrorKind::ProtocolError(error) if matches!(error.kind(), AMQPErrorKind::Soft(_)) => {
            ChannelError::Refused(why)
        }
        _ => ChannelError::Unknown(why),
    }
}
